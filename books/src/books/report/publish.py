"""Publish the warehouse: replace the file that readers open by a copy of what a run built.

Loads and dbt write `build.duckdb`; readers open `books.duckdb`. One rename replaces the old file, so that a reader
sees the old or the new warehouse, never a mixture, and never makes a load wait.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from books.core.faults import Exit, Halt
from books.core.files import replacing

OF_ONE_RUN = """
select
    run_id in (select run_id from recon.run_history)
    and not exists (select 1 from recon.drift as other where other.run_id <> run.run_id)
    and not exists (select 1 from recon.control_totals as other where other.run_id <> run.run_id)
    and not exists (select 1 from recon.checks as other where other.run_id <> run.run_id)
    and not exists (select 1 from recon.drift_summary as other where other.run_id <> run.run_id)
    and not exists (select 1 from recon.drift_ageing as other where other.run_id <> run.run_id)
    and not exists (
        select 1 from staging.stg_loads as loads
        where loads.stream in ('invoices', 'payments') and loads.ended_at > run.read_until
    )
from statement.run as run
"""


def publish(build: Path, published: Path) -> Path:
    """Replace `published` by a copy of `build`; return `published`.

    A kill at any time leaves the old file intact; at worst a file ending in `.new` stays, for the next run to
    overwrite.

    Raises:
        Halt: there is nothing built yet (misconfigured), another process is writing it, or the last reconciliation in
            it did not finish (try later).
    """
    if not build.is_file():
        raise Halt(
            f"there is no warehouse at {build}",
            exit_code=Exit.MISCONFIGURED,
            code="nothing_built",
            remedy="run `meltano run reconcile` first",
        )
    with replacing(published, durable=True) as new:
        _copy_settled(build, new)
    return published


def _copy_settled(build: Path, new: Path) -> None:
    """Copy while holding the database, so that no other process writes meanwhile; first write its log into the file."""
    with writing(build) as connection:
        _require_complete(connection, build)
        connection.execute("force checkpoint")
        shutil.copyfile(build, new)


@contextmanager
def writing(build: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the warehouse that is being built, exclusively.

    Raises:
        Halt: another process is writing it (try later).
    """
    try:
        connection = duckdb.connect(str(build))
    except duckdb.IOException as error:
        raise Halt(
            f"{build.name} is being written by another process",
            exit_code=Exit.TRY_LATER,
            code="warehouse_busy",
            remedy="wait until the other run has ended, then run again",
        ) from error
    with connection:
        yield connection


def _require_complete(connection: duckdb.DuckDBPyConnection, build: Path) -> None:
    """Raise for a build that was killed between load and last table: its tables are of different runs."""
    if not connection.execute(
        "select 1 from duckdb_tables() where schema_name = 'statement' and table_name = 'run'"
    ).fetchone():
        return  # nothing reconciled yet; raw tables alone are complete
    try:
        [(of_one_run,)] = connection.execute(OF_ONE_RUN).fetchall()
    except duckdb.CatalogException:
        of_one_run = False  # killed in the very first run, or while a table was being replaced
    if not of_one_run:
        raise Halt(
            f"the last reconciliation in {build.name} did not finish; the published warehouse is unchanged",
            exit_code=Exit.TRY_LATER,
            code="build_incomplete",
            remedy="run `meltano run reconcile` again",
        )
