"""A truncated read is never trusted: rows lost after the tap are counted, and documents that vanish before it too."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from recon_runner import Compiled
from recon_world import READ_AT, RUN_AT, agreeing, load
from rich.console import Console

from books.report import build_report, print_summary

INVOICES, LOST = 1_002, 50  # a tenth of the case that was seen: 500 of 10,020 invoices
A_MINUTE = timedelta(minutes=1)
PAGE = f"(select id from raw_opsmerge.invoices order by id limit {LOST})"
LOST_AFTER_THE_TAP = f"delete from raw_opsmerge.invoices where id in {PAGE}"
LOST_BEFORE_THE_TAP = (
    f"update raw_opsmerge.invoices set _sdc_deleted_at = timestamptz '2026-11-22 06:01:00+00' where id in {PAGE};"
    " update raw_opsmerge._loads set rows = rows - 50 where stream = 'invoices'"
)
ONE_CHANGED = (
    "update raw_opsmerge.invoices set updated_at = timestamptz '2026-11-22 05:55:00+00'"
    " where id = (select max(id) from raw_opsmerge.invoices)"
)


@pytest.fixture(scope="module")
def large(compiled: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse of many invoices on each side, with one trusted run."""
    folder = tmp_path_factory.mktemp("large")
    database = compiled.copy(folder / "build.duckdb")
    with duckdb.connect(str(database)) as connection:
        load(agreeing(seed=71, invoices=INVOICES), connection, folder)
        compiled.run(connection, "run-1", RUN_AT)
        assert connection.execute("select trusted from recon.run_history").fetchall() == [(True,)]
    return database


@pytest.fixture
def warehouse(large: Path, tmp_path: Path):
    """The same warehouse, to be spoiled."""
    copy = tmp_path / "build.duckdb"
    copy.write_bytes(large.read_bytes())
    with duckdb.connect(str(copy)) as connection:
        yield connection


def next_run(compiled: Compiled, connection: duckdb.DuckDBPyConnection, run_id: str = "run-2") -> list[str]:
    """Run again on what is in the raw tables; the gates that fail."""
    compiled.run(connection, run_id, RUN_AT + A_MINUTE * int(run_id[-1]))
    failed = "select check_name from recon.checks where is_gate and not ok order by 1"
    return [name for (name,) in connection.execute(failed).fetchall()]


def said(connection: duckdb.DuckDBPyConnection, folder: Path) -> str:
    """All that the report says of the run, in every form that holds text."""
    database = Path(connection.execute("select path from duckdb_databases() where not internal").fetchone()[0])
    connection.close()
    paths = build_report(database, folder / "reports")
    console = Console(record=True, width=200, file=(folder / "terminal.txt").open("w"))
    print_summary(database, console=console)
    return console.export_text() + "".join(
        path.read_text() for path in (paths.html, paths.csv, paths.markdown)
    )


@pytest.mark.parametrize("loss", [LOST_AFTER_THE_TAP, LOST_BEFORE_THE_TAP], ids=["after the tap", "before the tap"])
def test_a_truncated_read_is_not_trusted(compiled: Compiled, warehouse, tmp_path: Path, loss: str):
    """One of twenty invoices is lost while another changes: the run is not trusted, and nobody is told to void."""
    warehouse.execute(ONE_CHANGED)
    warehouse.execute(loss)
    assert next_run(compiled, warehouse) != []
    assert warehouse.execute("select trusted from recon.run_history where run_id = 'run-2'").fetchone() == (False,)
    text = said(warehouse, tmp_path)
    assert "Do not act" in text
    assert "void it in QuickBooks" not in text
