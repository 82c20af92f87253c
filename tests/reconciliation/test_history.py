"""Breaks are followed from run to run: opened, aged, resolved, re-opened; an untrusted run changes nothing."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from recon_runner import KEPT, Compiled
from recon_world import PUSHED_AT, READ_AT, READ_ENDED_AT, RUN_AT, World, agreeing, load, scaled

DAYS = 14
SOAK_DAYS = 30
BROKEN_DAYS = {3, 4, 7}
UNTRUSTED_DAYS = {5, 12}
MOVING = 6  # invoices whose VAT in QuickBooks is edited, mended and edited again by chance


def of_day(number: int, *, break_it: bool, trusted: bool = True) -> World:
    """The same world on another day, with or without one break."""
    world, later = agreeing(seed=7, invoices=20), timedelta(days=number)
    invoice = world.opsmerge[world.take(lambda row: row["amount_paid"] == 0)]
    if break_it:
        world.partner(invoice["id"])["due_date"] = date(2027, 1, 1)
    world.push_runs[0]["started_at"] = PUSHED_AT + later
    world.loads = [
        (system, stream, READ_AT + later, READ_ENDED_AT + later, trusted) for system, stream, *_ in world.loads
    ]
    return world


@dataclass
class Month:
    """The days as they were replayed: the open breaks of each, by invoice: currency and exposure."""

    connection: duckdb.DuckDBPyConnection
    days: int
    open_breaks: dict[int, dict[str, tuple[str, Decimal]]] = field(default_factory=dict)


def edit_vat(world: World, edits: dict[int, Decimal]) -> dict[str, tuple[str, Decimal]]:
    """Spoil the VAT of the n-th untouched invoice by an amount; gives the breaks that follow."""
    broken = {}
    for place, amount in edits.items():
        invoice = world.opsmerge[sorted(world.untouched)[place]]
        partner = world.partner(invoice["id"])
        edit_vat_of(partner, amount)
        difference = abs(partner["tax_amount"] - invoice["tax_total"])
        broken[invoice["number"]] = (invoice["currency"], difference)
    return broken


def edit_vat_of(partner: dict, amount: Decimal) -> None:
    """Spoil the VAT of a QuickBooks invoice by an amount."""
    scaled(partner, partner["net_amount"], partner["tax_amount"] + amount)


def replay(compiled: Compiled, connection: duckdb.DuckDBPyConnection, folder: Path, days: int) -> Month:
    dice, month = random.Random(30), Month(connection, days)
    for number in range(1, days + 1):
        world = of_day(number, break_it=number in BROKEN_DAYS, trusted=number not in UNTRUSTED_DAYS)
        edits = {
            place: dice.choice([Decimal("3.00"), Decimal("7.50")]) for place in range(MOVING) if dice.random() < 0.5
        }
        month.open_breaks[number] = edit_vat(world, edits)
        load(world, connection, folder)
        compiled.run(connection, f"run-{number:02d}", RUN_AT + timedelta(days=number))
    return month


@pytest.fixture(scope="module", params=[DAYS, pytest.param(SOAK_DAYS, marks=pytest.mark.soak)])
def month(request: pytest.FixtureRequest, compiled: Compiled, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("replayed")
    with duckdb.connect(str(compiled.copy(folder / "build.duckdb"))) as connection:
        yield replay(compiled, connection, folder, request.param)


@pytest.fixture
def replayed(month: Month) -> duckdb.DuckDBPyConnection:
    return month.connection


def day(number: int) -> datetime:
    return RUN_AT + timedelta(days=number)


def test_a_case_opens_and_closes_with_its_break(replayed):
    """A break seen on days 3 and 4, absent on 6, back on 7 and gone on 8, is one case twice opened."""
    cases = replayed.execute(
        "select class, occurrence, first_seen, last_seen, resolved_at, is_open"
        " from recon.drift_cases where class = 'H04' order by occurrence"
    ).fetchall()
    assert cases == [("H04", 1, day(3), day(4), day(6), False), ("H04", 2, day(7), day(7), day(8), False)]


def test_an_untrusted_run_closes_nothing(replayed):
    """Day 5's read was incomplete: its run is in the history, marked, and no case opens or ends with it."""
    assert replayed.execute(
        "select run_id, failed_checks from recon.run_history where not trusted order by run_id"
    ).fetchall() == [("run-05", "both_sides_complete"), ("run-12", "both_sides_complete")]
    touched = "select count(*) from recon.drift_cases where {} in ('run-05', 'run-12')"
    for column in ("opened_by_run", "resolved_by_run"):
        assert replayed.execute(touched.format(column)).fetchone() == (0,)
    assert replayed.execute(
        "select count(*) > 0 from recon.drift_history where run_id = 'run-12' and not trusted"
    ).fetchone() == (True,)


def test_days_of_opening_new_resolved_revalued_and_closing(month: Month):
    """On each trusted day, per currency, the roll-forward is what the breaks give when counted in Python."""
    found = month.connection.execute(
        "select run_id, currency, opening_items, new_items, resolved_items, closing_items,"
        " opening, new, resolved, revalued, closing from recon.drift_rollforward"
    ).fetchall()
    assert {row[:2]: row[2:] for row in with_movement(found)} == counted(month)
    assert {row[0] for row in found} == {f"run-{number:02d}" for number in trusted_days(month)}


def trusted_days(month: Month) -> list[int]:
    return [number for number in range(1, month.days + 1) if number not in UNTRUSTED_DAYS]


def with_movement(rows: list[tuple]) -> list[tuple]:
    return [row for row in rows if any(row[2:])]


def counted(month: Month) -> dict[tuple[str, str], tuple]:
    """The same sums in Python. The break of the due date has no exposure, and counts as an item of its currency."""
    movements: dict[tuple[str, str], list] = defaultdict(lambda: [0, 0, 0, 0, *[Decimal(0)] * 5])
    before: dict[str, tuple[str, Decimal]] = {}
    for number in trusted_days(month):
        today = dict(month.open_breaks[number])
        if number in BROKEN_DAYS:
            today["due date"] = (due_date_currency(), Decimal(0))
        for name in before.keys() | today.keys():
            currency = (today.get(name) or before[name])[0]
            cell = movements[f"run-{number:02d}", currency]
            was, now = (side[name][1] if name in side else None for side in (before, today))
            cell[0] += was is not None
            cell[1] += was is None
            cell[2] += now is None
            cell[3] += now is not None
            cell[4] += was or 0
            cell[5] += now if was is None else 0
            cell[6] += was if now is None else 0
            cell[7] += now - was if was is not None and now is not None else 0
            cell[8] += now or 0
        before = today
    return {key: tuple(cell) for key, cell in movements.items()}


def due_date_currency() -> str:
    world = agreeing(seed=7, invoices=20)
    return str(world.opsmerge[world.take(lambda row: row["amount_paid"] == 0)]["currency"])


ACCEPTED_DAYS = {2, 4, 5}  # accepted, then out of date, then accepted twice, then no longer


def accepting(number: int) -> World:
    """A day with one break that is accepted or not, and from the third day on with one that nobody accepts."""
    world = of_day(number, break_it=True)
    edit_vat(world, {0: Decimal("3.00")} if number >= 3 else {})
    [due] = [row for row in world.quickbooks.values() if row["due_date"] == date(2027, 1, 1)]
    [own] = [row for row in world.opsmerge.values() if row["number"] == due["doc_number"]]
    edit_vat_of(due, Decimal("9.00"))
    until = day(number).date() - timedelta(days=number not in ACCEPTED_DAYS)
    both = [
        {"class": "H04", "opsmerge_value": str(own["due_date"]), "ledger_value": "2027-01-01"},
        {"class": "A02", "opsmerge_value": f"VAT {own['tax_total']}", "ledger_value": f"VAT {due['tax_amount']}"},
    ]
    world.accepted = [{**each, "number": own["number"], "until": until} for each in both if number < 6]
    return world


def test_accepted_breaks_count_alike_everywhere(compiled: Compiled, database: Path, tmp_path: Path):
    """Accepted, out of date, accepted again, taken out: every table counts the same open breaks, and the sums tie."""
    closing = []
    with duckdb.connect(str(database)) as connection:
        for number in range(1, 7):
            load(accepting(number), connection, tmp_path)
            compiled.run(connection, f"run-{number}", day(number))
            counts = {name: connection.execute(sql).fetchone() for name, sql in OPEN_BREAKS.items()}
            assert len(set(counts.values())) == 1, (number, counts)
            closing.append(counts["history"][0])
        assert closing == [2, 0, 3, 1, 1, 3]
        assert connection.execute(
            "select run_id, opening_items, new_items, resolved_items, closing_items,"
            " opening + new - resolved + revalued = closing from recon.drift_rollforward where closing + opening > 0"
            " or opening_items + closing_items > 0 order by run_id"
        ).fetchall() == [
            ("run-1", 0, 2, 0, 2, True),
            ("run-2", 2, 0, 2, 0, True),
            ("run-3", 0, 3, 0, 3, True),
            ("run-4", 3, 0, 2, 1, True),
            ("run-5", 1, 0, 0, 1, True),
            ("run-6", 1, 2, 0, 3, True),
        ]


NEWEST = "run_id = (select run_id from statement.run)"
OPEN_BREAKS = {
    "run_history": f"select breaks, (select sum(exposure) from recon.drift where bucket = 'break' and not accepted)"
    f" from recon.run_history where {NEWEST}",
    "history": "select count(*), sum(exposure) from recon.drift_history"
    f" where bucket = 'break' and not accepted and {NEWEST}",
    "rollforward": f"select sum(closing_items), nullif(sum(closing), 0) from recon.drift_rollforward where {NEWEST}",
    "ageing": "select coalesce(sum(items), 0), sum(exposure) from recon.drift_ageing",
    "summary": "select sum(items), nullif(sum(exposure), 0) from recon.drift_summary where bucket = 'break'",
    "daily": f"select sum(items), nullif(sum(exposure), 0) from recon.drift_daily where bucket = 'break' and {NEWEST}",
}


def test_the_daily_summary_is_kept(month, replayed):
    """Each run leaves its totals per class, tolerated pennies too, which are too many to be kept one by one."""
    runs = replayed.execute(
        "select count(distinct run_id) from recon.drift_daily where bucket = 'tolerated'"
    ).fetchone()
    assert runs == (month.days,)
    assert replayed.execute(
        "select run_id, items, new_items from recon.drift_daily where class = 'H04' order by run_at"
    ).fetchall() == [("run-03", 1, 1), ("run-04", 1, 0), ("run-07", 1, 1)]


def test_a_run_that_is_repeated_replaces_its_own_rows(compiled: Compiled):
    """Whatever is kept over runs is first cleared of this run's rows, so that the same run again adds nothing."""
    kept = {model["name"]: model for model in compiled.models if model["config"]["materialized"] == "incremental"}
    assert kept.keys() == set(KEPT)
    for name, model in kept.items():
        if name == "trusted_documents":
            continue  # of the last trusted run only, whichever it was
        [hook] = model["config"]["pre-hook"]
        assert hook["sql"].startswith(f"delete from recon.{name} where run_id = (select run_id from"), name


def test_age_counts_from_the_first_sight(compiled: Compiled, database: Path, tmp_path: Path):
    """Across runs a break keeps the day it was first seen; running one run again changes nothing."""
    with duckdb.connect(str(database)) as connection:
        for run_id, number in [("a", 1), ("b", 3), ("b", 3)]:
            load(of_day(number, break_it=True), connection, tmp_path)
            compiled.run(connection, run_id, RUN_AT + timedelta(days=number))
        assert connection.execute("select first_seen, age_days from recon.drift where class = 'H04'").fetchall() == [
            (day(1), 2)
        ]
        assert connection.execute("select count(*) from recon.drift_history where class = 'H04'").fetchone() == (2,)
        assert connection.execute("select band, items from recon.drift_ageing where class = 'H04'").fetchall() == [
            ("2-7", 1)
        ]
