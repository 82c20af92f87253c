"""Breaks are followed from run to run: opened, aged, resolved, re-opened; an untrusted run changes nothing."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from recon_runner import Compiled
from recon_world import PUSHED_AT, READ_AT, READ_ENDED_AT, RUN_AT, World, agreeing, load

BROKEN_DAYS = {3, 4, 7}
UNTRUSTED_DAY = 5


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


def replay(compiled: Compiled, connection: duckdb.DuckDBPyConnection, folder: Path, days: int) -> None:
    for day in range(1, days + 1):
        load(of_day(day, break_it=day in BROKEN_DAYS, trusted=day != UNTRUSTED_DAY), connection, folder)
        compiled.run(connection, f"run-{day:02d}", RUN_AT + timedelta(days=day))


@pytest.fixture(scope="module")
def replayed(compiled: Compiled, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("replayed")
    with duckdb.connect(str(compiled.copy(folder / "build.duckdb"))) as connection:
        replay(compiled, connection, folder, days=9)
        yield connection


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
    """Day 5's read was incomplete: its run is in the history, marked, and no case ends with it."""
    assert replayed.execute(
        "select trusted, failed_checks from recon.run_history where run_id = 'run-05'"
    ).fetchall() == [(False, "both_sides_complete")]
    assert replayed.execute("select count(*) from recon.drift_cases where resolved_by_run = 'run-05'").fetchone() == (
        0,
    )


def test_what_is_brought_forward_is_what_was_left(replayed):
    """Opening, new, resolved and revalued make the closing, and each closing is the next opening."""
    rows = replayed.execute(
        "select opening_items, new_items, resolved_items, closing_items, opening, new, resolved, revalued, closing"
        " from recon.drift_rollforward"
        " where currency = (select currency from recon.drift_cases where class = 'H04' limit 1) order by run_at"
    ).fetchall()
    assert len(rows) == 8
    for opening, new, resolved, closing, *money in rows:
        assert opening + new - resolved == closing
        assert money[0] + money[1] - money[2] + money[3] == money[4]
    assert [row[3] for row in rows[:-1]] == [row[0] for row in rows[1:]]


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
