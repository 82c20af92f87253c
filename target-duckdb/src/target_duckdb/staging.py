"""Cast spooled rows to the columns' types in a Parquet file, and check them.

A temporary table would stay in memory or on the disk until the commit; the file is overwritten by the next batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb

from target_duckdb.columns import DELETED_AT, EXTRACTED_AT, TIMESTAMP, Column, fits, is_ours, listed, quoted, text_of
from target_duckdb.messages import SEPARATOR, cell_names
from target_duckdb.spool import SpoolFile

POSITION, TOMBSTONE, MISFIT = "_sdc_position", "_sdc_tombstone", "_sdc_misfit"
HELPERS = f"{POSITION}, {TOMBSTONE}, {MISFIT}"
SHOWN = 80
"""Characters of a value in a message."""
MISFITS_SHOWN = 20
_ROW_GROUP_ROWS = 20_480  # each thread collects a row group in memory
_BUFFER_BYTES_MIN = 8 * 1024 * 1024


@dataclass(frozen=True)
class Tombstones:
    """Which rows are deletions: those with `value` in `column`."""

    column: str
    value: str


@dataclass(frozen=True)
class Staged:
    """One batch of a stream's rows, typed, as a query; with figures about all of them."""

    rows: str
    first_at: datetime
    last_at: datetime
    repeats_keys: bool
    has_tombstones: bool
    rows_count: int
    misfits: int
    """How many rows have a value that its column cannot hold; they are not in `rows`."""
    rows_without_key: list[int]

    def newest(self, keys: Sequence[str], condition: str = "true") -> str:
        """Return the rows that meet the condition; of several with one key, the last."""
        if not self.repeats_keys:
            return f"(FROM {self.rows} WHERE {condition})"
        last = f"SELECT max({POSITION}) FROM {self.rows} WHERE {condition} GROUP BY {listed(keys)}"
        return f"(FROM {self.rows} WHERE {POSITION} IN ({last}))"


class Staging:
    """Reads a stream's spool for one set of columns."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        spool: SpoolFile,
        columns: Sequence[Column],
        tombstones: Tombstones,
    ) -> None:
        self._connection = connection
        self._spool = spool
        self._columns = columns
        self._tombstones = tombstones

    def stage(self, keys: Sequence[str], now: datetime) -> Staged:
        """Cast all rows, received `now`, and return them with their figures."""
        parquet = literal(f"{self._spool.path}.parquet")
        self._connection.execute(
            f"COPY ({self._typed(now)}) TO {parquet} "
            f"(FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE {_ROW_GROUP_ROWS})"
        )
        casts = ", ".join(f"CAST({quoted(each.name)} AS {each.type}) AS {quoted(each.name)}" for each in self._columns)
        return self._checked(f"(SELECT {casts}, {HELPERS} FROM read_parquet({parquet}))", keys)

    def _cells(self) -> str:
        """Return the spool as a query: every value as the JSON that the tap wrote, NULL for null."""
        names = {each.source: each.name for each in self._columns}
        cells = ", ".join(f"{literal(names[source])}: 'VARCHAR'" for source in cell_names(names))
        longest = self._spool.longest_bytes + 1
        buffer = max(_BUFFER_BYTES_MIN, 2 * longest)
        return (
            f"read_csv({literal(str(self._spool.path))}, columns = {{{cells}, '{POSITION}': 'BIGINT'}}, "
            f"delim = {literal(SEPARATOR.decode())}, nullstr = 'null', quote = '', escape = '', header = false, "
            f"auto_detect = false, new_line = '\\n', max_line_size = {longest}, buffer_size = {buffer})"
        )

    def _texts(self) -> str:
        texts = ", ".join(f"{text_of(quoted(each.name), each.type)} AS {quoted(each.name)}" for each in self._columns)
        return f"(SELECT {texts}, {POSITION} FROM {self._cells()})"

    def _typed(self, now: datetime) -> str:
        """Return the typed rows as a query. Types other than ours may be unknown to Parquet; they go as text."""
        casts = ", ".join(
            f"TRY_CAST({quoted(each.name)} AS {each.type if is_ours(each.type) else 'VARCHAR'}) AS {quoted(each.name)}"
            for each in self._columns
        )
        received = f"CAST({literal(now.isoformat())} AS {TIMESTAMP})"
        return (
            f"SELECT * REPLACE (coalesce({quoted(EXTRACTED_AT)}, {received}) AS {quoted(EXTRACTED_AT)}), "
            f"{self._is_tombstone()} AS {TOMBSTONE} "
            f"FROM (SELECT {casts}, {POSITION}, {self._is_misfit()} AS {MISFIT} FROM {self._texts()})"
        )

    def _is_tombstone(self) -> str:
        announced = f"{quoted(DELETED_AT)} IS NOT NULL"
        if any(each.name == self._tombstones.column and each.type == "VARCHAR" for each in self._columns):
            value = literal(self._tombstones.value)
            return f"({announced} OR {quoted(self._tombstones.column)} IS NOT DISTINCT FROM {value})"
        return announced

    def _is_misfit(self) -> str:
        conditions = [_is_misfit(each) for each in self._columns]
        return " OR ".join(each for each in conditions if each) or "false"

    def _checked(self, rows: str, keys: Sequence[str]) -> Staged:
        at, fit = quoted(EXTRACTED_AT), f"FILTER (NOT {MISFIT})"
        keyless = ", ".join(f"count(*) FILTER ({quoted(key)} IS NULL AND NOT {MISFIT})" for key in keys)
        found = self._connection.execute(
            f"SELECT epoch_us(min({at}) {fit}), epoch_us(max({at}) {fit}), bool_or({TOMBSTONE}) {fit}, "
            f"count(*) {fit}, count(*) FILTER ({MISFIT}), "
            f"count(DISTINCT ({listed(keys) or POSITION})) {fit}, [{keyless}] FROM {rows}"
        ).fetchone()
        first, last, has_tombstones, count, misfits, distinct, without_key = found or (0, 0, False, 0, 0, 0, [])
        return Staged(
            rows=f"(FROM {rows} WHERE NOT {MISFIT})" if misfits else rows,
            first_at=_from_microseconds(first or 0),
            last_at=_from_microseconds(last or 0),
            repeats_keys=count != distinct,
            has_tombstones=bool(has_tombstones),
            rows_count=count,
            misfits=misfits,
            rows_without_key=without_key,
        )

    def misfit(self, column: Column, wider: str) -> str | None:
        """Return a value that the column cannot hold exactly but a wider one can; None if there is none."""
        condition, held = _is_misfit(column), fits(quoted(column.name), wider)
        if condition is None:
            return None
        row = self._connection.execute(
            f"SELECT {quoted(column.name)} FROM {self._texts()} WHERE {condition} AND ({held or 'true'}) LIMIT 1"
        ).fetchone()
        return None if row is None else str(row[0])[:SHOWN]

    def misfits(self, column: Column, keys: Sequence[str]) -> list[tuple[str, str]]:
        """Return the first rows with a value that the column cannot hold: their key as text, and the value."""
        condition = _is_misfit(column)
        if condition is None:
            return []
        parts = ", ".join(f"concat({literal(key + '=')}, {quoted(key)}[:{SHOWN}])" for key in keys) or "''"
        rows = self._connection.execute(
            f"SELECT concat_ws(', ', {parts}), {quoted(column.name)}[:{SHOWN}] FROM {self._texts()} "
            f"WHERE {condition} ORDER BY {POSITION} LIMIT {MISFITS_SHOWN}"
        ).fetchall()
        return [(str(row[0]), str(row[1])) for row in rows]


def _is_misfit(column: Column) -> str | None:
    name = quoted(column.name)
    condition = fits(name, column.type)
    return None if condition is None else f"({name} IS NOT NULL AND ({condition}) IS NOT TRUE)"


def _from_microseconds(since_1970: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=since_1970)


def literal(text: str) -> str:
    """Return an SQL string literal, safe for any text."""
    return "'" + text.replace("'", "''") + "'"
