"""What a tap emits when it has read a stream completely: the mode, the times and the number of rows.

A loader cannot distinguish a finished tap from a failed one: both end their output. So the stream's last message is
its SCHEMA once more, with one more member that other loaders ignore:

    {"type": "SCHEMA", "stream": ..., "schema": ..., "extract": {"mode": "full", "started_at": ..., "ended_at": ...,
     "rows": 150, "complete": true}}

Before it, after a complete read, comes ACTIVATE_VERSION: rows without this version no longer exist
at the source. target-duckdb stores both in its table `_loads`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib import RecordMessage, SchemaMessage
from singer_sdk.streams import Stream

from books.core.clock import Clock, SystemClock, text_of

if TYPE_CHECKING:
    from books.singer.ledger_tap import LedgerTap

FULL, INCREMENTAL = "full", "incremental"


@dataclass(slots=True)
class EndOfStream(SchemaMessage):
    """The closing SCHEMA."""

    extract: dict[str, Any] | None = None


class Extracts(Stream):
    """A stream that emits how its read ended, unless it failed. A subclass yields its records from `read`."""

    clock: Clock = SystemClock()

    def read(self, context: Any) -> Iterable[dict[str, Any]]:
        """Yield the records; call `begin_full` first where this is a complete read without a FULL_TABLE setting."""
        raise NotImplementedError

    def get_records(self, context: Any) -> Iterator[dict[str, Any]]:
        """Yield the records, and after the last one emit what kind of read it was."""
        self._started_at = self.clock.now()
        self._rows_sent = 0
        self._stream_version = None
        if self.replication_method == "FULL_TABLE":
            self.begin_full()
        yield from self.read(context)
        self._emit_end()

    def begin_full(self) -> None:
        """Make this a complete read: each row gets its version. Call it before the first record."""
        self._stream_version = int(self._started_at.timestamp() * 1000)

    def _generate_record_messages(self, record: Any) -> Iterator[RecordMessage]:  # type: ignore[override] # a generator
        for message in super()._generate_record_messages(record):
            self._rows_sent += 1
            yield message

    def _emit_end(self) -> None:
        full = self._stream_version is not None
        if self._stream_version is not None:
            self._write_activate_version_message(self._stream_version)
        extract = {
            "mode": FULL if full else INCREMENTAL,
            "started_at": text_of(self._started_at),
            "ended_at": text_of(self.clock.now()),
            "rows": self._rows_sent,
            "complete": True,
        }
        for schema in self._generate_schema_messages():
            parts = (schema.stream, schema.schema, schema.key_properties, schema.bookmark_properties)
            self._tap.write_message(EndOfStream(*parts, extract=extract))


class OfConnection(Extracts):
    """A stream of one company. Its SCHEMA says which, so that a target knows it where there is no row."""

    tap: LedgerTap

    def _generate_schema_messages(self) -> Generator[SchemaMessage, None, None]:
        for message in super()._generate_schema_messages():
            columns = message.schema.get("properties", {})
            if "connection" in columns:
                ours = {**columns["connection"], "const": self.tap.connection}
                message.schema = {**message.schema, "properties": {**columns, "connection": ours}}
            yield message
