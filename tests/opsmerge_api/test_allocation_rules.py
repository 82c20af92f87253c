"""The rules of allocations, as plain functions: which version counts, and what is written to OpsMerge."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from books.core.faults import Reject
from books.opsmerge.payments import Entry, Settlement
from books.writeback.allocations import (
    DELETED,
    GONE,
    Effect,
    OpsMergeState,
    Version,
    decide,
    read_payment,
    read_version,
)

TEN = Settlement(Decimal("10.00"), "GBP", "2026-11-02", "BACS", "BACS 8831")
FIVE = Settlement(Decimal("5.00"), "GBP", "2026-11-02", "BACS", "BACS 8831")

REWORDED = Settlement(TEN.amount, "GBP", TEN.paid_on, "Bank transfer", None)
OTHER = Settlement(TEN.amount, "GBP", TEN.paid_on, "BACS", "other")


def entry(
    settlement: Settlement = TEN, *, by_hand: bool = False, voided: bool = False, invoice: str = "inv_1"
) -> Entry:
    return Entry("pay_1", invoice, None if by_hand else "1:2:3", settlement, voided)


OURS, HAND = entry(), entry(by_hand=True)
NOTHING, WRITE, VOID, LINK, BY_HAND = Effect.NOTHING, Effect.WRITE, Effect.VOID, Effect.LINK, Effect.BY_HAND


@pytest.mark.parametrize(
    ("case", "wanted", "state", "written", "effect"),
    [
        ("new", TEN, OpsMergeState(), None, WRITE),
        ("already there", TEN, OpsMergeState(our_payment=OURS), TEN.sha256, NOTHING),
        ("already there, our store was lost", TEN, OpsMergeState(our_payment=OURS), None, NOTHING),
        ("there in OpsMerge's own words", TEN, OpsMergeState(our_payment=entry(REWORDED)), TEN.sha256, NOTHING),
        ("amount differs", TEN, OpsMergeState(our_payment=entry(FIVE)), FIVE.sha256, WRITE),
        ("only the reference changed", TEN, OpsMergeState(our_payment=entry(OTHER)), "old", WRITE),
        ("voided by a person", TEN, OpsMergeState(our_payment=entry(voided=True)), TEN.sha256, WRITE),
        ("on another invoice", TEN, OpsMergeState(our_payment=entry(invoice="inv_2")), TEN.sha256, VOID),
        ("no longer wanted", None, OpsMergeState(our_payment=OURS), TEN.sha256, VOID),
        ("no longer wanted, voided", None, OpsMergeState(our_payment=entry(voided=True)), TEN.sha256, NOTHING),
        ("no longer wanted, never there", None, OpsMergeState(), None, NOTHING),
        ("a twin by hand", TEN, OpsMergeState(by_hand=(HAND,)), None, LINK),
        ("by hand, another amount", TEN, OpsMergeState(by_hand=(entry(FIVE, by_hand=True),)), None, WRITE),
        ("linked", TEN, OpsMergeState(linked=HAND), None, NOTHING),
        ("linked, voided by a person", TEN, OpsMergeState(linked=entry(by_hand=True, voided=True)), None, WRITE),
        ("linked, amount changed", FIVE, OpsMergeState(linked=HAND), None, BY_HAND),
        ("linked, no longer wanted", None, OpsMergeState(linked=HAND), None, BY_HAND),
        ("linked, and ours as well", TEN, OpsMergeState(linked=HAND, our_payment=OURS), TEN.sha256, VOID),
    ],
)  # fmt: skip
def test_what_is_written(case: str, wanted: Any, state: OpsMergeState, written: Any, effect: Effect) -> None:
    """Each state of an allocation and of OpsMerge asks for one effect."""
    assert decide(wanted, "inv_1", state, written)[0] is effect, case


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ("BACS 8831", " bacs  8831 ", True),
        (None, "", True),
        (None, None, True),
        ("BACS 8831", None, False),
        ("BACS 8831", "BACS 8832", False),
    ],
)
def test_references_compare_as_people_write_them(ours: Any, theirs: Any, same: bool) -> None:
    """A payment by hand is the same when amount, currency and reference agree, whatever the case and blanks."""
    wanted = Settlement(Decimal("10.00"), "GBP", "2026-11-02", None, ours)
    hand = entry(Settlement(Decimal("10.00"), "gbp", "2026-11-05", "cash", theirs), by_hand=True)
    assert (decide(wanted, "inv_1", OpsMergeState(by_hand=(hand,)), None)[0] is LINK) is same


@pytest.mark.parametrize(
    ("new", "known", "counts"),
    [
        (Version("active", 2), Version("active", 1), True),
        (Version("active", 10), Version("active", 9), True),
        (Version("active", 1), Version("active", 2), False),
        (Version("active", 1, "2026-11-02"), Version("active", 1, "2026-11-01"), True),
        (Version("active", 1, "2026-11-01"), Version("active", 1, "2026-11-02"), False),
        (Version("active", 1, "x"), Version("active", 1, "x"), True),
        (Version(DELETED), Version("active", 7), True),
        (Version("active", 99), Version(DELETED, 7), False),
        (Version("active", 7), Version(GONE, 7), True),
        (Version("active", 6), Version(GONE, 7), False),
    ],
)
def test_the_newest_version_counts(new: Version, known: Version, counts: bool) -> None:
    """Newer means a higher sync token, then a later time; a deletion is final, a disappearance is not."""
    assert new.supersedes(known) is counts


@given(some.permutations(range(6)), some.sampled_from(["active", "voided", DELETED]))
def test_order_does_not_matter(order: list[int], last: str) -> None:
    """Whatever order the versions of a payment come in, the last one made is the one that stays."""
    versions = [Version("active" if number < 5 else last, number) for number in range(6)]
    kept = Version("active", -1)
    for number in order:
        if versions[number].supersedes(kept):
            kept = versions[number]
    assert kept == versions[5]


def row(*allocations: Any, **more: Any) -> dict[str, Any]:
    return {
        "connection": "sandbox:1",
        "id": "2",
        "status": "active",
        "currency": "GBP",
        "allocations": list(allocations),
        **more,
    }


def part(amount: Any, transaction: str = "130", kind: str = "Invoice") -> dict[str, Any]:
    return {
        "transaction_type": kind,
        "transaction_id": transaction,
        "invoice_number": "INV-2026-0001",
        "amount": amount,
    }


@pytest.mark.parametrize(
    ("case", "record", "amounts"),
    [
        ("split", row(part(Decimal("324.00")), part(Decimal(100), "131")), {"130": "324.00", "131": "100.00"}),
        ("two lines, one invoice", row(part(Decimal("1.10")), part(Decimal("2.20"))), {"130": "3.30"}),
        ("credit memo settlement", row(part(50), part(50, "77", "CreditMemo"), total_amount=0), {"130": "50.00"}),
        ("a journal", row(part(5, "9", "JournalEntry")), {}),
        ("nothing allocated", row(part(0)), {}),
        ("unapplied", row(), {}),
        ("voided", row(part(5), status="voided"), {}),
        ("deleted, a bare id", {"connection": "sandbox:1", "id": "2", "status": "deleted"}, {}),
    ],
)
def test_a_payment_settles_invoices(case: str, record: Any, amounts: dict[str, str]) -> None:
    """Allocations are sums per invoice; what is no invoice settles nothing in OpsMerge."""
    read = read_payment(record).allocations
    assert {each.transaction_id: str(each.settlement.amount) for each in read} == amounts, case


@pytest.mark.parametrize("amount", [Decimal("-1.00"), Decimal("1.005"), "NaN", "ten"])
def test_an_impossible_amount_is_refused(amount: Any) -> None:
    """An amount that is negative or not in whole pennies is refused with the payment's and the invoice's names."""
    with pytest.raises(Reject, match="payment 2, invoice INV-2026-0001"):
        read_payment(row(part(amount)))


def test_versions_are_read_leniently() -> None:
    """A row without version is older than any with one; times compare in UTC."""
    assert read_version({"sync_token": "3", "updated_at": "2026-11-02T01:00:00-08:00"}) == Version(
        "active", 3, "2026-11-02T09:00:00.000000+00:00"
    )
    assert read_version({"status": "deleted"}) == Version(DELETED, -1, "")
