"""A truncated read is never trusted: rows lost after the tap are counted, and documents that vanish before it too."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from recon_runner import Compiled
from recon_world import RUN_AT, agreeing, load
from rich.console import Console

from books.core.faults import Halt
from books.report import build_report, falls, print_summary
from books.report.publish import publish

INVOICES, LOST = 1_002, 50  # a tenth of the case that was seen: 500 of 10,020 invoices
A_MINUTE = timedelta(minutes=1)
PAGE = f"(select id from raw_opsmerge.invoices order by id limit {LOST})"
LOST_AFTER_THE_TAP = f"delete from raw_opsmerge.invoices where id in {PAGE}"
LOST_BEFORE_THE_TAP = (
    f"update raw_opsmerge.invoices set _sdc_deleted_at = timestamptz '2026-11-22 06:01:00+00' where id in {PAGE};"
    " update raw_opsmerge._loads set rows = rows - 50 where stream = 'invoices'"
)
DRAFT = (
    "insert into raw_opsmerge.invoices (id, number, status, issue_date, currency, subtotal, tax_total, total,"
    " amount_paid, balance) values ('inv_draft', 'INV-2026-9999', 'draft', date '2026-11-02', 'GBP', 0, 0, 0, 0, 0);"
    " update raw_opsmerge._loads set rows = rows + 1 where stream = 'invoices'"
)
ONE_CHANGED = (
    "update raw_opsmerge.invoices set updated_at = timestamptz '2026-11-22 05:55:00+00'"
    " where id = (select max(id) from raw_opsmerge.invoices)"
)


@pytest.fixture(scope="module")
def large(compiled: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trusted(compiled, tmp_path_factory.mktemp("large"), INVOICES)


@pytest.fixture(scope="module")
def small(compiled: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trusted(compiled, tmp_path_factory.mktemp("small"), 120)


def trusted(compiled: Compiled, folder: Path, invoices: int) -> Path:
    """A warehouse with one trusted run."""
    database = compiled.copy(folder / "build.duckdb")
    with duckdb.connect(str(database)) as connection:
        load(agreeing(seed=71, invoices=invoices), connection, folder)
        connection.execute(DRAFT)
        compiled.run(connection, "run-1", RUN_AT)
        assert connection.execute("select trusted from recon.run_history").fetchall() == [(True,)]
    return database


def opened(database: Path, folder: Path) -> duckdb.DuckDBPyConnection:
    """A copy, to be spoiled."""
    return duckdb.connect(str(shutil.copy(database, folder / "build.duckdb")))


@pytest.fixture
def warehouse(large: Path, tmp_path: Path):
    with opened(large, tmp_path) as connection:
        yield connection


@pytest.fixture
def little(small: Path, tmp_path: Path):
    with opened(small, tmp_path) as connection:
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
    return console.export_text() + "".join(path.read_text() for path in (paths.html, paths.csv, paths.markdown))


@pytest.mark.parametrize("loss", [LOST_AFTER_THE_TAP, LOST_BEFORE_THE_TAP], ids=["after the tap", "before the tap"])
def test_a_truncated_read_is_not_trusted(compiled: Compiled, warehouse, tmp_path: Path, loss: str):
    """One of twenty invoices is lost while another changes: the run is not trusted, and nobody is told to void."""
    warehouse.execute(ONE_CHANGED)
    warehouse.execute(loss)
    assert next_run(compiled, warehouse) != []
    assert warehouse.execute("select trusted from recon.run_history where run_id = 'run-2'").fetchone() == (False,)
    text = said(warehouse, tmp_path)
    assert "Do not act" in text
    assert "the invoice in QuickBooks" not in text


def gone(table: str, condition: str, status: str | None = None) -> str:
    """A complete read that finds these rows no more; with a status, they are announced as such."""
    system, stream = table.removeprefix("raw_").split(".")
    where = f"where _sdc_deleted_at is null and {condition}"
    told = f", status = '{status}'" if status else ""
    return (
        f"update raw_{system}._loads set rows = rows - (select count(*) from {table} {where})"
        f" where stream = '{stream}';"
        f" update {table} set _sdc_deleted_at = timestamptz '2026-11-22 06:01:00+00'{told} {where}"
    )


def some(table: str, count: int) -> str:
    return f"id in (select id from {table} order by id limit {count})"


LEDGER_PAYMENTS, OURS = "raw_quickbooks.payments", "raw_opsmerge.invoices"
FALLS = [
    ("six payments of the ledger", gone(LEDGER_PAYMENTS, some(LEDGER_PAYMENTS, 6)), True),
    ("five payments of the ledger", gone(LEDGER_PAYMENTS, some(LEDGER_PAYMENTS, 5)), False),
    ("six payments, their deletion told", gone(LEDGER_PAYMENTS, some(LEDGER_PAYMENTS, 6), "deleted"), False),
    ("six invoices of the ledger", gone("raw_quickbooks.invoices", some("raw_quickbooks.invoices", 6)), True),
    ("six payments of OpsMerge", gone("raw_opsmerge.payments", some("raw_opsmerge.payments", 6)), True),
    ("one numbered invoice", gone(OURS, "id = 'inv_7'"), True),
    ("the newest number", gone(OURS, "id = 'inv_120'"), True),
    ("one numbered invoice, told as void", gone(OURS, "id = 'inv_7'", "voided"), True),
    ("one draft", gone(OURS, "id = 'inv_draft'"), False),
]


@pytest.mark.parametrize(("deed", "is_fall"), [case[1:] for case in FALLS], ids=[case[0] for case in FALLS])
def test_what_vanishes_is_a_fall_or_it_is_not(compiled: Compiled, little, deed: str, is_fall: bool):
    """More than 5 and 0.5 % of a stream gone without a deletion, or one OpsMerge number: the gate fails, else not."""
    little.execute(deed)
    assert ("documents_did_not_vanish" in next_run(compiled, little)) == is_fall


def test_a_short_list_that_is_empty_now_is_a_fall(compiled: Compiled, tmp_path: Path):
    """All payments of a small company are gone at once: fewer than 6, and still nobody deleted them one by one."""
    payments = "raw_opsmerge.payments"
    with duckdb.connect(str(trusted(compiled, tmp_path, 5))) as connection:
        (known,) = connection.execute(f"select count(*) from {payments} where not coalesce(voided, false)").fetchone()
        assert 2 < known <= 5
        connection.execute(gone(payments, "true"))
        assert "documents_did_not_vanish" in next_run(compiled, connection)


def test_the_memory_is_of_the_last_trusted_run(compiled: Compiled, little):
    """A run that is not trusted is nothing to compare with: the fall stays one until the documents are back."""
    little.execute(gone(OURS, some(OURS, 9)))
    assert next_run(compiled, little, "run-2") == ["documents_did_not_vanish"]
    assert next_run(compiled, little, "run-3") == ["documents_did_not_vanish"]
    little.execute(f"update {OURS} set _sdc_deleted_at = null")
    little.execute("update raw_opsmerge._loads set rows = rows + 9 where stream = 'invoices'")
    assert next_run(compiled, little, "run-4") == []
    assert little.execute("select distinct run_id from recon.trusted_documents").fetchall() == [("run-4",)]


def accepted(connection: duckdb.DuckDBPyConnection, folder: Path) -> duckdb.DuckDBPyConnection:
    """Publish what was built, and accept its fall as `books report --accept-fall` does."""
    connection.close()
    build = folder / "build.duckdb"
    falls.accept(build, falls.read(publish(build, folder / "books.duckdb")), by="Kim", at=RUN_AT)
    return duckdb.connect(str(build))


def test_a_person_passes_a_fall_once(compiled: Compiled, little, tmp_path: Path):
    """Accepted, the same rows are trusted; what comes back and vanishes again is a new fall."""
    little.execute(gone(OURS, some(OURS, 9)))
    assert next_run(compiled, little, "run-2") == ["documents_did_not_vanish"]
    with accepted(little, tmp_path) as after:
        assert next_run(compiled, after, "run-3") == []
        sql = "select gone_documents, missing_numbers, accepted_by, run_id from recon.accepted_falls"
        assert after.execute(sql).fetchall() == [(9, 9, "Kim", "run-2")]
        after.execute(f"update {OURS} set _sdc_deleted_at = null")
        after.execute("update raw_opsmerge._loads set rows = rows + 9 where stream = 'invoices'")
        assert next_run(compiled, after, "run-4") == []
        after.execute(gone(OURS, some(OURS, 9)))
        assert next_run(compiled, after, "run-5") == ["documents_did_not_vanish"]


@pytest.mark.parametrize("more", [gone(OURS, some(OURS, 10)), gone(LEDGER_PAYMENTS, some(LEDGER_PAYMENTS, 6))])
def test_another_fall_is_not_accepted_with_it(compiled: Compiled, little, tmp_path: Path, more: str):
    """Nine invoices are accepted; a tenth, or payments too, are not."""
    little.execute(gone(OURS, some(OURS, 9)))
    next_run(compiled, little, "run-2")
    with accepted(little, tmp_path) as after:
        after.execute(more)
        assert next_run(compiled, after, "run-3") == ["documents_did_not_vanish"]


def test_without_a_fall_nothing_is_accepted(compiled: Compiled, little, tmp_path: Path):
    """There is nothing to accept beforehand: bad usage, and no acceptance that waits for a fall to come."""
    next_run(compiled, little)
    with pytest.raises(Halt, match="nothing to accept") as halted:
        accepted(little, tmp_path)
    assert halted.value.exit_code == 1


def test_the_message_says_what_to_run(compiled: Compiled, little, tmp_path: Path):
    """The report of a fall holds both commands as they can be pasted, and nothing of it advises on a break."""
    little.execute(gone(OURS, some(OURS, 9)))
    next_run(compiled, little)
    text = said(little, tmp_path)
    assert "`meltano --environment demo run reconcile`" in text
    assert "`books --environment demo report --accept-fall`" in text
    assert "Do not act: this run is not trusted." in text
