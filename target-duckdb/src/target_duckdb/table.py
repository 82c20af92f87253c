"""One table of the warehouse: add and widen columns, merge rows by key, mark missing rows as deleted."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import duckdb

from target_duckdb.columns import (
    DELETED_AT,
    EXTRACTED_AT,
    METADATA_NAMES,
    TIMESTAMP,
    VERSION,
    Column,
    is_ours,
    next_wider,
    quoted,
    widest,
)
from target_duckdb.errors import LoadError, MissingKeyError
from target_duckdb.spool import SpoolFile
from target_duckdb.staging import HELPERS, POSITION, SHOWN, TOMBSTONE, Staged, Staging, Tombstones

METADATA = [
    Column(EXTRACTED_AT, TIMESTAMP, EXTRACTED_AT),
    Column(DELETED_AT, TIMESTAMP, DELETED_AT),
    Column(VERSION, "BIGINT", VERSION),
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """The result of a batch: when its first and last row were extracted (None: none loaded), how many were rejected."""

    span: tuple[datetime, datetime] | None
    rejected: int


def rejected(stream: str, key: str, properties: Sequence[str], why: str) -> None:
    """Log a row that is not loaded."""
    named = ", ".join(properties)
    logger.warning(
        "Stream %s: the row %s was rejected at %s: %s. What to do: look at it at the source, or at the tap's schema.",
        stream,
        key or "(without a key)",
        named,
        why,
    )


class Table:
    """A stream's table. All work is done inside the caller's transaction."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        schema: str,
        stream: str,
        columns: Sequence[Column],
        keys: Sequence[str],
        tombstones: Tombstones,
    ) -> None:
        self.connection = connection
        self.stream = stream
        self.name = f"{quoted(schema)}.{quoted(stream)}"
        properties = [each for each in columns if each.source not in METADATA_NAMES]
        self.columns = [*properties, *METADATA]
        by_source = {each.source: each.name for each in self.columns}
        self.keys = [by_source[key] for key in keys]
        self.tombstones = tombstones
        self._existing: dict[str, str] = {}

    def prepare(self) -> None:
        """Create the table, or add and widen its columns, so that every declared type fits."""
        definitions = ", ".join(f"{quoted(each.name)} {each.type}" for each in self.columns)
        self.connection.execute(f"CREATE TABLE IF NOT EXISTS {self.name} ({definitions})")
        self._existing = self._read_columns()
        self.columns = [self._fitted(each) for each in self.columns]

    def _read_columns(self) -> dict[str, str]:
        rows = self.connection.execute(f"DESCRIBE {self.name}").fetchall()
        return {str(row[0]).lower(): str(row[1]) for row in rows}

    def _fitted(self, column: Column) -> Column:
        existing = self._existing.get(column.name.lower())
        if existing is None:
            self.connection.execute(f"ALTER TABLE {self.name} ADD COLUMN {quoted(column.name)} {column.type}")
            return column
        if existing != column.type and not is_ours(existing):
            return replace(column, type=existing)  # a user chose this type: cast to it
        return self._widened(column, existing, widest(existing, column.type))

    def _widened(self, column: Column, existing: str, wanted: str) -> Column:
        if wanted != existing:
            logger.warning("Table %s: column %s is widened from %s to %s.", self.name, column.name, existing, wanted)
            name = quoted(column.name)
            value = f"to_json({name})" if wanted == "JSON" else f"CAST({name} AS {wanted})"
            try:
                self.connection.execute(f"ALTER TABLE {self.name} ALTER COLUMN {name} TYPE {wanted} USING {value}")
            except duckdb.Error as error:
                raise LoadError(f"Table {self.name}: column {column.name} cannot become {wanted}: {error}") from error
        return replace(column, type=wanted)

    def load(self, spool: SpoolFile, now: datetime) -> Loaded:
        """Merge the spooled rows, received `now`. Reject and log a row with a value that its column cannot hold.

        Raises:
            MissingKeyError: a record has no value for a key property.
        """
        staged = self._staged(spool, now)
        if not staged.rows_count:
            return Loaded(None, staged.misfits)
        self._require_keys(staged)
        if self.keys:
            self._replace_live_rows(staged)
            if staged.has_tombstones:
                self._merge_tombstones(staged)
        else:
            self._append(staged)
        return Loaded((staged.first_at, staged.last_at), staged.misfits)

    def _staged(self, spool: SpoolFile, now: datetime) -> Staged:
        """Return the typed rows, after widening columns where that makes room for a value."""
        staging = Staging(self.connection, spool, self.columns, self.tombstones)
        staged = staging.stage(self.keys, now)
        if staged.misfits:
            before, self.columns = self.columns, [self._wide_enough(each, staging) for each in self.columns]
            if self.columns != before:
                return self._staged(spool, now)
            self._report_misfits(staging, staged.misfits)
        return staged

    def _wide_enough(self, column: Column, staging: Staging) -> Column:
        """Return the column, widened if that makes room for a value; a value of another kind never fits."""
        wider = next_wider(column.type)
        example = staging.misfit(column, wider) if wider is not None else None
        if wider is None or example is None:
            return column
        logger.warning("Stream %s: %r does not fit %s %s.", self.stream, example, column.name, column.type)
        return self._widened(column, column.type, wider)

    def _report_misfits(self, staging: Staging, count: int) -> None:
        for column in self.columns:
            for key, value in staging.misfits(column, self.keys):
                rejected(self.stream, key, [column.source], f"{value!r} is not a {column.type}")
        logger.warning("Stream %s: %d rows were rejected. The others are loaded.", self.stream, count)

    def key_text(self, values: Mapping[str, Any]) -> str:
        """Return the key of a record for a message."""
        sources = [each.source for each in self.columns if each.name in self.keys]
        return ", ".join(f"{name}={bytes(values.get(name, b'null')).decode()[:SHOWN]}" for name in sources)

    def _require_keys(self, staged: Staged) -> None:
        sources = {each.name: each.source for each in self.columns}
        for key, missing in zip(self.keys, staged.rows_without_key, strict=True):
            if missing:
                raise MissingKeyError(
                    f"Stream {self.stream}: a record has no value for its key property {sources[key]!r}."
                )

    def _replace_live_rows(self, staged: Staged) -> None:
        """Replace each row by the newest live row of its key.

        By DELETE and INSERT: an UPDATE of whole rows would stay in memory until the commit.
        """
        rows = staged.newest(self.keys, f"NOT {TOMBSTONE}")
        self.connection.execute(f"DELETE FROM {self.name} AS t USING {rows} AS s WHERE {self._same_key()}")
        self._insert(rows)

    def _same_key(self) -> str:
        return " AND ".join(f"t.{quoted(key)} = s.{quoted(key)}" for key in self.keys)

    def _merge_tombstones(self, staged: Staged) -> None:
        """Mark rows whose last record is a deletion; columns that it leaves empty keep their value."""
        deleted = quoted(DELETED_AT)
        kept = [each.name for each in self.columns if each.name != DELETED_AT]
        updates = ", ".join(f"{quoted(name)} = coalesce(s.{quoted(name)}, t.{quoted(name)})" for name in kept)
        updates += f", {deleted} = coalesce(t.{deleted}, s.{deleted})"
        columns = f"* EXCLUDE ({HELPERS}) REPLACE (coalesce({deleted}, {quoted(EXTRACTED_AT)}) AS {deleted})"
        self.connection.execute(
            f"MERGE INTO {self.name} AS t "
            f"USING (SELECT {columns} FROM {staged.newest(self.keys)} WHERE {TOMBSTONE}) AS s ON {self._same_key()} "
            f"WHEN MATCHED THEN UPDATE SET {updates} WHEN NOT MATCHED THEN INSERT BY NAME"
        )

    def _append(self, staged: Staged) -> None:
        self._insert(f"(FROM {staged.rows} ORDER BY {POSITION})")

    def _insert(self, rows: str) -> None:
        self.connection.execute(f"INSERT INTO {self.name} BY NAME SELECT * EXCLUDE ({HELPERS}) FROM {rows}")

    def retire(self, version: int, now: datetime, *, hard: bool) -> int:
        """Mark as deleted (`hard`: delete) every row that is not in the complete read `version`; return how many."""
        deleted, gone = quoted(DELETED_AT), f"{quoted(VERSION)} IS DISTINCT FROM {int(version)}"
        if hard:
            result = self.connection.execute(f"DELETE FROM {self.name} WHERE {gone}")
        else:
            statement = f"UPDATE {self.name} SET {deleted} = $now WHERE {gone} AND {deleted} IS NULL"
            result = self.connection.execute(statement, {"now": now})
        row = result.fetchone()
        return int(row[0]) if row is not None else 0
