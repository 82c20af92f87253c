"""What a break advises is right, and what follows from it never advises the opposite."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

import duckdb
import pytest
import recon_world as worlds
from recon_world import PLANTS, READ_AT, World, agreeing, by_hand, pay

Row = dict[str, object]


def breaks(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    cursor = connection.execute("select * from recon.drift where bucket = 'break' order by class, number")
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def after(reconcile, deed: Callable[[World], object]) -> list[Row]:
    """The breaks of a world in which this was done, and nothing else."""
    world = agreeing(seed=71, invoices=150)
    deed(world)
    return breaks(reconcile(world))


def test_what_follows_from_a_break_shows_its_remedy(reconcile):
    """Whatever was done: a break that follows from another one advises what that one advises, word for word."""
    world = agreeing(seed=72, invoices=400)
    for plant in PLANTS:
        plant(world)
    found = breaks(reconcile(world))
    advice = {(row["class"], row["remedy"]) for row in found if row["class"] == row["root_class"]}
    followers = [row for row in found if row["class"] != row["root_class"]]
    assert [row for row in followers if (row["root_class"], row["remedy"]) not in advice] == []
    assert {(row["class"], row["root_class"]) for row in followers} >= {
        ("S01", "P01"), ("S02", "P02"), ("S03", "P06"), ("S01", "P04"), ("S03", "P09"), ("S01", "P05"),
        ("P01", "P05"), ("P02", "S06"), ("S01", "O01"), ("P01", "S04"), ("S03", "P03"),
    }  # fmt: skip


def test_what_may_still_come_right_advises_nothing(reconcile):
    """Whatever class it stands for: to void an invoice that the next run finds in order would be wrong."""
    world = agreeing(seed=72, invoices=400)
    for plant in PLANTS:
        plant(world)
    rows = reconcile(world).execute("select class, remedy from recon.drift where bucket = 'timing'").fetchall()
    assert {each for each, _ in rows} >= {"T03", "T04", "T05"}
    assert [row for row in rows if not row[1].startswith("Nothing to do")] == []


SETTLEMENTS = {
    "paid_by_hand_in_opsmerge": {"P01": "P01", "S01": "P01"},
    "paid_in_quickbooks_only": {"P02": "P02", "S02": "P02"},
    "credited": {"S06": "S06", "P02": "S06"},
    "payment_voided_in_opsmerge": {"P09": "P09", "S03": "P09"},
    "payment_voided_in_quickbooks": {"P09": "P09", "S03": "P09"},
    "amount_paid_without_a_payment": {"O01": "O01", "S01": "O01"},
    "payment_unapplied_in_quickbooks": {"P05": "P05", "P01": "P05", "S01": "P05"},
    "deposit_known_to_both": {"S04": "S04", "P01": "S04"},
    "payment_copied_in_opsmerge": {"P06": "P06", "S03": "P06"},
}


@pytest.mark.parametrize("deed", SETTLEMENTS)
def test_each_difference_names_what_it_follows_from(reconcile, deed: str):
    """A difference of what is owed names the payment, credit or sum that made it, and repeats its remedy."""
    found = after(reconcile, getattr(worlds, deed))
    assert {row["class"]: row["root_class"] for row in found} == SETTLEMENTS[deed]
    assert len({row["remedy"] for row in found}) == 1


def test_a_payment_is_never_recorded_beside_an_unapplied_one(reconcile):
    """Where QuickBooks has the payment and set it against nothing, the advice is to apply it, and to which invoice."""
    found = after(reconcile, worlds.payment_unapplied_in_quickbooks)
    number = next(row["number"] for row in found if row["class"] == "P01")
    assert {row["remedy"] for row in found} == {
        f"Apply it in QuickBooks to invoice {number}, where OpsMerge has it: recording it again would double it."
    }


@pytest.mark.parametrize(
    ("deed", "side"),
    [
        ("payment_copied_and_unapplied", "QuickBooks"),
        ("payment_copied_to_another_invoice", "QuickBooks"),
        ("paid_twice_in_quickbooks", "QuickBooks"),
        ("payment_copied_in_opsmerge", "OpsMerge"),
        ("payment_copied_to_another_invoice_in_opsmerge", "OpsMerge"),
    ],
)
def test_of_a_payment_entered_twice_the_copy_is_voided(reconcile, deed: str, side: str):
    """The copy is P06 for its whole sum, on the side where it stands, and the advice says which one to void."""
    world = agreeing(seed=73, invoices=150)
    payments = {"QuickBooks": world.quickbooks_payments, "OpsMerge": world.opsmerge_payments}[side]
    getattr(worlds, deed)(world)
    copy = list(payments.values())[-1]
    [row] = [row for row in breaks(reconcile(world)) if row["class"] == "P06"]
    amount = copy["total_amount"] if side == "QuickBooks" else copy["amount"]
    assert row["effect"] == (-amount if side == "QuickBooks" else amount)
    assert str(row["remedy"]).startswith(f"Void the copy in {side}, payment {copy['id']}")


def test_a_moved_payment_names_both_invoices(reconcile):
    """P04 says on which invoice each side has the payment; what the two invoices owe follows from it."""
    world = agreeing(seed=74, invoices=150)
    expected = worlds.payment_moved(world)
    here = next(number for name, number in expected if name == "P04")
    there = next(number for name, number in expected if name != "P04" and number != here)
    found = breaks(reconcile(world))
    assert {(row["class"], row["number"]) for row in found} == expected
    assert {row["root_class"] for row in found} == {"P04"}
    [moved] = [row for row in found if row["class"] == "P04"]
    assert (str(moved["opsmerge_value"]).split()[-1], str(moved["ledger_value"]).split()[-1]) == (here, there)
    assert {row["remedy"] for row in found} == {
        f"Apply it to one invoice on both sides: {here}, where OpsMerge has it, or {there}, where QuickBooks has it."
    }


def test_a_payment_that_pull_payments_will_move_is_no_break_on_either_invoice(reconcile):
    """Moved minutes before the read: neither invoice is a break, and the next pull brings the payment over."""
    world = agreeing(seed=75, invoices=150)
    expected = worlds.payment_moved(world)
    list(world.quickbooks_payments.values())[-1]["updated_at"] = READ_AT - timedelta(minutes=5)
    connection = reconcile(world)
    assert breaks(connection) == []
    rows = connection.execute("select root_class, number from recon.drift where class = 'T03'").fetchall()
    assert set(rows) == expected


def test_a_customer_that_is_not_the_clients_says_whose_it_is(reconcile):
    """The advice for an invoice under another client's customer names the customer that bears the client's name."""
    world = agreeing(seed=76, invoices=150)
    worlds.all_under_another_clients_customer(world)
    found = breaks(reconcile(world))
    assert {row["class"] for row in found} == {"H01"}
    for row in found:
        invoice = world.opsmerge[str(row["opsmerge_invoice_id"])]
        customer = invoice["client_id"].removeprefix("cl_")
        assert f"id {customer})" in str(row["cause"])
        assert (row["opsmerge_value"], row["exposure"]) == (invoice["client_name"], invoice["total"])


def test_two_clients_of_one_name_are_no_evidence_against_each_other(reconcile):
    """Where two clients bear one name, a person chose which customer is whose: another name is then no break."""
    world = agreeing(seed=77, invoices=150)
    client, ids = worlds.clients_of_their_own(world)[0]
    twin = worlds.clients_of_their_own(world)[1][0]
    customer, name = client.removeprefix("cl_"), "Northgate Media Ltd"
    for row in world.opsmerge.values():
        if row["client_id"] in (client, twin):
            row["client_name"] = name if row["client_id"] == client else name.upper()
    for each in (customer, twin.removeprefix("cl_")):
        world.customers[each]["display_name"] = f"{name} ({each})"
    world.customers["9999"] = {**world.customers[customer], "id": "9999", "display_name": name}
    assert ids
    assert breaks(reconcile(world)) == []


def test_a_payment_and_its_part_of_another_are_told_apart(reconcile):
    """Two payments in OpsMerge of one sum and reference, by one transfer that QuickBooks holds whole: no copy."""
    world = agreeing(seed=78, invoices=150)
    one, two = worlds.two_of_one_customer(world)
    payment_id = pay(world, {one: Decimal("5.00")})
    row = world.quickbooks_payments[payment_id]
    row.update(total_amount=Decimal("10.00"), unapplied_amount=Decimal("5.00"))
    by_hand(world, two, Decimal("5.00"), date(2026, 11, 10), reference=row["payment_ref_number"])
    found = breaks(reconcile(world))
    assert {(row["class"], row["root_class"]) for row in found} == {("P05", "P05"), ("P01", "P05"), ("S03", "P05")}


def test_a_company_that_gives_no_vat_lines_is_not_held_against_them(reconcile):
    """VAT lines that QuickBooks gives for no invoice at all are not compared; the invoices' VAT still is."""
    world = agreeing(seed=79, invoices=60)
    for row in world.quickbooks.values():
        row["tax_lines"] = []
    assert breaks(reconcile(world)) == []


@pytest.mark.parametrize("chosen", ["customer_id", "customer_name"])
def test_a_customer_that_the_mapping_file_chose_is_the_clients(reconcile, chosen: str):
    """mappings.yml puts a client under another client's customer, by id or by name: that is meant, and no break."""
    world = agreeing(seed=80, invoices=150)
    worlds.all_under_another_clients_customer(world)
    moved = next(
        one for one in world.postings if world.partner(one)["customer_name"] != world.opsmerge[one]["client_name"]
    )
    world.mapped = [{"client_id": world.opsmerge[moved]["client_id"], chosen: world.partner(moved)[chosen]}]
    connection = reconcile(world)
    assert breaks(connection) == []
    assert connection.execute("select count(*) from recon.drift where class = 'H05'").fetchone() == (1,)


def test_money_of_another_company_is_never_to_be_recorded(reconcile):
    """A payment that a sandbox once wrote into OpsMerge is no money: its break and the invoice's say void it there."""

    def paid_by_a_sandbox(world: World) -> None:
        one = min(world.untouched)
        by_hand(world, one, world.opsmerge[one]["total"], date(2026, 11, 12), external_id="9341453000009999:77:500")

    found = after(reconcile, paid_by_a_sandbox)
    assert {(row["class"], row["root_class"]) for row in found} == {("P01", "P01"), ("S01", "P01")}
    assert {row["remedy"] for row in found} == {
        "If company 9341453000009999 is a sandbox, void the payment in OpsMerge; else record it in QuickBooks."
    }


def test_a_payment_that_quickbooks_has_no_room_for_is_not_to_be_recorded(reconcile):
    """The customer paid once, under other words on each side: OpsMerge's copy is to be voided, not recorded again."""

    def paid_once_in_other_words(world: World) -> None:
        one = min(world.untouched)
        total = world.partner(one)["total_amount"]
        pay(world, {one: total}, paid_on=date(2026, 11, 12))
        by_hand(world, one, total, date(2026, 11, 12), reference="bank 26")

    rows = [row for row in after(reconcile, paid_once_in_other_words) if row["class"] in ("P01", "S03")]
    assert {row["class"] for row in rows} == {"P01", "S03"}
    assert all("void the payment in OpsMerge" in str(row["remedy"]) for row in rows)
    assert all("ecord" not in str(row["remedy"]) for row in rows)


def test_a_payment_by_hand_that_quickbooks_took_back_is_to_be_voided(reconcile):
    """A bounced cheque, entered by hand on both sides and voided in QuickBooks: void it in OpsMerge too."""

    def bounced(world: World) -> None:
        one = min(world.untouched)
        total = world.partner(one)["total_amount"]
        payment_id = pay(world, {one: total}, back=False, paid_on=date(2026, 11, 12))
        by_hand(world, one, total, date(2026, 11, 12), reference=f"BACS {payment_id}")
        nothing = Decimal("0.00")
        payment = world.quickbooks_payments[payment_id]
        payment.update(status="voided", total_amount=nothing, unapplied_amount=nothing, allocations=[])
        world.partner(one)["balance"] = total

    rows = after(reconcile, bounced)
    assert {(row["class"], row["remedy"]) for row in rows} == {
        ("P09", "QuickBooks voided or deleted it: void it in OpsMerge too."),
        ("S01", "QuickBooks voided or deleted it: void it in OpsMerge too."),
    }
