"""One invoice of a run: its record as it was read, and what the store knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from books.core import money
from books.core.faults import Reject
from books.core.printable import printable
from books.ledgers.contract import Invoice, Ledger
from books.posting import checks, records
from books.posting.choices import Choices
from books.posting.postings import NO_FAULT, Outcome, Posting

NUMBER_CHARS_KEPT = 200
"""Of the number of a record that cannot be read."""


@dataclass(frozen=True)
class Candidate:
    """One invoice of this run. `problem` is set, and `invoice` is None, where its record cannot be read."""

    id: str
    number: str
    record: str
    """The record as JSON, as far as the store keeps it."""
    content_sha256: str
    mapping_sha256: str
    invoice: Invoice | None
    problem: Reject | None
    posting: Posting | None
    """What the store knows; None for an invoice that it never saw."""
    from_store: bool = False
    """Whether this run's input does not have it: an earlier run left it unfinished."""
    is_stale: bool = False
    """Whether this run sent it and the ledger said that a customer, item or tax code is gone: it is judged again."""

    @property
    def retry(self) -> bool:
        """Whether a person asked for it to be posted again."""
        return self.posting is not None and self.posting.retry

    @property
    def generation(self) -> int:
        """Which key a new sending gets: a later one after anything that was sent before."""
        if self.posting is None:
            return 1
        return self.posting.generation + (1 if self.posting.attempts else 0)

    @property
    def known(self) -> Posting:
        """The posting of a candidate that has one."""
        if self.posting is None:
            raise TypeError("only a candidate with a posting gets this far")
        return self.posting

    @property
    def is_unchanged(self) -> bool:
        """Whether its content is what the store has."""
        return self.posting is not None and self.posting.content_sha256 == self.content_sha256


def read(
    text: str, document: Mapping[str, Any], posting: Posting | None, ledger: Ledger, choices: Choices, vat_policy: str
) -> Candidate:
    """Return the candidate of a record, given as JSON (`text`) and parsed (`document`).

    A record older than the store's is not believed: it was read before another run saw an edit, void or opt-out.
    """
    if posting is not None and text != posting.record:
        stored = money.loads(posting.record)
        if records.is_older(document, stored):
            text, document = posting.record, stored
    invoice, problem = _parse(document, ledger)
    number = invoice.number if invoice else printable(str(document.get("number") or ""))[:NUMBER_CHARS_KEPT]
    return Candidate(
        id=str(document["id"]).strip(),
        number=number,
        record=text,
        content_sha256=records.content_sha256(invoice) if invoice else records.raw_sha256(document),
        mapping_sha256=choices.sha256(invoice, vat_policy) if invoice else "",
        invoice=invoice,
        problem=problem,
        posting=posting,
    )


def _parse(document: Mapping[str, Any], ledger: Ledger) -> tuple[Invoice | None, Reject | None]:
    try:
        invoice = records.parse(document)
        checks.check_number(invoice, ledger.capabilities)
    except Reject as problem:
        return None, problem
    return invoice, None


Identity = tuple[str, str, str]
"""(connection, provider, company id) of new rows."""


def identity_of(ledger: Ledger) -> Identity:
    """Return the identity of the rows of a ledger's connection."""
    return ledger.connection, ledger.capabilities.provider, ledger.connection.rpartition(":")[2]


def posting_of(candidate: Candidate, identity: Identity) -> Posting:
    """Return the row of a candidate, about its content and mapping as they are now, without any earlier refusal."""
    connection, provider, company_id = identity
    invoice = candidate.invoice
    base = candidate.posting or Posting(
        connection=connection,
        opsmerge_invoice_id=candidate.id,
        provider=provider,
        company_id=company_id,
        number=candidate.number,
        outcome=Outcome.HELD,
        content_sha256=candidate.content_sha256,
        seen_sha256=candidate.content_sha256,
        mapping_sha256=candidate.mapping_sha256,
        record=candidate.record,
    )
    return replace(
        base,
        **NO_FAULT,
        number=candidate.number,
        content_sha256=candidate.content_sha256,
        seen_sha256=candidate.content_sha256,
        mapping_sha256=candidate.mapping_sha256,
        record=candidate.record,
        currency=invoice.currency if invoice else base.currency,
        net=invoice.subtotal if invoice else base.net,
        tax=invoice.tax_total if invoice else base.tax,
        total=invoice.total if invoice else base.total,
        issue_date=invoice.issue_date if invoice else base.issue_date,
    )
