"""Which invoices of OpsMerge are to be posted at all, and why the others are not: pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from books.core.faults import Reject
from books.ledgers.contract import Invoice
from books.opsmerge import belonging
from books.posting.candidates import Candidate
from books.posting.checks import is_negative
from books.posting.postings import EXCLUDED_AFTER, VOIDED_AFTER, Posting

OPEN_STATUSES = frozenset({"open", "overdue"})

BELONGS_TO_ANOTHER = "belongs_to_another_company"
"""Reason to leave an invoice that belongs to another production connection in OpsMerge."""

WITHDRAWALS = frozenset({"voided", "opted_out", "draft", "paid", BELONGS_TO_ANOTHER})
"""Fault codes of postings held because OpsMerge no longer wants them posted."""

RECALLS = {"voided": VOIDED_AFTER, "opted_out": EXCLUDED_AFTER}
"""Reasons to leave an invoice, and the fault code of each where the invoice is in the ledger."""

BEFORE_POST_FROM = "before_post_from"
"""Fault code of postings held or refused once, now dated before the go-live date, and not in the ledger."""


@dataclass(frozen=True)
class Scope:
    """What the settings say about which invoices are posted."""

    post_from: date | None = None
    """The go-live date; None posts open invoices of any date, and no paid ones."""
    connection: str = ""
    """An invoice that belongs to another production connection in OpsMerge is left."""
    ledger: str = ""
    """The ledger's name, for messages."""


def reason_to_leave(invoice: Invoice, scope: Scope) -> str | None:
    """Return why an invoice is not to be posted, as one word for the summary; None where it is.

    A credit that was paid is not left: it is refused in words, whatever the go-live date.
    """
    if is_of_another(invoice, scope):
        return BELONGS_TO_ANOTHER
    if invoice.status == "voided":
        return "voided"
    if invoice.excluded:
        return "opted_out"
    if invoice.status in OPEN_STATUSES:
        return None
    if invoice.status == "paid" and (scope.post_from is not None or is_negative(invoice)):
        return None
    return invoice.status


def is_of_another(invoice: Invoice | None, scope: Scope) -> bool:
    """Return whether an invoice belongs to another production connection in OpsMerge."""
    return invoice is not None and belonging.bars_posting(invoice.owner, scope.connection)


def is_wanted(candidate: Candidate, scope: Scope) -> bool:
    """Return whether OpsMerge wants an invoice posted. A record that cannot be read counts, so that it is refused."""
    return candidate.invoice is None or reason_to_leave(candidate.invoice, scope) is None


def is_before_go_live(invoice: Invoice | None, scope: Scope) -> bool:
    """Return whether an invoice may only be adopted. Not a credit: that is refused, in the same words on every day."""
    if invoice is None or scope.post_from is None:
        return False
    return invoice.issue_date < scope.post_from and not is_negative(invoice)


def withdrawal(candidate: Candidate, scope: Scope) -> Reject:
    """Return why an invoice that was to be posted no longer is."""
    invoice = candidate.invoice
    reason = (reason_to_leave(invoice, scope) if invoice else None) or "voided"
    if reason == BELONGS_TO_ANOTHER:
        return belongs_to_another(invoice.owner if invoice else None)
    words = {"voided": "voided in OpsMerge", "opted_out": "opted out in OpsMerge"}.get(reason, f"{reason} in OpsMerge")
    return Reject(f"{words} before it was posted", code=reason, remedy="Nothing is needed.")


def belongs_to_another(owner: str | None) -> Reject:
    """Return why an invoice of another production company is left."""
    message = f"it belongs to {owner} in OpsMerge, whose books it is in already"
    return Reject(message, code=BELONGS_TO_ANOTHER, field="accounting", remedy=belonging.move(owner))


def before_post_from(ledger: str) -> Reject:
    """Return why an invoice from before the go-live date is left alone."""
    return Reject(
        f"dated before the go-live date, and not in {ledger}",
        code=BEFORE_POST_FROM,
        field="issue_date",
        remedy="Nothing is needed; to have it posted, set post_from to an earlier day.",
    )


def recall(candidate: Candidate, scope: Scope) -> Reject | None:
    """Return the conflict of an invoice that is in the ledger and was voided or opted out in OpsMerge since, or None.

    A record that cannot be read keeps the conflict that is known.
    """
    posting, invoice = candidate.posting, candidate.invoice
    if posting is None or not posting.in_the_books:
        return None
    known = next((reason for reason, code in RECALLS.items() if code == posting.fault_code), None)
    reason = reason_to_leave(invoice, scope) if invoice is not None else known
    return _recalled(reason, posting, scope.ledger) if reason in RECALLS else None


def _recalled(reason: str, posting: Posting, ledger: str) -> Reject:
    words, undo = {
        "voided": ("voided in OpsMerge", "reopen it in OpsMerge"),
        "opted_out": ("opted out in OpsMerge", "clear the opt-out in OpsMerge"),
    }[reason]
    return Reject(
        f"{words} after it was posted; {ledger} still counts it (id {posting.external_id})",
        code=RECALLS[reason],
        field="status" if reason == "voided" else "accounting_excluded",
        remedy=f"Void it in {ledger} too, or {undo}. It ends by itself once the pull of payments has seen it.",
    )
