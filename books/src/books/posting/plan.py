"""What a dry run would do, a row per invoice that is not simply there already; and its file, which can be posted.

The file's `id` is a hash of its content, so that what is posted is what was shown: an edited file is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from books.core import money
from books.core.faults import Exit, Halt
from books.ledgers.contract import Invoice, NewItem
from books.posting.judging import Judged
from books.posting.postings import Outcome, Posting
from books.posting.records import sha256

VERSION = 1
ID_CHARS = 12
FILE_BYTES_MAX = 500_000_000

CREATE = "create"
SEND_AGAIN = "send again"
ADOPT = "adopt"
LEAVE = "leave"
"""It belongs to another production company in OpsMerge."""

ACTIONS = {
    Outcome.ADOPTED: ADOPT,
    Outcome.REJECTED: "reject",
    Outcome.CONFLICT: "conflict",
    Outcome.HELD: "hold",
    Outcome.UNKNOWN: "wait",
    Outcome.CREATED: "exists",
}

NEEDS_A_PERSON_FIRST = ("reject", "conflict", "hold", "wait", LEAVE, SEND_AGAIN, CREATE, ADOPT, "exists")
"""The order of rows for people."""

NEW_CUSTOMER = " (new)"
AMOUNTS = ("net", "tax", "total", "ledger_tax")


@dataclass(frozen=True)
class PlanRow:
    """One invoice of a plan. `ledger_tax` is the VAT that the ledger will compute, or has computed."""

    opsmerge_invoice_id: str
    number: str
    action: str
    customer: str = ""
    new_items: tuple[str, ...] = ()
    issue_date: str | None = None
    currency: str | None = None
    net: Decimal | None = None
    tax: Decimal | None = None
    total: Decimal | None = None
    ledger_tax: Decimal | None = None
    reason: str = ""
    remedy: str = ""
    content_sha256: str = ""
    mapping_sha256: str = ""

    @classmethod
    def of_posting(cls, posting: Posting, action: str | None = None) -> PlanRow:
        """Return the row of an invoice that the store has or will have a row of."""
        return cls(
            opsmerge_invoice_id=posting.opsmerge_invoice_id,
            number=posting.number,
            action=action or ACTIONS[posting.outcome],
            customer=f"in the books already (id {posting.external_id})" if posting.external_id else "",
            issue_date=posting.issue_date.isoformat() if posting.issue_date else None,
            currency=posting.currency,
            net=posting.net,
            tax=posting.tax,
            total=posting.total,
            ledger_tax=posting.ledger_tax,
            reason=posting.fault_message or "",
            remedy=posting.remedy or "",
            content_sha256=posting.content_sha256,
            mapping_sha256=posting.mapping_sha256,
        )

    @classmethod
    def to_create(cls, invoice: Invoice, judged: Judged, content_sha256: str, mapping_sha256: str) -> PlanRow:
        """Return the row of an invoice that would be created."""
        customer = judged.customer
        new_items = dict.fromkeys(item.name for item in judged.items if isinstance(item, NewItem))
        return cls(
            opsmerge_invoice_id=invoice.id,
            number=invoice.number,
            action=CREATE,
            customer=f"{customer.name} ({customer.id})" if customer else f"{judged.customer_name}{NEW_CUSTOMER}",
            new_items=tuple(new_items),
            issue_date=invoice.issue_date.isoformat(),
            currency=invoice.currency,
            net=invoice.subtotal,
            tax=invoice.tax_total,
            total=invoice.total,
            ledger_tax=judged.ledger_tax,
            content_sha256=content_sha256,
            mapping_sha256=mapping_sha256,
        )

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> PlanRow:
        """Read a row of a plan file."""
        known = {each.name: document[each.name] for each in fields(cls)}
        amounts = {name: None if known[name] is None else Decimal(known[name]) for name in AMOUNTS}
        return cls(**{**known, **amounts, "new_items": tuple(known["new_items"])})

    @property
    def ledger_total(self) -> Decimal | None:
        """The total that the ledger will show; None where its VAT is not known."""
        return None if self.net is None or self.ledger_tax is None else self.net + self.ledger_tax

    def document(self) -> dict[str, Any]:
        """Return the row for JSON: amounts as texts, so that no reader makes floats of them."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        amounts = {name: None if values[name] is None else str(values[name]) for name in AMOUNTS}
        return {**values, **amounts, "new_items": list(self.new_items)}

    def words(self) -> str:
        """Return the customer and what is created for it; or why nothing is."""
        new = f", new items {', '.join(self.new_items)}" if self.new_items else ""
        return self.reason or f"{self.customer}{new}"

    def line(self) -> str:
        """Return the row for people."""
        amount = f"{self.total:>12} {self.currency}" if self.total is not None else " " * 16
        return f"{self.action:<10} {self.number:<21} {amount}  {self.words()}".rstrip()


@dataclass(frozen=True)
class Plan:
    """A whole plan of one company at one time."""

    id: str
    """Names this plan and no other: a hash of all that it says."""
    connection: str
    made_at: str
    rows: tuple[PlanRow, ...]
    by_invoice: Mapping[str, PlanRow] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, connection: str, made_at: str, rows: Sequence[PlanRow]) -> Plan:
        """Return a plan of these rows, of each invoice the last: what needs a person first, then by date and number."""
        order = {action: place for place, action in enumerate(NEEDS_A_PERSON_FIRST)}
        latest = {row.opsmerge_invoice_id: row for row in rows}
        ordered = tuple(sorted(latest.values(), key=lambda row: (order[row.action], row.issue_date or "", row.number)))
        plan_id = sha256(money.dumps(_said(connection, made_at, ordered)))[:ID_CHARS]
        return cls(plan_id, connection, made_at, ordered, latest)

    @property
    def creates(self) -> int:
        """How many invoices it would create."""
        return sum(row.action == CREATE for row in self.rows)

    def document(self) -> dict[str, Any]:
        """Return the plan for JSON."""
        return {"id": self.id, **_said(self.connection, self.made_at, self.rows)}


def _said(connection: str, made_at: str, rows: Sequence[PlanRow]) -> dict[str, Any]:
    documents = [row.document() for row in rows]
    return {"version": VERSION, "connection": connection, "made_at": made_at, "rows": documents}


def to_json(plan: Plan) -> str:
    """Return the text of the plan file."""
    return money.dumps(plan.document()) + "\n"


def load(path: Path) -> Plan:
    """Read a plan file.

    Raises:
        Halt: MISCONFIGURED; it cannot be read, is no plan, or is not as it was made.
    """
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ValueError("it is larger than any plan")  # noqa: TRY301 -- one way out for every unreadable file
        document = money.loads(path.read_text("utf-8"))
        if document["version"] != VERSION:
            raise ValueError(f"it has version {document['version']!r}, not {VERSION}")  # noqa: TRY301 -- as above
        rows = [PlanRow.of_document(row) for row in document["rows"]]
        plan = Plan.of(str(document["connection"]), str(document["made_at"]), rows)
    except OSError as error:
        raise _refusal(path, f"cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, InvalidOperation) as error:
        raise _refusal(path, f"is no plan: {error}") from None
    if plan.id != document.get("id"):
        raise _refusal(path, "was changed after it was made, so it is not what was shown")
    return plan


def _refusal(path: Path, problem: str) -> Halt:
    return Halt(
        f"the plan {path} {problem}",
        exit_code=Exit.MISCONFIGURED,
        code="plan_refused",
        remedy="Make a plan with `books plan`, and name the file that it prints.",
    )
