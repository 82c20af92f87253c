"""This run's invoices, on disk: of each the last record that came, in the order of issue.

SQLite's own temporary file, gone with the connection: any number of invoices in a little memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from books.opsmerge import belonging
from books.posting import records


class Spool:
    """Takes records in any order; gives each invoice once."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(
            "CREATE TABLE invoice (id TEXT PRIMARY KEY, sort TEXT, record TEXT, connection TEXT, external_id TEXT) "
            "WITHOUT ROWID"
        )
        self._database.execute("BEGIN")

    def add(self, invoice_id: str, record: Mapping[str, Any]) -> None:
        """Keep a record; a later one of the same invoice replaces it."""
        sort = f"{str(record.get('issue_date'))[:10]} {str(record.get('number'))[:100]}"
        block = record.get("accounting")
        link = belonging.link_of(block) or (belonging.named_by(block), None)
        row = (invoice_id, sort, records.kept(record), *link)
        values = [_storable(each) if each else each for each in row]
        self._database.execute("INSERT OR REPLACE INTO invoice VALUES (?, ?, ?, ?, ?)", values)

    def chunks(self, size: int) -> Iterator[Sequence[str]]:
        """Yield the records as JSON, by date and number."""
        cursor = self._database.execute("SELECT record FROM invoice ORDER BY sort, id")
        while rows := cursor.fetchmany(size):
            yield [row[0] for row in rows]

    def blocks(self, size: int) -> Iterator[Sequence[tuple[str, dict[str, str | None]]]]:
        """Yield each invoice's id, and whose it is by its accounting block in OpsMerge."""
        cursor = self._database.execute("SELECT id, connection, external_id FROM invoice")
        while rows := cursor.fetchmany(size):
            yield [(row[0], {"connection": row[1], "external_id": row[2]}) for row in rows]

    def __contains__(self, invoice_id: str) -> bool:
        """Return whether this invoice came in this run."""
        return self._database.execute("SELECT 1 FROM invoice WHERE id = ?", (invoice_id,)).fetchone() is not None

    def __len__(self) -> int:
        """Return how many different invoices came."""
        return int(self._database.execute("SELECT count(*) FROM invoice").fetchone()[0])

    def close(self) -> None:
        """Delete everything."""
        self._database.close()


def _storable(text: str) -> str:
    """Return a text without the lone surrogates that JSON can spell and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")
