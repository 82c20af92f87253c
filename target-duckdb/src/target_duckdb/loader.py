"""Load messages in one transaction, and emit the STATE only after its commit.

Records are spooled per stream and merged in batches, all inside one open transaction. If the process is killed at any
point, the database is unchanged and the tap sends the same records again.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from target_duckdb import loads
from target_duckdb.columns import columns_of, quoted
from target_duckdb.database import Database
from target_duckdb.errors import InputError, NoSchemaError
from target_duckdb.loads import Load
from target_duckdb.messages import ActivateVersion, Record, Schema, State
from target_duckdb.spool import Spool
from target_duckdb.staging import Tombstones
from target_duckdb.table import Table, rejected

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How to load; the README's table of settings explains each."""

    schema: str = "main"
    batch_rows: int = 50_000
    batch_bytes: int = 64 * 1024 * 1024
    checkpoint_rows: int = 0
    hard_delete: bool = False
    tombstones: Tombstones = field(default_factory=lambda: Tombstones("status", "deleted"))


@dataclass
class Stream:
    """A stream of this run: its current table and spool, and the state of its extract."""

    schema: Schema
    table: Table
    spool: Spool
    load: Load
    announced_version: int | None = None


def utc_now() -> datetime:
    """Return the machine's time, UTC."""
    return datetime.now(UTC)


class Loader:
    """Loads one Singer input into one schema of one database."""

    def __init__(
        self,
        database: Database,
        options: Options,
        emit_state: Callable[[bytes], None],
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.database = database
        self.options = options
        self.emit_state = emit_state
        self.now = now
        self.streams: dict[str, Stream] = {}
        self._state: bytes | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._rows_since_commit = 0

    def schema(self, message: Schema) -> None:
        """Process a SCHEMA: a stream starts, changes its schema, or (with `extract`) ends."""
        stream = self.streams.get(message.stream)
        if stream is None or not _same_schema(stream.schema, message):
            stream = self._open_stream(message, stream)
        if message.extract is not None:
            self._flush(stream)
            stream.load.finished(message.extract)
            self._retire_missing(stream, complete=bool(stream.load.complete))

    def _open_stream(self, message: Schema, before: Stream | None) -> Stream:
        if before is not None:
            self._flush(before)
        keys = message.key_properties or []
        columns = columns_of(message.schema)
        self._require_declared(message.stream, keys, {each.source for each in columns})
        table = Table(self._connected(), self.options.schema, message.stream, columns, keys, self.options.tombstones)
        table.prepare()
        spool = Spool(self._spool_path())
        load = Load.begun(message, self.now()) if before is None else before.load
        stream = self.streams[message.stream] = Stream(message, table, spool, load)
        return stream

    def _require_declared(self, stream: str, keys: list[str], properties: set[str]) -> None:
        if undeclared := [key for key in keys if key not in properties]:
            raise InputError(f"Stream {stream}: key properties {undeclared} are not in its schema.")

    def _spool_path(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="target-duckdb-", ignore_cleanup_errors=True)
        return Path(self._folder.name) / f"{len(self.streams)}.jsonl"

    def _connected(self) -> duckdb.DuckDBPyConnection:
        """Return the connection, inside a transaction."""
        if self._connection is None:
            self._connection = self.database.connect()
            self._begin(self._connection)
        return self._connection

    def _begin(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.begin()
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(self.options.schema)}")

    def record(self, message: Record) -> None:
        """Process a RECORD.

        Raises:
            NoSchemaError: no SCHEMA came before it.
        """
        stream = self._known(message.stream)
        stream.load.rows += 1
        if message.unusable:
            stream.load.rejected += 1
            rejected(message.stream, stream.table.key_text(message.values()), message.unusable, "not a JSON value")
            return
        if stream.spool.rows == 0:
            self._warn_of_unknown(stream, message)
        stream.spool.add(message.cells)
        self._rows_since_commit += 1
        if stream.spool.rows >= self.options.batch_rows or stream.spool.size_bytes >= self.options.batch_bytes:
            self._flush(stream)

    def _known(self, name: str) -> Stream:
        if name not in self.streams:
            raise NoSchemaError(f"Stream {name}: a record or version came before the stream's SCHEMA.")
        return self.streams[name]

    def _warn_of_unknown(self, stream: Stream, message: Record) -> None:
        named = {name for name in message.properties() if not name.startswith("_sdc_")}
        if unknown := named.difference(stream.schema.schema["properties"]):
            logger.warning(
                "Stream %s: these properties are not in the schema, so they are not loaded: %s",
                message.stream,
                sorted(unknown),
            )

    def _flush(self, stream: Stream) -> None:
        if stream.spool.rows == 0:
            return
        loaded = stream.table.load(stream.spool.close(), self.now())
        stream.load.rejected += loaded.rejected
        if loaded.span is not None:
            stream.load.span(*loaded.span)

    def activate_version(self, message: ActivateVersion) -> None:
        """Process an ACTIVATE_VERSION: a complete read ends; or starts, from taps that send it at both ends.

        A version announced before its first row must not retire rows: if the tap then failed, the table would be empty.
        So the first message counts as the end only if rows of the stream came before it; otherwise a second one, or
        the stream's `extract`, is the end.
        """
        stream = self._known(message.stream)
        closing = stream.load.rows > 0 or stream.announced_version == message.version
        stream.announced_version = message.version
        self._retire_missing(stream, complete=closing)

    def _retire_missing(self, stream: Stream, *, complete: bool) -> None:
        if stream.announced_version is None or not complete:
            return
        self._flush(stream)
        if stream.load.rejected:
            logger.warning(
                "Stream %s: %d rows were rejected, so no row is marked as deleted.",
                stream.schema.stream,
                stream.load.rejected,
            )
            return
        gone = stream.table.retire(stream.announced_version, self.now(), hard=self.options.hard_delete)
        stream.announced_version = None
        stream.load.swept(gone)

    def state(self, message: State) -> None:
        """Process a STATE: keep the newest one until everything before it is committed."""
        self._state = bytes(message.value)
        if 0 < self.options.checkpoint_rows <= self._rows_since_commit:
            self._commit()
            self._begin(self._connected())

    def finish(self) -> None:
        """End the load: write everything, commit, and only then emit the STATE."""
        if self._connection is not None:
            for stream in self.streams.values():
                self._flush(stream)
            loads.write(
                self._connection, self.options.schema, [each.load for each in self.streams.values()], self.now()
            )
        self._commit()
        self.close()

    def _commit(self) -> None:
        for stream in self.streams.values():
            self._flush(stream)
        if self._connection is not None:
            self._connection.commit()
        self._rows_since_commit = 0
        if self._state is not None and any(each.load.rejected for each in self.streams.values()):
            logger.warning("Rows were rejected. The STATE is not emitted, so that the tap sends them again.")
        elif self._state is not None:
            self.emit_state(self._state)
        self._state = None

    def close(self) -> None:
        """Close the database and delete the spool; what is not committed is discarded."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self.discard_spool()

    def discard_spool(self) -> None:
        """Delete the spooled rows."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _same_schema(one: Schema, other: Schema) -> bool:
    return one.schema == other.schema and (one.key_properties or []) == (other.key_properties or [])
