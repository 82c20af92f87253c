"""Whether what the ledger has under a number is our invoice, another one, or nothing: pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from books.core.faults import Reject
from books.core.printable import possessive
from books.ledgers.contract import Company, Invoice, LedgerInvoice
from books.posting.postings import GONE

NUMBER_TWICE = "number_twice"
"""Fault code of an invoice whose number another one of OpsMerge was sent with: due again at every push."""


@dataclass(frozen=True)
class Same:
    """The ledger has it: the same invoice."""

    found: LedgerInvoice


@dataclass(frozen=True)
class Taken:
    """A different invoice of the ledger has its number."""

    found: LedgerInvoice


@dataclass(frozen=True)
class Absent:
    """No invoice of the ledger has its number."""


Verdict = Same | Taken | Absent


def identify(
    invoice_id: str,
    invoice: Invoice | None,
    found: Sequence[LedgerInvoice],
    customer_id: str | None,
    company: Company,
    *,
    replaced: Collection[str] = (),
    former_id: str | None = None,
) -> Verdict:
    """Return what was found under the invoice's number, or under the id that it was once posted as.

    Our note decides, and so does `former_id` where no note names another invoice: a bookkeeper may have changed the
    number. Without either, number, customer, currency, date and net must agree. Gross may differ by VAT pennies.
    `replaced`: ids of voided invoices that a person asked to post again; they count for nothing.
    """
    candidates = sorted((each for each in found if each.id not in replaced), key=_live_and_oldest_first)
    for each in candidates:
        if each.source_id == invoice_id or (each.id == former_id and each.source_id is None):
            return Same(each)
    others = [each for each in candidates if invoice is None or fold(each.number) == fold(invoice.number)]
    for each in others:
        if invoice is not None and _agrees(each, invoice, customer_id, company):
            return Same(each)
    return Taken(others[0]) if others else Absent()


def _live_and_oldest_first(each: LedgerInvoice) -> tuple[bool, int, str]:
    return (each.voided, int(each.id) if each.id.isdigit() else 0, each.id)


def fold(number: str) -> str:
    """Return a number as ledgers compare it: without regard to case."""
    return number.strip().casefold()


def by_number(found: Sequence[LedgerInvoice]) -> dict[str, list[LedgerInvoice]]:
    """Return invoices by their number, folded."""
    numbers: defaultdict[str, list[LedgerInvoice]] = defaultdict(list)
    for each in found:
        numbers[fold(each.number)].append(each)
    return numbers


def _agrees(found: LedgerInvoice, invoice: Invoice, customer_id: str | None, company: Company) -> bool:
    return (
        found.source_id is None
        and not found.voided
        and customer_id is not None
        and found.customer_id == customer_id
        and (found.currency or company.home_currency) == invoice.currency
        and found.issue_date == invoice.issue_date
        and found.net == invoice.subtotal
    )


def number_taken(found: LedgerInvoice, ledger: str) -> Reject:
    """Return the conflict of a number that another invoice of the ledger has."""
    what = "a voided invoice" if found.voided else f"a different invoice of {found.total}"
    return Reject(
        f"the number is taken in the books by {what} (id {found.id})",
        code="number_taken",
        field="number",
        remedy=f"Compare the two in {ledger}; renumber or void the one that should not be there, then `books retry`.",
    )


def number_twice(other_id: str) -> Reject:
    """Return the conflict of a number that another invoice of OpsMerge has, which is posted in its place."""
    return Reject(
        f"another invoice in OpsMerge has the same number (id {other_id}), and was sent first",
        code=NUMBER_TWICE,
        field="number",
        remedy="Renumber one of the two in OpsMerge. It is looked up again at every push.",
    )


def gone(former_id: str | None, ledger: str) -> Reject:
    """Return why an invoice is held that was posted before a disconnect or a lost store, and is missing now."""
    under = f"its number and the id {former_id}" if former_id else "its number"
    return Reject(
        f"it was posted before, and {ledger} has no invoice under {under} any more",
        code=GONE,
        field="number",
        remedy=f"See in {possessive(ledger)} audit log whether it was deleted or renumbered. Renumbered: correct the "
        "number there, then `books retry` adopts it. Deleted: `books retry` posts it again.",
    )
