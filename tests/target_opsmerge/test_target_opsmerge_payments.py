"""Payments: OpsMerge's paid amounts are what QuickBooks' payments give its invoices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from books.core.faults import Exit, Halt

REALM = "9341453000000001"


def test_a_payment_makes_an_invoice_paid(world: Any) -> None:
    """A payment in full makes the invoice Paid, under our id, with date, method and QuickBooks' reference."""
    invoice = world.invoice()
    seen = world.payments(world.payment("190", ("130", invoice, "120.00")))
    assert world.shown(invoice) == ("paid", "120.00")
    assert seen.writes == [("PUT", f"/invoices/{invoice}/payments/{REALM}:190:130")]
    payment = world.sim.state.store.children("payment", invoice)[0]
    assert (payment["paid_on"], payment["method"], payment["reference"]) == ("2026-11-02", "BACS", "BACS 190")


def test_a_second_run_writes_nothing(world: Any) -> None:
    """The same rows again, and the same rows with nothing new, make no write."""
    rows = [world.payment(str(number), (str(number), world.invoice(), "10.00")) for number in range(30)]
    assert len(world.payments(*rows).writes) == 30
    assert world.payments(*rows).writes == []
    assert world.payments().writes == []


def test_one_payment_over_three_invoices(world: Any) -> None:
    """A payment split over invoices makes one OpsMerge payment each."""
    invoices = [world.invoice() for _ in range(3)]
    one, two, three = invoices
    world.payments(world.payment("190", ("130", one, 120), ("131", two, 100), ("132", three, 20)))
    assert [world.shown(invoice) for invoice in invoices] == [("paid", "120.00"), ("open", "100.00"), ("open", "20.00")]


def test_part_payments_add_up(world: Any) -> None:
    """Two part payments of one invoice make it Paid."""
    invoice = world.invoice()
    world.payments(world.payment("190", ("130", invoice, "70.01")), world.payment("191", ("130", invoice, "49.99")))
    assert world.shown(invoice) == ("paid", "120.00")


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("absent from the newest row", {"allocations": []}),
        ("voided", {"status": "voided", "allocations": []}),
        ("deleted, a bare id", {"status": "deleted", "allocations": None, "sync_token": None, "currency": None}),
    ],
)
def test_money_that_goes_away_reopens_the_invoice(world: Any, case: str, change: Any) -> None:
    """An allocation that is gone from QuickBooks is voided in OpsMerge, and the invoice is open again."""
    invoice = world.invoice()
    world.payments(world.payment("190", ("130", invoice, "120.00")))
    world.payments({**world.payment("190"), **change})
    assert world.shown(invoice) == ("open", "0.00"), case
    assert world.payments({**world.payment("190"), **change}).writes == []


def test_what_a_complete_read_does_not_show_is_gone(world: Any) -> None:
    """After a complete read, payments that it did not show are voided; the others stay."""
    kept, lost = world.invoice(), world.invoice()
    rows = [world.payment("190", ("130", kept, "120.00")), world.payment("191", ("131", lost, "120.00"))]
    world.payments(*rows)
    world.payments(rows[0], complete=True)
    assert (world.shown(kept), world.shown(lost)) == (("paid", "120.00"), ("open", "0.00"))
    world.payments(rows[0], rows[1], complete=True)
    assert world.shown(lost) == ("paid", "120.00"), "a payment that shows up again counts again"


def test_a_complete_read_of_nothing(world: Any) -> None:
    """A complete read without any payment voids those of the only company the store knows."""
    invoice = world.invoice()
    world.payments(world.payment("190", ("130", invoice, "120.00")))
    world.payments(complete=True)
    assert world.shown(invoice) == ("open", "0.00")


def test_a_complete_read_of_nothing_with_two_companies(world: Any) -> None:
    """Where the store knows several companies, an empty complete read names none of them, and nothing is voided."""
    invoice = world.invoice()
    other = {**world.payment("7", ("9", None, "1.00")), "connection": "sandbox:42"}
    world.payments(world.payment("190", ("130", invoice, "120.00")), other)
    assert world.payments(complete=True).writes == []


def test_an_incomplete_read_voids_nothing(world: Any) -> None:
    """Payments that an ordinary run does not show are none of its business."""
    invoice = world.invoice()
    world.payments(world.payment("190", ("130", invoice, "120.00")))
    world.payments(world.payment("191", ("131", None, "1.00")))
    assert world.shown(invoice) == ("paid", "120.00")


def test_money_moved_between_invoices(world: Any) -> None:
    """Money moved from one invoice to another closes the one and opens the other, also where overpaying is refused."""
    world.control.switches(refuse_overpayment=True)
    one, two = world.invoice(), world.invoice()
    world.payments(world.payment("190", ("130", one, "120.00")), world.payment("191", ("131", two, "120.00")))
    moved = world.payments(world.payment("190", ("131", two, "120.00")), world.payment("191", ("130", one, "120.00")))
    assert [method for method, _ in moved.writes] == ["DELETE", "DELETE", "PUT", "PUT"]
    assert (world.shown(one), world.shown(two)) == (("paid", "120.00"), ("paid", "120.00"))
    assert all(row["fault_code"] is None for row in world.ledger())


@pytest.mark.parametrize("order", ["old last", "old between runs", "old after deletion"])
def test_an_older_version_changes_nothing(world: Any, order: str) -> None:
    """A row with an older sync token than the one known is ignored, also after a deletion."""
    invoice = world.invoice()
    old = world.payment("190", ("130", invoice, "120.00"))
    new = world.payment("190", ("130", invoice, "50.00"))
    gone = {"connection": f"sandbox:{REALM}", "id": "190", "status": "deleted"}
    runs = {
        "old last": [[new, old]],
        "old between runs": [[new], [old]],
        "old after deletion": [[new], [gone], [old, new]],
    }[order]
    for rows in runs:
        world.payments(*rows)
    assert world.shown(invoice)[1] == ("0.00" if order == "old after deletion" else "50.00")


def test_a_payment_entered_by_hand_is_linked(world: Any) -> None:
    """A payment that a person entered in OpsMerge with the same amount and reference is not doubled."""
    invoice = world.invoice()
    world.control.deed("record_payment", invoice_id=invoice, amount=120, reference="bacs  190")
    row = world.payment("190", ("130", invoice, "120.00"))
    assert world.payments(row).writes == []
    assert world.shown(invoice) == ("paid", "120.00")
    assert world.ledger()[0]["linked_payment_id"]
    assert world.payments(row).writes == []


def test_two_payments_need_two_twins(world: Any) -> None:
    """A payment by hand stands for one of QuickBooks' payments only; the other is written."""
    invoice = world.invoice()
    world.control.deed("record_payment", invoice_id=invoice, amount=60, reference="june")
    rows = [world.payment(number, ("130", invoice, "60.00"), payment_ref_number="June") for number in ("190", "191")]
    assert world.payments(rows[0]).writes == []
    assert len(world.payments(*rows).writes) == 1
    assert world.shown(invoice) == ("paid", "120.00")
    assert world.payments(*rows).writes == []


def test_a_linked_payment_is_a_persons_to_void(world: Any) -> None:
    """When QuickBooks' side of a linked payment goes, the person who entered the other is asked; then all is well."""
    invoice = world.invoice()
    made = world.control.deed("record_payment", invoice_id=invoice, amount=120, reference="BACS 190")
    world.payments(world.payment("190", ("130", invoice, "120.00")))
    assert world.payments({**world.payment("190"), "status": "voided"}).writes == []
    assert world.ledger()[0]["fault_code"] == "entered_by_hand"
    assert "void that payment in OpsMerge" in world.ledger()[0]["remedy"]
    world.control.deed("void_payment", payment_id=made["id"])
    world.payments()
    assert world.shown(invoice) == ("open", "0.00")
    assert world.ledger()[0]["fault_code"] is None


def test_a_linked_payment_voided_by_hand_is_written(world: Any) -> None:
    """When the payment by hand is voided while QuickBooks' stands, ours is written instead."""
    invoice = world.invoice()
    made = world.control.deed("record_payment", invoice_id=invoice, amount=120, reference="BACS 190")
    row = world.payment("190", ("130", invoice, "120.00"))
    world.payments(row)
    world.control.deed("void_payment", payment_id=made["id"])
    assert world.payments(row).writes == [("PUT", f"/invoices/{invoice}/payments/{REALM}:190:130")]
    assert world.shown(invoice) == ("paid", "120.00")


def test_ours_voided_by_hand_is_written_again(world: Any) -> None:
    """Paid follows QuickBooks: our payment that a person voided comes back with the next run."""
    invoice = world.invoice()
    row = world.payment("190", ("130", invoice, "120.00"))
    world.payments(row)
    payment = world.sim.state.store.children("payment", invoice)[0]
    world.control.deed("void_payment", payment_id=payment["id"])
    world.payments()
    assert world.shown(invoice) == ("paid", "120.00")


def test_payments_of_unknown_invoices_are_kept(world: Any) -> None:
    """A payment of an invoice that OpsMerge never posted is kept; when its posting comes later it is told at once."""
    invoice = world.invoice()
    assert world.payments(world.payment("190", ("130", None, "120.00"), ("888", None, "5.00"))).writes == []
    world.know_posting(invoice, "130")
    seen = world.postings(world.posted(invoice, "130"))
    assert seen.writes == [
        ("PUT", f"/invoices/{invoice}/accounting"),
        ("PUT", f"/invoices/{invoice}/payments/{REALM}:190:130"),
    ]
    assert world.shown(invoice) == ("paid", "120.00")


def test_a_push_with_nothing_due_makes_no_call(world: Any) -> None:
    """The minute's run without news asks OpsMerge nothing."""
    invoice = world.invoice()
    world.payments(world.payment("190", ("130", invoice, "120.00")))
    assert world.postings().requests == []


def test_a_foreign_invoice_is_paid_in_its_currency(world: Any) -> None:
    """An allocation is in the invoice's currency; a payment of another currency is refused with a reason."""
    invoice, other = world.invoice(currency="USD"), world.invoice(currency="USD")
    world.know_posting(invoice, "130", "USD")
    world.know_posting(other, "131", "USD")
    world.payments(
        world.payment("190", ("130", None, "120.00"), currency="USD", exchange_rate=Decimal("0.79")),
        world.payment("191", ("131", None, "120.00"), currency="GBP"),
    )
    assert (world.shown(invoice), world.shown(other)) == (("paid", "120.00"), ("open", "0.00"))
    assert [row["fault_code"] for row in world.ledger()] == [None, "currency_differs"]


def test_a_payment_without_currency_takes_the_invoices(world: Any) -> None:
    """A company with one currency names none: the posting's counts."""
    invoice = world.invoice()
    world.know_posting(invoice, "130")
    world.payments(world.payment("190", ("130", None, "120.00"), currency=None))
    assert world.shown(invoice) == ("paid", "120.00")


def test_a_refusal_is_recorded_and_tried_again_later(world: Any) -> None:
    """What OpsMerge refuses is noted with its reason; the others go on; the next try waits, then succeeds."""
    draft, fine = world.invoice(status="draft"), world.invoice()
    rows = [world.payment("190", ("130", draft, "120.00")), world.payment("191", ("131", fine, "120.00"))]
    world.payments(*rows)
    assert world.shown(fine) == ("paid", "120.00")
    refused = world.ledger()[0]
    assert (refused["fault_code"], refused["attempts"]) == ("conflict", 1)
    assert "draft" in refused["fault_message"]
    world.control.deed("open_invoice", invoice_id=draft)
    assert world.payments(*rows).writes == []
    world.clock.advance(301)
    world.payments(*rows)
    assert world.shown(draft) == ("paid", "120.00")
    assert world.ledger()[0]["fault_code"] is None


def test_an_unreadable_payment_is_reported_and_the_others_go_on(world: Any) -> None:
    """A row whose amount cannot be is noted at the payment; what OpsMerge shows stays."""
    invoice, fine = world.invoice(), world.invoice()
    world.payments(world.payment("190", ("130", invoice, "120.00")))
    world.payments(world.payment("190", ("130", invoice, "1.005")), world.payment("191", ("131", fine, "120.00")))
    assert (world.shown(invoice), world.shown(fine)) == (("paid", "120.00"), ("paid", "120.00"))


def test_nothing_is_written_twice_after_the_store_was_lost(world: Any) -> None:
    """With a new store everything is found in OpsMerge: no write, and what is gone in QuickBooks is voided."""
    kept, lost = world.invoice(), world.invoice()
    rows = [world.payment("190", ("130", kept, "120.00")), world.payment("191", ("131", lost, "120.00"))]
    world.payments(*rows)
    world.fresh_store()
    seen = world.payments(rows[0], complete=True)
    assert seen.writes == [("DELETE", f"/invoices/{lost}/payments/{REALM}:191:131")]
    assert (world.shown(kept), world.shown(lost)) == (("paid", "120.00"), ("open", "0.00"))


def test_opsmerges_own_words_do_not_make_us_write_again(world: Any) -> None:
    """A PUT that moves updated_at though nothing changed, as some APIs do, is no reason to write again."""
    world.control.switches(identical_put_moves_updated_at=True)
    invoice = world.invoice()
    row = world.payment("190", ("130", invoice, "120.00"))
    world.payments(row)
    assert world.payments(row).writes == []


@pytest.mark.parametrize("kind", ["cut_after", "5xx_after", "truncated"])
def test_a_lost_answer_leaves_one_payment(world: Any, kind: str) -> None:
    """A PUT whose answer was lost is made again, and the payment is there once."""
    invoice = world.invoice()
    world.control.fault(kind, method="PUT", path="/payments/")
    world.payments(world.payment("190", ("130", invoice, "120.00")))
    assert world.shown(invoice) == ("paid", "120.00")


def test_an_outage_keeps_what_was_done(world: Any) -> None:
    """When OpsMerge fails in the middle, what was told is kept, STATE stays, and the next run does the rest."""
    invoices = [world.invoice() for _ in range(30)]
    rows = [world.payment(str(number), (str(number), invoice, "120.00")) for number, invoice in enumerate(invoices)]
    world.control.fault("5xx_before", method="PUT", nth=26, times=5)
    with pytest.raises(Halt) as halt:
        world.payments(*rows)
    assert halt.value.exit_code is Exit.TRY_LATER
    assert sum(world.shown(invoice)[0] == "paid" for invoice in invoices) == 25
    assert len(world.payments(*rows).writes) == 5
    assert all(world.shown(invoice) == ("paid", "120.00") for invoice in invoices)


def test_what_was_refused_is_tried_again_when_its_invoice_is_touched(world: Any) -> None:
    """Refused because what makes room for it was not heard of yet: told as soon as that is, not minutes later."""
    world.control.switches(refuse_overpayment=True)
    invoice = world.invoice()
    world.payments(world.payment("190", ("130", invoice, "120.00")))
    world.payments(world.payment("191", ("130", invoice, "120.00")))
    assert world.ledger()[1]["fault_code"] == "conflict"
    world.payments({"connection": f"sandbox:{REALM}", "id": "190", "status": "deleted"})
    assert world.shown(invoice) == ("paid", "120.00")
    assert world.ledger()[1]["fault_code"] is None


def test_what_was_refused_is_tried_again_when_a_person_makes_room(world: Any) -> None:
    """A payment entered by hand was in the way: once it is voided in OpsMerge, the next run tells ours at once."""
    world.control.switches(refuse_overpayment=True)
    invoice = world.invoice()
    by_hand = world.control.deed("record_payment", invoice_id=invoice, amount=100)
    world.payments(world.payment("190", ("130", invoice, "120.00")))
    assert world.ledger()[0]["fault_code"] == "conflict"
    world.control.deed("void_payment", payment_id=by_hand["id"])
    world.payments()
    assert world.shown(invoice) == ("paid", "120.00")


def test_an_invoice_that_a_complete_read_does_not_show_owes_nothing(world: Any) -> None:
    """Deleted in QuickBooks while nobody looked, it is no longer reported as settled by something else."""
    kept, gone = world.invoice(), world.invoice()
    world.know_posting(kept, "130")
    world.know_posting(gone, "131")
    balances = [world.balance("130", "120.00"), world.balance("131", "20.00")]
    world.run(*world.messages("payments", world.payment("190", ("131", gone, "100.00"))))
    world.run(*world.messages("invoices", *balances))
    assert world.remainders() == {}
    world.run(*world.messages("payments", complete=True), *world.messages("invoices", balances[0], complete=True))
    assert world.remainders() == {}


def test_a_remainder_is_reported_until_it_is_explained(world: Any) -> None:
    """What is settled by neither payment nor credit note is known per invoice, also of an incomplete read."""
    invoice = world.invoice()
    world.know_posting(invoice, "130")
    world.run(*world.messages("invoices", world.balance("130", "70.00")))
    assert world.remainders() == {"130": Decimal("50.00")}
    world.run(*world.messages("payments", world.payment("190", ("130", invoice, "50.00"))))
    assert world.remainders() == {}
