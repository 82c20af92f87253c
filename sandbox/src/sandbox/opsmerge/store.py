"""The documents of one OpsMerge tenant, in SQLite: in memory, or in a file that outlives a killed process."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox.opsmerge import wire
from sandbox.opsmerge.documents import Document

SCHEMA = """
create table if not exists document (
  kind text not null, id text not null, updated_at text not null, parent text, status text, body text not null,
  primary key (kind, id)
) without rowid;
create index if not exists document_by_change on document (kind, updated_at, id);
create index if not exists document_by_parent on document (kind, parent);
create table if not exists setting (name text primary key, value text not null) without rowid;
"""

Position = tuple[str, str]
"""Where a page begins: after this (updated_at, id)."""


class Store:
    """Documents by kind and id, ordered by (updated_at, id); `parent` is a payment's invoice."""

    def __init__(self, file: Path | None) -> None:
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(file or ":memory:", isolation_level=None, check_same_thread=False)
        self._db.executescript("pragma journal_mode=wal; pragma synchronous=normal;" + SCHEMA)
        self._lock = threading.RLock()
        self._depth = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a transaction: everything written inside is committed, or nothing. The outermost one commits."""
        with self._lock:
            if self._depth == 0:
                self._db.execute("begin immediate")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._db.execute("rollback")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._db.execute("commit")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def clear(self) -> None:
        """Forget all documents and settings."""
        with self.transaction():
            self._db.execute("delete from document")
            self._db.execute("delete from setting")

    def put(self, kind: str, document: Document, updated_at: str, parent: str | None = None) -> None:
        """Write one document."""
        row = (kind, document["id"], updated_at, parent, document.get("status"), wire.dumps(document))
        self._rows("insert or replace into document values (?, ?, ?, ?, ?, ?)", row)

    def get(self, kind: str, identifier: str) -> Document | None:
        """Return one document, or None."""
        found = self._rows("select body from document where kind = ? and id = ?", (kind, identifier))
        return wire.loads(found[0][0]) if found else None

    def children(self, kind: str, parent: str) -> list[Document]:
        """Return the documents of one parent, by id."""
        found = self._rows("select body from document where kind = ? and parent = ? order by id", (kind, parent))
        return [wire.loads(body) for (body,) in found]

    def all(self, kind: str, status: str | None = None) -> list[Document]:
        """Return all documents of a kind, by id, those of one status if given."""
        where, values = ("and status = ?", (status,)) if status else ("", ())
        found = self._rows(f"select body from document where kind = ? {where} order by id", (kind, *values))
        return [wire.loads(body) for (body,) in found]

    def find(self, kind: str, field: str, value: str) -> Document | None:
        """Return the first document whose field has this value, or None."""
        sql = "select body from document where kind = ? and json_extract(body, '$.' || ?) = ? limit 1"
        found = self._rows(sql, (kind, field, value))
        return wire.loads(found[0][0]) if found else None

    def counts(self) -> dict[str, int]:
        """Return how many documents of each kind there are."""
        return {str(kind): int(n) for kind, n in self._rows("select kind, count(*) from document group by kind", ())}

    def page(
        self, kind: str, after: Position, since: str, statuses: Sequence[str], limit: int
    ) -> list[tuple[str, str, str]]:
        """Return up to `limit` rows (updated_at, id, body as JSON text) after a position, oldest change first.

        A row that changes moves behind every position given out before, so a reader of pages may meet it twice but
        never misses it.
        """
        where = f" and status in ({', '.join('?' * len(statuses))})" if statuses else ""
        return self._rows(
            "select updated_at, id, body from document where kind = ? and updated_at >= ?"
            f" and (updated_at, id) > (?, ?){where} order by updated_at, id limit ?",
            (kind, since, *after, *statuses, limit),
        )

    def setting(self, name: str, default: Any) -> Any:
        """Return a setting, or the default."""
        found = self._rows("select value from setting where name = ?", (name,))
        return wire.loads(found[0][0]) if found else default

    def set(self, name: str, value: Any) -> None:
        """Write a setting."""
        self._rows("insert or replace into setting values (?, ?)", (name, wire.dumps(value)))

    def _rows(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()
