"""May a run be acted on? The third leg, the count of rows, and what waits or is accepted."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import duckdb
import pytest
from recon_runner import Compiled
from recon_world import PUSHED_AT, READ_AT, RUN_AT, World, agreeing, pay, payment_on_its_way

HALF_A_MINUTE = timedelta(seconds=30)


def gates(connection: duckdb.DuckDBPyConnection) -> list[str]:
    rows = connection.execute("select check_name from recon.checks where is_gate and not ok order by 1").fetchall()
    return [name for (name,) in rows]


def told(connection: duckdb.DuckDBPyConnection) -> list[str]:
    rows = connection.execute("select check_name from recon.checks where not is_gate and not ok order by 1").fetchall()
    return [name for (name,) in rows]


def accepted_journal(amount: str, *, until: date = date(2027, 1, 1)) -> dict[str, object]:
    return {
        "class": "R01",
        "number": "receivables GBP",
        "ledger_value": f"{amount} beside the documents",
        "reason": "opening balances",
        "accepted_by": "Kim",
        "until": until,
    }


def test_the_receivables_account_is_what_the_documents_come_to(reconcile):
    """A penny in the account that no document explains stops the run, and is told as R01 with its amount."""
    world = agreeing(seed=51, invoices=60)
    world.journals["GBP"] = Decimal("0.01")
    connection = reconcile(world)
    assert gates(connection) == ["receivables_tie_out"]
    drift = "select class, number, currency, ledger_value, exposure, owner from recon.drift where bucket = 'break'"
    assert connection.execute(drift).fetchall() == [
        ("R01", "receivables GBP", "GBP", "0.01 beside the documents", Decimal("0.01"), "accountant")
    ]
    assert connection.execute("select count(*) from recon.drift_cases").fetchone() == (0,)


def test_open_journals_are_accepted_until_they_change(reconcile):
    """An accountant who knows what stands beside the documents accepts that sum; another sum stops the run again."""
    world = agreeing(seed=51, invoices=60)
    world.journals["GBP"] = Decimal("1250.00")
    world.accepted = [accepted_journal("1250.00")]
    assert gates(reconcile(world)) == []
    world.journals["GBP"] += 1
    connection = reconcile(world, "run-2")
    assert (gates(connection), told(connection)) == (["receivables_tie_out"], ["accepted_breaks_apply"])


def test_a_document_that_our_copy_lacks_shows_in_the_receivables(reconcile):
    """The third leg proves our copy of QuickBooks: an invoice that never reached it is missed."""
    world = agreeing(seed=52, invoices=60)
    whole = world.accounts()
    del world.quickbooks[world.postings[world.take(lambda row: row["amount_paid"] == 0)]["external_id"]]
    world.accounts = lambda: whole
    assert "receivables_tie_out" in gates(reconcile(world))


@pytest.mark.parametrize("stream", ["accounts", "credit_memos"])
def test_the_tie_out_is_not_claimed_where_it_was_not_computed(reconcile, stream: str):
    """Without a complete read of accounts and credit memos nothing is compared, and a check says so."""
    world = agreeing(seed=51, invoices=60)
    world.journals["GBP"] = Decimal("1250.00")
    world.loads = [load for load in world.loads if load[1] != stream]
    connection = reconcile(world)
    assert (gates(connection), told(connection)) == ([], ["receivables_are_read"])


@pytest.mark.parametrize(("sent", "is_lost"), [(0, False), (1, False), (2, True), (-1, True)])
def test_rows_healed_while_the_books_changed_are_no_loss(reconcile, compiled: Compiled, sent: int, is_lost: bool):
    """A row that changed during the read was sent twice: one row more sent than kept is no fault; two are, or fewer."""
    world = agreeing(seed=53, invoices=60)
    payment_on_its_way(world)
    connection = reconcile(world)
    assert gates(connection) == []
    connection.execute(f"update raw_quickbooks._loads set rows = rows + {sent} where stream = 'payments'")
    compiled.run(connection, "run-2", RUN_AT)
    assert gates(connection) == (["every_row_read_is_there"] if is_lost else [])


def edited_twice(world: World) -> str:
    """After the last push OpsMerge changes the sum and the date for payment: two differences of one invoice."""
    one = world.take(lambda row: row["amount_paid"] == 0)
    row = world.opsmerge[one]
    line = {**row["lines"][0], "net_amount": row["lines"][0]["net_amount"] + 8}
    row.update(lines=[line, *row["lines"][1:]], due_date=date(2027, 1, 1), updated_at=PUSHED_AT + timedelta(minutes=5))
    for name in ("subtotal", "total", "balance"):
        row[name] += 8
    return str(row["number"])


def test_each_difference_that_waits_has_a_key_of_its_own(reconcile):
    """Two timing items of one invoice are two drifts, each with the class that it stands for."""
    world = agreeing(seed=54, invoices=60)
    number = edited_twice(world)
    connection = reconcile(world)
    sql = (
        "select class, root_class, count(distinct drift_key) from recon.drift where number = ? group by 1, 2 order by 2"
    )
    assert connection.execute(sql, [number]).fetchall() == [("T04", "A01", 1), ("T04", "H04", 1)]
    assert connection.execute("select count(*) - count(distinct drift_key) from recon.drift").fetchone() == (0,)


def test_what_moves_between_the_reads_is_no_break_in_any_class(reconcile):
    """A payment whose date or sum changes while the two sides are read waits for the next run, whatever differs."""
    world = agreeing(seed=55, invoices=120)
    moved, part = list(world.quickbooks_payments.values())[:2]
    moved.update(txn_date=date(2026, 9, 10), updated_at=READ_AT + HALF_A_MINUTE)
    part.update(
        total_amount=part["total_amount"] + 5, unapplied_amount=Decimal("5.00"), updated_at=READ_AT + HALF_A_MINUTE
    )
    connection = reconcile(world)
    assert connection.execute("select class, payment_id from recon.drift where bucket = 'break'").fetchall() == []
    waiting = "select distinct root_class, payment_id from recon.drift where class = 'T05' order by 1"
    assert connection.execute(waiting).fetchall() == [("P05", part["id"]), ("P07", moved["id"])]
    assert gates(connection) == []


def test_two_companies_in_one_warehouse_do_not_touch(reconcile):
    """Another company's credit note against an invoice of the same id explains nothing here."""
    world = agreeing(seed=56, invoices=60)
    one = world.take(lambda row: row["amount_paid"] == 0)
    pay(world, {one: Decimal(1)}, back=False)
    links = [
        {"transaction_type": "Invoice", "transaction_id": world.partner(one)["id"], "amount": Decimal(1)},
        {"transaction_type": "CreditMemo", "transaction_id": "5", "amount": Decimal(1)},
    ]
    theirs = {**next(iter(world.quickbooks_payments.values())), "realm_id": "2", "id": "1", "allocations": links}
    world.quickbooks_payments["theirs"] = {**theirs, "total_amount": Decimal(0), "unapplied_amount": Decimal(0)}
    connection = reconcile(world)
    assert connection.execute("select class from recon.drift where bucket = 'break' order by 1 desc").fetchall() == [
        ("S03",),
        ("P02",),
    ]


def test_a_date_in_another_vat_quarter_is_critical(reconcile):
    """A month further is high; where the VAT return is another one, it is critical."""
    world = agreeing(seed=57, invoices=120)
    october = [row for row in world.opsmerge.values() if row["issue_date"].month in (9, 10) and row["total"] < 500]
    same = next(row for row in october if row["issue_date"].month == 10)
    other = next(row for row in october if row["issue_date"].month == 9)
    world.partner(same["id"])["txn_date"] = date(2026, 11, 2)
    world.partner(other["id"])["txn_date"] = date(2026, 10, 2)
    connection = reconcile(world, run_at=RUN_AT)
    found = connection.execute("select number, severity from recon.drift where class = 'H03'").fetchall()
    assert dict(found) == {same["number"]: "high", other["number"]: "critical"}
