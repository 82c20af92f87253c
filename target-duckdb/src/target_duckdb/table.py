"""One table of the warehouse: its columns grow, its rows are merged by key, its gone rows are marked."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

import duckdb

from target_duckdb.columns import Column, fits, listed, next_wider, quoted, widest
from target_duckdb.errors import InputError, LoadError
from target_duckdb.spool import DELETED_AT, EXTRACTED_AT, POSITION, VERSION, SpoolFile

TIMESTAMP = "TIMESTAMP WITH TIME ZONE"
METADATA = [
    Column(EXTRACTED_AT, TIMESTAMP, EXTRACTED_AT, plain=True),
    Column(DELETED_AT, TIMESTAMP, DELETED_AT, plain=True),
    Column(VERSION, "BIGINT", VERSION, plain=True),
]
_OUR_TYPES = ("BIGINT", "BOOLEAN", "DATE", "DOUBLE", "JSON", "VARCHAR", TIMESTAMP)
_MIN_OBJECT_BYTES = 16 * 1024 * 1024

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tombstones:
    """Which rows announce a deletion: those whose `column` holds `value`."""

    column: str
    value: str


class Table:
    """A stream's table. All work happens inside the caller's transaction."""

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
        properties = [each for each in columns if each.source not in (EXTRACTED_AT, DELETED_AT, VERSION)]
        self.columns = [*properties, *METADATA]
        by_source = {each.source: each.name for each in self.columns}
        self.keys = [by_source[key] for key in keys]
        self.tombstones = tombstones
        self._existing: dict[str, str] = {}
        self._raw = self._staged = ""

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
        if existing != column.type and not (existing in _OUR_TYPES or existing.startswith("DECIMAL")):
            return replace(column, type=existing)  # somebody's own choice of type: cast to it
        return self._widened(column, existing, widest(existing, column.type))

    def _widened(self, column: Column, existing: str, wanted: str) -> Column:
        if wanted != existing:
            logger.warning("Table %s: column %s widens from %s to %s.", self.name, column.name, existing, wanted)
            name = quoted(column.name)
            value = f"to_json({name})" if wanted == "JSON" else f"CAST({name} AS {wanted})"
            try:
                self.connection.execute(f"ALTER TABLE {self.name} ALTER COLUMN {name} TYPE {wanted} USING {value}")
            except duckdb.Error as error:
                raise LoadError(f"Table {self.name}: column {column.name} cannot become {wanted}: {error}") from error
        return replace(column, type=wanted)

    def load(self, spool: SpoolFile, now: datetime) -> None:
        """Merge the spooled rows, received `now`. Within them the last row of a key wins.

        Raises:
            InputError: a value is not of the type that the tap's schema promises.
        """
        self._raw = self._read(spool)
        self.columns = [self._wide_enough(each) for each in self.columns]
        self._staged = self._typed(now)
        if self.keys:
            self._merge_live_rows()
            if self._has_tombstones():
                self._merge_tombstones()
        else:
            self._append()

    def _read(self, spool: SpoolFile) -> str:
        """The spool as a Parquet file, every value as text: a temporary table would stay until the commit."""
        texts = ", ".join(f"{_literal(each.name)}: 'VARCHAR'" for each in self.columns)
        size = max(_MIN_OBJECT_BYTES, spool.longest_bytes + 1)
        parquet = _literal(f"{spool.path}.parquet")
        self.connection.execute(
            f"COPY (FROM read_json({_literal(str(spool.path))}, format = 'newline_delimited', "
            f"columns = {{{texts}, '{POSITION}': 'BIGINT'}}, maximum_object_size = {size})) "
            f"TO {parquet} (FORMAT parquet, COMPRESSION snappy)"
        )
        return f"read_parquet({parquet})"

    def _wide_enough(self, column: Column) -> Column:
        condition = fits(quoted(column.name), column.type)
        if condition is None or (example := self._misfit(column, condition)) is None:
            return column
        wider = next_wider(column.type)
        if wider is None:
            raise InputError(
                f"Stream {self.stream}: property {column.source!r} is declared as {column.type}, "
                f"but a record holds {example!r}. The tap's schema and its records disagree."
            )
        logger.warning("Stream %s: %r does not fit %s %s.", self.stream, example, column.name, column.type)
        return self._wide_enough(self._widened(column, column.type, wider))

    def _misfit(self, column: Column, condition: str) -> str | None:
        name = quoted(column.name)
        row = self.connection.execute(
            f"SELECT {name} FROM {self._raw} WHERE {name} IS NOT NULL AND ({condition}) IS NOT TRUE LIMIT 1"
        ).fetchone()
        return None if row is None else str(row[0])

    def _typed(self, now: datetime) -> str:
        """The spooled rows with their types, as a query."""
        casts = ", ".join(f"CAST({quoted(each.name)} AS {each.type}) AS {quoted(each.name)}" for each in self.columns)
        received = f"CAST({_literal(now.isoformat())} AS {TIMESTAMP})"
        return (
            f"(SELECT * REPLACE (coalesce({quoted(EXTRACTED_AT)}, {received}) AS {quoted(EXTRACTED_AT)}), "
            f"{self._is_tombstone()} AS _sdc_tombstone FROM (SELECT {casts}, {POSITION} FROM {self._raw}))"
        )

    def _is_tombstone(self) -> str:
        announced = f"{quoted(DELETED_AT)} IS NOT NULL"
        if any(each.name == self.tombstones.column and each.type == "VARCHAR" for each in self.columns):
            value = _literal(self.tombstones.value)
            return f"({announced} OR {quoted(self.tombstones.column)} IS NOT DISTINCT FROM {value})"
        return announced

    def _has_tombstones(self) -> bool:
        row = self.connection.execute(f"SELECT bool_or(_sdc_tombstone) FROM {self._staged}").fetchone()
        return bool(row and row[0])

    def _merge_live_rows(self) -> None:
        """The newest live row of each key replaces the whole row."""
        names = [each.name for each in self.columns]
        updates = ", ".join(f"{quoted(name)} = s.{quoted(name)}" for name in names)
        newest = f"SELECT max({POSITION}) FROM {self._staged} WHERE NOT _sdc_tombstone GROUP BY {listed(self.keys)}"
        self._merge(f"SELECT * FROM {self._staged} WHERE {POSITION} IN ({newest})", updates)

    def _merge_tombstones(self) -> None:
        """A deletion that came last marks the row and changes what it says; what it leaves empty stays."""
        deleted = quoted(DELETED_AT)
        kept = [each.name for each in self.columns if each.name != DELETED_AT]
        updates = ", ".join(f"{quoted(name)} = coalesce(s.{quoted(name)}, t.{quoted(name)})" for name in kept)
        updates += f", {deleted} = coalesce(t.{deleted}, s.{deleted})"
        newest = f"SELECT max({POSITION}) FROM {self._staged} GROUP BY {listed(self.keys)}"
        source = (
            f"SELECT * REPLACE (coalesce({deleted}, {quoted(EXTRACTED_AT)}) AS {deleted}) "
            f"FROM {self._staged} WHERE _sdc_tombstone AND {POSITION} IN ({newest})"
        )
        self._merge(source, updates)

    def _merge(self, source: str, updates: str) -> None:
        match = " AND ".join(f"t.{quoted(key)} = s.{quoted(key)}" for key in self.keys)
        self.connection.execute(
            f"MERGE INTO {self.name} AS t USING (SELECT * EXCLUDE ({POSITION}, _sdc_tombstone) FROM ({source})) AS s "
            f"ON {match} WHEN MATCHED THEN UPDATE SET {updates} WHEN NOT MATCHED THEN INSERT BY NAME"
        )

    def _append(self) -> None:
        names = listed(each.name for each in self.columns)
        self.connection.execute(
            f"INSERT INTO {self.name} ({names}) SELECT {names} FROM {self._staged} ORDER BY {POSITION}"
        )

    def extract_span(self) -> tuple[datetime, datetime]:
        """When the first and the last row of the last load were extracted."""
        at = quoted(EXTRACTED_AT)
        row = self.connection.execute(f"SELECT epoch_us(min({at})), epoch_us(max({at})) FROM {self._staged}").fetchone()
        first, last = row or (0, 0)
        return _from_microseconds(first), _from_microseconds(last)

    def retire(self, version: int, now: datetime, *, hard: bool) -> int:
        """Mark (or, `hard`, remove) every row that the complete read `version` did not contain; returns how many."""
        deleted, gone = quoted(DELETED_AT), f"{quoted(VERSION)} IS DISTINCT FROM {int(version)}"
        if hard:
            result = self.connection.execute(f"DELETE FROM {self.name} WHERE {gone}")
        else:
            statement = f"UPDATE {self.name} SET {deleted} = $now WHERE {gone} AND {deleted} IS NULL"
            result = self.connection.execute(statement, {"now": now})
        row = result.fetchone()
        return int(row[0]) if row is not None else 0


def _from_microseconds(since_1970: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=since_1970)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
