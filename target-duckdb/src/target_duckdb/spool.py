"""Buffer the rows of a stream in a private file, one line per row, which DuckDB reads in one statement.

The values stay the JSON that the tap wrote. DuckDB splits the lines and casts each value from its text, which is exact;
its JSON reader would convert numbers to double.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from target_duckdb.messages import SEPARATOR

_BUFFER_BYTES = 1024 * 1024
_LINE = b"%b" + SEPARATOR + b"%d\n"


@dataclass(frozen=True)
class SpoolFile:
    """A closed spool: `rows` lines, each the cells of a record and its position; the longest has `longest_bytes`."""

    path: Path
    rows: int
    longest_bytes: int


class Spool:
    """Collects the rows of one stream until there are enough to load."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self.size_bytes = 0
        self.longest_bytes = 0
        self._file: BinaryIO | None = None

    def add(self, cells: bytes) -> None:
        """Append one row."""
        line = _LINE % (cells, self.rows)
        if self._file is None:
            self._file = self.path.open("wb", _BUFFER_BYTES)
        self._file.write(line)
        self.rows += 1
        self.size_bytes += len(line)
        self.longest_bytes = max(self.longest_bytes, len(line))

    def close(self) -> SpoolFile:
        """Return the collected rows as a file, and start a new one."""
        if self._file is not None:
            self._file.close()
        closed = SpoolFile(self.path, self.rows, self.longest_bytes)
        self._file, self.rows, self.size_bytes, self.longest_bytes = None, 0, 0, 0
        return closed
