"""Rows on their way into DuckDB: a private file of JSON lines per stream, read by DuckDB in one go.

Every number and every nested value goes in as text, since DuckDB's JSON reader takes numbers through a double;
the cast from text is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from target_duckdb.columns import Column
from target_duckdb.errors import MissingKeyError
from target_duckdb.messages import Record

EXTRACTED_AT, DELETED_AT, VERSION, POSITION = (
    "_sdc_extracted_at",
    "_sdc_deleted_at",
    "_sdc_table_version",
    "_sdc_position",
)

_encoder = msgspec.json.Encoder()
_NULL = b"null"
_QUOTE = 34


@dataclass(frozen=True)
class SpoolFile:
    """A closed spool: `rows` lines, the longest of `longest_bytes`."""

    path: Path
    rows: int
    longest_bytes: int


class Spool:
    """Collects the rows of one stream until they are worth a load."""

    def __init__(self, path: Path, stream: str, columns: Sequence[Column], keys: Sequence[str]) -> None:
        self.path = path
        self.stream = stream
        self.keys = keys
        self.text_properties = [each.source for each in columns if not each.plain and each.type != "JSON"]
        self.json_properties = [each.source for each in columns if each.type == "JSON"]
        self.renamed = [each for each in columns if each.name != each.source]
        self.properties = {each.source for each in columns}
        self.rows = 0
        self.size_bytes = 0
        self.longest_bytes = 0
        self._file: BinaryIO | None = None

    def add(self, message: Record) -> None:
        """Append one record.

        Raises:
            MissingKeyError: the record lacks a value for a key property.
        """
        row = message.record
        self._require_keys(row)
        line = _encoder.encode(self._as_text(row, message))
        if self._file is None:
            self._file = self.path.open("wb")
        self._file.write(line)
        self._file.write(b"\n")
        self.rows += 1
        self.size_bytes += len(line)
        self.longest_bytes = max(self.longest_bytes, len(line))

    def _require_keys(self, row: dict[str, msgspec.Raw]) -> None:
        for key in self.keys:
            if key not in row or bytes(row[key]) == _NULL:
                raise MissingKeyError(f"Stream {self.stream}: a record has no value for its key property {key!r}.")

    def _as_text(self, row: dict[str, msgspec.Raw], message: Record) -> dict[str, object]:
        line: dict[str, object] = dict(row)
        for name in self.text_properties:
            raw = bytes(row.get(name, _NULL))
            if raw != _NULL and raw[0] != _QUOTE:
                line[name] = raw.decode()
        for name in self.json_properties:
            raw = bytes(row.get(name, _NULL))
            if raw != _NULL:
                line[name] = raw.decode()
        for column in self.renamed:
            line[column.name] = line.pop(column.source, None)
        line[EXTRACTED_AT] = message.time_extracted
        line[VERSION] = message.version
        line[POSITION] = self.rows
        return line

    def unknown_properties(self, message: Record) -> set[str]:
        """Properties that the schema does not name; they have no column and are left out."""
        return {name for name in message.record if name not in self.properties and not name.startswith("_sdc_")}

    def close(self) -> SpoolFile:
        """Hand over what was collected and start anew."""
        if self._file is not None:
            self._file.close()
        closed = SpoolFile(self.path, self.rows, self.longest_bytes)
        self._file, self.rows, self.size_bytes, self.longest_bytes = None, 0, 0, 0
        return closed
