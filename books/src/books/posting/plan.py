"""What a dry run would do, a row per invoice that is not simply there already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from books import money
from books.posting.postings import Outcome, Posting

VERSION = 1

ACTIONS = {
    Outcome.ADOPTED: "adopt",
    Outcome.REJECTED: "reject",
    Outcome.CONFLICT: "conflict",
    Outcome.HELD: "hold",
    Outcome.UNKNOWN: "wait",
    Outcome.CREATED: "exists",
}


@dataclass(frozen=True)
class PlanRow:
    """One invoice of the plan. `ledger_tax` is the VAT that QuickBooks will compute."""

    opsmerge_invoice_id: str
    number: str
    action: str
    customer: str = ""
    new_items: tuple[str, ...] = ()
    currency: str | None = None
    net: Decimal | None = None
    tax: Decimal | None = None
    total: Decimal | None = None
    ledger_tax: Decimal | None = None
    reason: str = ""
    remedy: str = ""
    content_sha256: str = ""

    @classmethod
    def of_posting(cls, posting: Posting, action: str | None = None) -> PlanRow:
        """The row of an invoice whose outcome is already clear."""
        return cls(
            opsmerge_invoice_id=posting.opsmerge_invoice_id,
            number=posting.number,
            action=action or ACTIONS[posting.outcome],
            currency=posting.currency,
            net=posting.net,
            tax=posting.tax,
            total=posting.total,
            ledger_tax=posting.ledger_tax,
            reason=posting.fault_message or "",
            remedy=posting.remedy or "",
            content_sha256=posting.content_sha256,
        )

    def document(self) -> dict[str, Any]:
        """The row as JSON: amounts as texts, so that no reader makes floats of them."""
        amounts = {"net": self.net, "tax": self.tax, "total": self.total, "ledger_tax": self.ledger_tax}
        return {
            "opsmerge_invoice_id": self.opsmerge_invoice_id,
            "number": self.number,
            "action": self.action,
            "customer": self.customer,
            "new_items": list(self.new_items),
            "currency": self.currency,
            **{name: None if value is None else str(value) for name, value in amounts.items()},
            "reason": self.reason,
            "remedy": self.remedy,
            "content_sha256": self.content_sha256,
        }

    def line(self) -> str:
        """The row for people."""
        amount = f"{self.total:>12} {self.currency}" if self.total is not None else " " * 16
        new = f", new items {', '.join(self.new_items)}" if self.new_items else ""
        words = self.reason or f"{self.customer}{new}"
        return f"{self.action:<10} {self.number:<21} {amount}  {words}".rstrip()


def to_json(connection: str, made_at: str, rows: Sequence[PlanRow]) -> str:
    """The plan file."""
    document = {
        "version": VERSION,
        "connection": connection,
        "made_at": made_at,
        "rows": [row.document() for row in rows],
    }
    return money.dumps(document) + "\n"
