"""Falls: documents that the last trusted run saw and that are missing now. A person may accept a fall, once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import duckdb

from books.core.faults import Exit, Halt
from books.core.printable import printable
from books.report import words
from books.report.publish import writing
from books.report.read import Row, incomplete, nothing_built, rows

FALLS = "select * from recon.falls where is_fall and accepted_by is null order by system, stream"
ACCEPT = """
insert into recon.accepted_falls
    (connection, since_run_id, system, stream, fingerprint, gone_documents, missing_numbers, run_id, accepted_by,
    accepted_at)
values ($connection, $since_run_id, $system, $stream, $fingerprint, $gone_documents, $missing_numbers, $run_id, $by,
    $at)
"""


def read(published: Path) -> list[Row]:
    """Return the published run's falls that nobody has accepted: rows of `recon.falls`.

    Raises:
        Halt: nothing is published, or by an older version of the models (misconfigured).
    """
    if not published.is_file():
        raise nothing_built(published)
    with duckdb.connect(str(published), read_only=True) as connection:
        try:
            return rows(connection, FALLS)
        except duckdb.CatalogException as error:
            raise incomplete(published, error) from error


def accept(build: Path, falls: Sequence[Row], *, by: str, at: datetime) -> None:
    """Record that `by` accepts these falls. The next builds accept exactly them, until a run is trusted.

    Raises:
        Halt: there is no fall to accept (bad usage), or another process is writing the warehouse (try later).
    """
    if not falls:
        raise Halt(
            "no documents have vanished in the published run, so there is nothing to accept",
            exit_code=Exit.FAILED,
            code="no_fall",
            remedy="read the report again: `books report --show`",
        )
    names = (
        "connection",
        "since_run_id",
        "system",
        "stream",
        "fingerprint",
        "gone_documents",
        "missing_numbers",
        "run_id",
    )
    with writing(build) as connection:
        for fall in falls:
            connection.execute(
                ACCEPT, {**{name: fall[name] for name in names}, "by": by, "at": at.replace(tzinfo=None)}
            )


def in_words(fall: Row) -> str:
    """Return for example `opsmerge invoices: 500 of 10,020 are gone, and 500 numbers, from INV-1 to INV-500`."""
    numbers = f", and {words.count(fall['missing_numbers'], 'number')}" if fall["missing_numbers"] else ""
    of_all = f"{fall['gone_documents']:,} of {fall['known_documents']:,}"
    span = f"from {printable(fall['first_missing'])} to {printable(fall['last_missing'])}"
    return f"{fall['system']} {fall['stream']}: {of_all} are gone{numbers}, {span}, since run {fall['since_run_id']}"
