"""A posting: one invoice, put or not put into the books. The row, its outcomes, and nothing that acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pendulum

from books.core.faults import Fault, Reject
from books.ledgers.contract import LedgerInvoice


class Outcome(StrEnum):
    """The outcome of a posting."""

    CREATED = "created"
    ADOPTED = "adopted"
    """Found in the ledger: the same invoice."""
    REJECTED = "rejected"
    """This record is wrong; nothing was written."""
    CONFLICT = "conflict"
    """Its number is taken by a different invoice, or it changed after it was posted."""
    HELD = "held"
    """Not sent on purpose."""
    UNKNOWN = "unknown"
    """Sent, and the answer is out or lost: settled by a later run."""


IN_THE_BOOKS = (Outcome.CREATED, Outcome.ADOPTED)
FAULT_TEXT_CHARS_MAX = 2000

DISCONNECTED = "disconnected"
"""Fault code of a posting that was in the books when the company was disconnected: to be found again."""
GONE = "no_longer_in_the_books"
"""Fault code of one that was looked for after that and is not there: only a person has it posted again."""

VOIDED_AFTER = "voided_after_posting"
EXCLUDED_AFTER = "excluded_after_posting"
RECALLED = frozenset({VOIDED_AFTER, EXCLUDED_AFTER})
"""Fault codes of conflicts: voided or opted out in OpsMerge, and still valid in the ledger."""

ERASED_MARK = '"erased":true'
"""In a record whose personal data was erased (`books forget`): it is never sent again."""


@dataclass(frozen=True)
class Posting:
    """One row of the table `posting`; its columns say what each field is."""

    connection: str
    opsmerge_invoice_id: str
    provider: str
    company_id: str
    number: str
    outcome: Outcome
    content_sha256: str
    seen_sha256: str
    mapping_sha256: str
    record: str
    external_id: str | None = None
    fault_code: str | None = None
    fault_field: str | None = None
    fault_message: str | None = None
    remedy: str | None = None
    currency: str | None = None
    net: Decimal | None = None
    tax: Decimal | None = None
    total: Decimal | None = None
    ledger_total: Decimal | None = None
    ledger_tax: Decimal | None = None
    payload_sha256: str | None = None
    request_id: str | None = None
    vendor_request_id: str | None = None
    attempts: int = 0
    first_attempted_at: pendulum.DateTime | None = None
    attempted_at: pendulum.DateTime | None = None
    finished_at: pendulum.DateTime | None = None
    seq: int | None = None
    """None before it is in the store."""
    bid: str | None = None
    generation: int = 1
    body: str | None = None
    settled_outcome: str | None = None
    issue_date: date | None = None
    retry: bool = False
    mapped: str | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Posting:
        """Read a row of the table."""
        values = {each.name: row[each.name] for each in fields(cls)}
        return cls(**{**values, "outcome": Outcome(values["outcome"])})

    def to_row(self) -> dict[str, Any]:
        """Return the row of the table."""
        return {**{each.name: getattr(self, each.name) for each in fields(self)}, "outcome": self.outcome.value}

    @property
    def in_the_books(self) -> bool:
        """Whether the ledger's id is known: it was created or adopted, whatever became of it since."""
        return self.external_id is not None


def with_fault(posting: Posting, outcome: Outcome, fault: Fault, finished_at: pendulum.DateTime) -> Posting:
    """Return the posting after a refusal: nothing was written to the ledger."""
    return replace(
        posting,
        outcome=outcome,
        fault_code=fault.code or None,
        fault_field=(fault.field or None) if isinstance(fault, Reject) else None,
        fault_message=fault.message[:FAULT_TEXT_CHARS_MAX],
        remedy=fault.remedy or None,
        vendor_request_id=fault.vendor_request_id or posting.vendor_request_id,
        finished_at=finished_at,
        retry=False,
    )


NO_FAULT: Mapping[str, Any] = {"fault_code": None, "fault_field": None, "fault_message": None, "remedy": None}
"""For `replace`: no word of an earlier refusal."""


def created(posting: Posting, answer: LedgerInvoice, now: pendulum.DateTime) -> Posting:
    """Return the posting after the ledger created the invoice."""
    return _in_the_ledger(posting, answer, Outcome.CREATED, now)


def adopted(posting: Posting, found: LedgerInvoice, now: pendulum.DateTime) -> Posting:
    """Return the posting after the invoice was found in the ledger."""
    return _in_the_ledger(posting, found, Outcome.ADOPTED, now)


def _in_the_ledger(posting: Posting, there: LedgerInvoice, outcome: Outcome, now: pendulum.DateTime) -> Posting:
    return replace(
        posting,
        **NO_FAULT,
        outcome=outcome,
        external_id=there.id,
        ledger_total=there.total,
        ledger_tax=there.tax,
        vendor_request_id=there.vendor_request_id or posting.vendor_request_id,
        finished_at=now,
        settled_outcome=None,
        retry=False,
    )


def in_conflict(posting: Posting, reason: Reject, seen_sha256: str, record: str, now: pendulum.DateTime) -> Posting:
    """Return the posting of an invoice that is in the ledger and disagrees with OpsMerge; how it got there is kept."""
    settled = posting.outcome.value if posting.outcome in IN_THE_BOOKS else posting.settled_outcome
    conflict = with_fault(posting, Outcome.CONFLICT, reason, now)
    return replace(conflict, seen_sha256=seen_sha256, record=record, settled_outcome=settled)


def restored(posting: Posting, seen_sha256: str, record: str) -> Posting:
    """Return the posting after a conflict: it is in the ledger as it is in OpsMerge, or is valid in neither."""
    before = Outcome(posting.settled_outcome or Outcome.CREATED)
    return replace(
        posting,
        **NO_FAULT,
        outcome=posting.outcome if posting.outcome in IN_THE_BOOKS else before,
        settled_outcome=None,
        retry=False,
        seen_sha256=seen_sha256,
        record=record,
    )
