"""Publish the warehouse: what a run built becomes, whole and at once, what readers open.

Loads and dbt write `build.duckdb`; readers open `books.duckdb`. One rename swaps the old for the new, so that a reader
sees the one or the other and never half of either, and never makes a load wait.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import duckdb

from books.faults import Exit, Halt


def publish(build: Path, published: Path) -> Path:
    """Put a copy of `build` in the place of `published`; return `published`.

    A kill at any moment leaves the old file whole; at worst a file ending in `.new` stays, for the next run to
    overwrite.

    Raises:
        Halt: there is nothing built yet (misconfigured), or another process is writing it (try later).
    """
    if not build.is_file():
        raise Halt(
            f"there is no warehouse at {build}",
            exit_code=Exit.MISCONFIGURED,
            code="nothing_built",
            remedy="run `meltano run reconcile` first",
        )
    new = published.with_name(published.name + ".new")
    _copy_settled(build, new)
    new.replace(published)
    _sync_folder(published.parent)
    return published


def _copy_settled(build: Path, new: Path) -> None:
    """Copy while we hold the database, so that nobody writes into it meanwhile; its log is folded in first."""
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
        connection.execute("force checkpoint")
        shutil.copyfile(build, new)
    with new.open("rb+") as copied:
        os.fsync(copied.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
