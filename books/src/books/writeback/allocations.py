"""Decide which payment settles which invoice and what to write to OpsMerge; `payments` applies it.

A QuickBooks payment may settle many invoices, in part, and be changed later. Its newest version counts: each invoice
that it settles is one allocation; for an invoice that it no longer settles the allocation is 0.00.
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
"""The only transaction type that is written to OpsMerge; credit memos and journals settle nothing there."""

ACTIVE, VOIDED, DELETED, GONE = "active", "voided", "deleted", "gone"


@dataclass(frozen=True)
class Version:
    """The version of a payment: QuickBooks raises `sync_token` with every change; for equal ones the time decides.

    `sync_token` is -1 and `updated_at` empty where a row has none (a deletion is a bare id).
    """

    status: str
    sync_token: int = -1
    updated_at: str = ""

    def supersedes(self, known: Version) -> bool:
        """Return whether this is as new as the known version, or newer. A deletion is final: ids are never reused."""
        if known.status == DELETED:
            return self.status == DELETED
        if self.status == DELETED:
            return True
        return (self.sync_token, self.updated_at) >= (known.sync_token, known.updated_at)


@dataclass(frozen=True)
class Allocation:
    """What one payment pays of one invoice. `transaction_id` is the invoice's id in QuickBooks."""

    transaction_id: str
    settlement: Settlement
    invoice_number: str | None = None
    opsmerge_invoice_id: str | None = None


@dataclass(frozen=True)
class Payment:
    """One parsed row of the payments stream."""

    connection: str
    payment_id: str
    version: Version
    allocations: tuple[Allocation, ...]


def external_id(connection: str, payment_id: str, transaction_id: str) -> str:
    """Return the external id of an allocation's payment in OpsMerge: `<company id>:<payment id>:<invoice id>`."""
    return f"{connection.partition(':')[2]}:{payment_id}:{transaction_id}"


def read_version(record: Mapping[str, Any]) -> Version:
    """Return status and version of a row of the payments stream."""
    return Version(
        status=str(record.get("status") or ACTIVE),
        sync_token=_sync_token(record.get("sync_token")),
        updated_at=_moment(record.get("updated_at")),
    )


def read_payment(record: Mapping[str, Any]) -> Payment:
    """Parse a row of the payments stream.

    Raises:
        Reject: an amount is negative or not in whole pennies; the message names the payment and the invoice.
    """
    version = read_version(record)
    return Payment(
        connection=str(record["connection"]),
        payment_id=str(record["id"]),
        version=version,
        allocations=_allocations(record) if version.status == ACTIVE else (),
    )


def _allocations(record: Mapping[str, Any]) -> tuple[Allocation, ...]:
    """Return one allocation per invoice; QuickBooks may list an invoice in several lines of a payment."""
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
            f"payment {record['id']}, invoice {row.get('invoice_number') or row['transaction_id']}: the amount "
            f"{row['amount']} is negative or not in whole pennies",
            code="allocation_amount",
            field="allocations.amount",
            remedy="correct the payment in QuickBooks",
        )
    return half_up(amount)


def _text(value: Any) -> str | None:
    text = "" if value is None else str(value).strip()
    return text or None


def _sync_token(value: Any) -> int:
    text = str(value if value is not None else "").strip()
    return int(text) if text.isdigit() else -1


def _moment(value: Any) -> str:
    """Return a time as UTC text that sorts; empty where it is missing or not a valid timestamp."""
    try:
        moment = pendulum.parse(str(value or ""))
    except ValueError:
        return ""
    if not isinstance(moment, pendulum.DateTime):
        return ""
    return moment.in_timezone("UTC").strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")


class Effect(StrEnum):
    """What to write to OpsMerge for one allocation."""

    NOTHING = "nothing"
    """OpsMerge is up to date."""
    WRITE = "write"
    """Create or change our payment."""
    VOID = "void"
    """Void our payment."""
    LINK = "link"
    """A person entered the same payment by hand: link to it, write none."""
    BY_HAND = "by_hand"
    """The payment to change was entered by hand, and the API can change only ours: a person has to."""


@dataclass(frozen=True)
class OpsMergeState:
    """What OpsMerge shows for one allocation: our payment, the linked one, and those entered by hand for the invoice.

    `by_hand` holds live payments without an external id that no other allocation is linked to.
    """

    our_payment: Entry | None = None
    linked: Entry | None = None
    by_hand: tuple[Entry, ...] = ()


def decide(
    wanted: Settlement | None, invoice_id: str | None, state: OpsMergeState, written_sha256: str | None
) -> tuple[Effect, Entry | None]:
    """Return what to write, and the payment in OpsMerge that it concerns, if any.

    `wanted` is None for an allocation of 0.00. `written_sha256` is of what we wrote last: OpsMerge may store some of it
    in words of its own, and that must not make us write it again and again.
    """
    ours = _live(state.our_payment)
    linked = _live(state.linked)
    if ours and (wanted is None or linked or ours.invoice_id != invoice_id):
        return Effect.VOID, ours
    if linked:
        same = wanted is not None and linked.settlement.amount == wanted.amount
        return (Effect.NOTHING if same else Effect.BY_HAND), linked
    if wanted is None:
        return Effect.NOTHING, None
    if ours:
        return (Effect.NOTHING if _shows(ours, wanted, written_sha256) else Effect.WRITE), ours
    twin = find_twin(wanted, state.by_hand)
    return (Effect.LINK, twin) if twin else (Effect.WRITE, None)


def find_twin(wanted: Settlement, by_hand: Iterable[Entry]) -> Entry | None:
    """Return the payment entered by hand with the same amount, currency and reference; no reference equals none."""
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
