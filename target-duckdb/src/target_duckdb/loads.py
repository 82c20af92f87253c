"""The table `_loads`: one row per stream and run, which says how fresh and how complete a table is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

from target_duckdb.columns import quoted
from target_duckdb.messages import Extract, Schema

COLUMNS = """
    stream VARCHAR NOT NULL,
    mode VARCHAR NOT NULL,
    extract_started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    extract_ended_at TIMESTAMP WITH TIME ZONE NOT NULL,
    "rows" BIGINT NOT NULL,
    rows_gone BIGINT NOT NULL,
    complete BOOLEAN,
    loaded_at TIMESTAMP WITH TIME ZONE NOT NULL
"""


@dataclass
class Load:
    """The state of one stream's extract while its rows arrive.

    `mode` is `full` or `incremental`. `complete` is None if the tap did not say: the end of the input proves nothing,
    since the output of a failed tap ends too. With rejected rows no extract counts as complete.
    """

    stream: str
    mode: str
    started_at: datetime
    ended_at: datetime
    rows: int = 0
    rows_gone: int = 0
    rejected: int = 0
    complete: bool | None = None
    has_span: bool = False

    @classmethod
    def begun(cls, schema: Schema, now: datetime) -> Load:
        """Return the load of a new stream; one with `bookmark_properties` is read incrementally."""
        return cls(schema.stream, "incremental" if schema.bookmark_properties else "full", now, now)

    def span(self, first: datetime, last: datetime) -> None:
        """Record that rows were extracted from `first` to `last`."""
        self.started_at = min(self.started_at, first)
        self.ended_at = max(self.ended_at, last) if self.has_span else last
        self.has_span = True

    def finished(self, extract: Extract) -> None:
        """Record what the tap says of the extract; it is incomplete if rows did not arrive."""
        self.mode = extract.mode or self.mode
        self.started_at = _utc(extract.started_at) or self.started_at
        self.ended_at = _utc(extract.ended_at) or self.ended_at
        self.complete = bool(extract.complete) and extract.rows in (None, self.rows)

    def swept(self, rows_gone: int) -> None:
        """Record the end of a complete read."""
        self.mode, self.complete = "full", True
        self.rows_gone += rows_gone


def _utc(moment: datetime | None) -> datetime | None:
    """Return the time with its zone; without an offset it is UTC, as in Singer."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def write(connection: duckdb.DuckDBPyConnection, schema: str, loads: list[Load], now: datetime) -> None:
    """Append the loads of this run, committed `now`."""
    table = f"{quoted(schema)}._loads"
    connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({COLUMNS})")
    for load in loads:
        connection.execute(
            f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                load.stream,
                load.mode,
                load.started_at,
                load.ended_at,
                load.rows,
                load.rows_gone,
                False if load.rejected else load.complete,
                now,
            ],
        )
