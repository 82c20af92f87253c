"""Which payment settles which invoice, and what OpsMerge must be told: decided here, done in `payments`.

A payment of QuickBooks may settle many invoices, in part, and change its mind. What counts is its newest version:
each invoice that it settles is one allocation; an invoice that it no longer settles has one of 0.00.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

import pendulum

from books.core.faults import Reject
from books.core.money import ZERO, half_up
from books.opsmerge.payments import Entry, Settlement

INVOICE = "invoice"
"""The transaction type of allocations that matter to OpsMerge; credit memos and journals settle nothing there."""

ACTIVE, VOIDED, DELETED, GONE = "active", "voided", "deleted", "gone"


@dataclass(frozen=True)
class Version:
    """Which state of a payment this is: QuickBooks raises `sync_token` with every change; then the time decides.

    `sync_token` is -1 and `updated_at` empty where a row had none (a deletion is a bare id).
    """

    status: str
    sync_token: int = -1
    updated_at: str = ""

    def supersedes(self, known: Version) -> bool:
        """Whether this is as new as what is known, or newer. A deletion is final: QuickBooks never reuses an id."""
        if known.status == DELETED:
            return self.status == DELETED
        if self.status == DELETED:
            return True
        return (self.sync_token, self.updated_at) >= (known.sync_token, known.updated_at)


@dataclass(frozen=True)
class Allocation:
    """What one payment gives one invoice. `transaction_id` is the invoice's id in QuickBooks."""

    transaction_id: str
    settlement: Settlement
    invoice_number: str | None = None
    opsmerge_invoice_id: str | None = None


@dataclass(frozen=True)
class Payment:
    """One row of the payments stream, read."""

    realm_id: str
    payment_id: str
    version: Version
    allocations: tuple[Allocation, ...]


def external_id(realm_id: str, payment_id: str, transaction_id: str) -> str:
    """The id under which OpsMerge knows an allocation."""
    return f"{realm_id}:{payment_id}:{transaction_id}"


def read_version(record: Mapping[str, Any]) -> Version:
    """Status and version of a row of the payments stream."""
    return Version(
        status=str(record.get("status") or ACTIVE),
        sync_token=_sync_token(record.get("sync_token")),
        updated_at=_moment(record.get("updated_at")),
    )


def read_payment(record: Mapping[str, Any]) -> Payment:
    """A row of the payments stream.

    Raises:
        Reject: an amount is not whole pennies, or negative; the message names the payment and the invoice.
    """
    version = read_version(record)
    return Payment(
        realm_id=str(record["realm_id"]),
        payment_id=str(record["id"]),
        version=version,
        allocations=_allocations(record) if version.status == ACTIVE else (),
    )


def _allocations(record: Mapping[str, Any]) -> tuple[Allocation, ...]:
    """One allocation per invoice: QuickBooks may give an invoice in several lines of a payment."""
    merged: dict[str, Allocation] = {}
    for row in record.get("allocations") or ():
        if str(row.get("transaction_type") or "").lower() != INVOICE or not row.get("transaction_id"):
            continue
        key = str(row["transaction_id"])
        before = merged[key].settlement.amount if key in merged else ZERO
        merged[key] = _allocation(record, row, before)
    return tuple(each for each in merged.values() if each.settlement.amount)


def _allocation(record: Mapping[str, Any], row: Mapping[str, Any], before: Decimal) -> Allocation:
    settlement = Settlement(
        amount=before + _amount(record, row),
        currency=_text(record.get("currency")),
        paid_on=None if record.get("txn_date") is None else str(record["txn_date"])[:10],
        method=_text(record.get("payment_method")),
        reference=_text(record.get("payment_ref_number")),
    )
    return Allocation(
        transaction_id=str(row["transaction_id"]),
        settlement=settlement,
        invoice_number=_text(row.get("invoice_number")),
        opsmerge_invoice_id=_text(row.get("opsmerge_invoice_id")),
    )


def _amount(record: Mapping[str, Any], row: Mapping[str, Any]) -> Decimal:
    try:
        amount = Decimal(str(row.get("amount") or 0))
        usable = amount.is_finite() and amount >= 0 and amount == half_up(amount)
    except InvalidOperation:
        usable = False
    if not usable:
        raise Reject(
            f"payment {record['id']} gives invoice {row.get('invoice_number') or row['transaction_id']} "
            f"{row['amount']}, "
            "which is not an amount in whole pennies",
            code="allocation_amount",
            field="allocations.amount",
            remedy="look at the payment in QuickBooks",
        )
    return half_up(amount)


def _text(value: Any) -> str | None:
    text = "" if value is None else str(value).strip()
    return text or None


def _sync_token(value: Any) -> int:
    text = str(value if value is not None else "").strip()
    return int(text) if text.isdigit() else -1


def _moment(value: Any) -> str:
    """A time as UTC text that sorts; empty where there is none, or none that can be read."""
    try:
        moment = pendulum.parse(str(value or ""))
    except ValueError:
        return ""
    if not isinstance(moment, pendulum.DateTime):
        return ""
    return moment.in_timezone("UTC").strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")


class Effect(StrEnum):
    """What must be done about one allocation."""

    NOTHING = "nothing"
    """OpsMerge shows it already, or rightly does not."""
    WRITE = "write"
    """Create our payment, or change it."""
    VOID = "void"
    """Void our payment."""
    LINK = "link"
    """A person entered the same payment: remember that one, write none."""
    BY_HAND = "by_hand"
    """The payment to change was entered by a person, and the API changes only ours: they are asked to."""


@dataclass(frozen=True)
class There:
    """What OpsMerge shows for one allocation: our payment, the linked one, and those entered by hand for the invoice.

    `by_hand` holds live payments without an external id that no other allocation is linked to.
    """

    ours: Entry | None = None
    linked: Entry | None = None
    by_hand: tuple[Entry, ...] = ()


def decide(
    wanted: Settlement | None, invoice_id: str | None, there: There, written_sha256: str | None
) -> tuple[Effect, Entry | None]:
    """What must be done, and the payment in OpsMerge that it is about, if any.

    `wanted` is None for an allocation of 0.00; `written_sha256` is of what we wrote last: OpsMerge may keep
    some of it in words of its own, and that must not make us write it again and again.
    """
    ours = _live(there.ours)
    linked = _live(there.linked)
    if ours and (wanted is None or linked or ours.invoice_id != invoice_id):
        return Effect.VOID, ours
    if linked:
        same = wanted is not None and linked.settlement.amount == wanted.amount
        return (Effect.NOTHING if same else Effect.BY_HAND), linked
    if wanted is None:
        return Effect.NOTHING, None
    if ours:
        return (Effect.NOTHING if _shows(ours, wanted, written_sha256) else Effect.WRITE), ours
    twin = find_twin(wanted, there.by_hand)
    return (Effect.LINK, twin) if twin else (Effect.WRITE, None)


def find_twin(wanted: Settlement, by_hand: Iterable[Entry]) -> Entry | None:
    """The payment entered by hand that is this one: same amount, currency and reference; none equals none."""
    return next((entry for entry in by_hand if _twin_key(entry.settlement) == _twin_key(wanted)), None)


def _twin_key(settlement: Settlement) -> tuple[Decimal, str, str]:
    reference = " ".join((settlement.reference or "").split()).casefold()
    return settlement.amount, (settlement.currency or "").upper(), reference


def _live(entry: Entry | None) -> Entry | None:
    return entry if entry and not entry.voided else None


def _shows(ours: Entry, wanted: Settlement, written_sha256: str | None) -> bool:
    if ours.settlement.amount != wanted.amount:
        return False
    return written_sha256 == wanted.sha256 or ours.settlement == wanted
