"""One SQLite database holds everything the simulator must remember; with a folder it survives being killed.

Writes are committed before they are answered. `synchronous` is OFF: a killed process loses nothing, because the
operating system has the pages; only a crash of the machine could, and a simulator need not survive that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox.quickbooks.schema import ENTITIES, Entity, Kind

FILE = "quickbooks.db"
SQL_TYPES = {
    Kind.TEXT: "TEXT",
    Kind.EXACT: "TEXT",
    Kind.DATE: "TEXT",
    Kind.MONEY: "INTEGER",
    Kind.TIME: "INTEGER",
    Kind.FLAG: "INTEGER",
}
TABLES = """
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS company (realm TEXT PRIMARY KEY, setup BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS counter (realm TEXT, name TEXT, value INTEGER NOT NULL, PRIMARY KEY (realm, name));
CREATE TABLE IF NOT EXISTS link (
    realm TEXT, from_type TEXT, from_id INTEGER, to_type TEXT, to_id INTEGER, amount INTEGER NOT NULL,
    PRIMARY KEY (realm, from_type, from_id, to_type, to_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS link_to ON link (realm, to_type, to_id);
CREATE TABLE IF NOT EXISTS replay (
    realm TEXT, app TEXT, request_id TEXT, bid TEXT, digest BLOB, status INTEGER, body BLOB, at INTEGER,
    PRIMARY KEY (realm, app, request_id, bid)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS client (client_id TEXT PRIMARY KEY, secret TEXT, environment TEXT, redirect_uris TEXT);
CREATE TABLE IF NOT EXISTS code (
    code TEXT PRIMARY KEY, client_id TEXT, realm TEXT, redirect_uri TEXT, scope TEXT, at REAL, grant_id INTEGER
);
CREATE TABLE IF NOT EXISTS consent (
    id INTEGER PRIMARY KEY, client_id TEXT, realm TEXT, scope TEXT, authorized_at REAL, refreshed_at REAL,
    refresh_token TEXT, issued_at REAL, old_token TEXT, old_until REAL, revoked INTEGER DEFAULT 0
);
CREATE INDEX IF NOT EXISTS consent_refresh ON consent (refresh_token);
CREATE INDEX IF NOT EXISTS consent_old ON consent (old_token);
CREATE TABLE IF NOT EXISTS access (token TEXT PRIMARY KEY, consent_id INTEGER, expires_at REAL);
CREATE TABLE IF NOT EXISTS metered (client_id TEXT, month TEXT, calls INTEGER, PRIMARY KEY (client_id, month));
CREATE TABLE IF NOT EXISTS rate (currency TEXT, realm TEXT, day TEXT, rate TEXT, PRIMARY KEY (realm, currency, day));
CREATE TABLE IF NOT EXISTS notice (
    n INTEGER PRIMARY KEY, realm TEXT, entity TEXT, entity_id TEXT, verb TEXT, at REAL, due_at REAL, tries INTEGER,
    event_id TEXT, delivered_at REAL
);
CREATE TABLE IF NOT EXISTS mail (realm TEXT, day TEXT, sent INTEGER, PRIMARY KEY (realm, day));
"""


class Database:
    """The connection, with transactions that nest one level."""

    def __init__(self, folder: Path | None) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        target = ":memory:" if folder is None else str(folder / FILE)
        # the server's thread uses it; the event loop runs one handler at a time, so there is no sharing
        self._connection = sqlite3.connect(target, isolation_level=None, check_same_thread=False)
        self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA cache_size=-65536;")
        self._connection.executescript(TABLES + "".join(_table(entity) for entity in ENTITIES.values()))
        self._depth = 0

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    def run(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """Execute one statement with bound values."""
        return self._connection.execute(sql, values)

    def one(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        """Return the first row, or None."""
        row: tuple[Any, ...] | None = self._connection.execute(sql, values).fetchone()
        return row

    def all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows."""
        return self._connection.execute(sql, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a transaction; inside another one, a savepoint."""
        begin, commit, undo = _WORDS[min(self._depth, 1)]
        self._connection.execute(begin)
        self._depth += 1
        try:
            yield
        except BaseException:
            for statement in undo:
                self._connection.execute(statement)
            raise
        else:
            self._connection.execute(commit)
        finally:
            self._depth -= 1

    def empty(self) -> None:
        """Forget everything."""
        names = [str(row[0]) for row in self.all("SELECT name FROM sqlite_master WHERE type = 'table'")]
        with self.transaction():
            for name in names:
                self.run(f'DELETE FROM "{name}"')


_WORDS = (
    ("BEGIN IMMEDIATE", "COMMIT", ("ROLLBACK",)),
    ("SAVEPOINT item", "RELEASE item", ("ROLLBACK TO item", "RELEASE item")),
)


def _table(entity: Entity) -> str:
    """Return the table's columns; the document comes last, so that a filter need not read it."""
    columns = "".join(f', "{column.name}" {SQL_TYPES[column.kind]}' for column in entity.all_columns)
    create = (
        f'CREATE TABLE IF NOT EXISTS "{entity.table}" '
        f"(realm TEXT, id INTEGER, deleted INTEGER{columns}, doc BLOB, PRIMARY KEY (realm, id));"
    )
    indexes = "".join(
        f'CREATE INDEX IF NOT EXISTS "{entity.table}.{column.name}" ON "{entity.table}" (realm, "{column.name}");'
        for column in entity.all_columns
        if column.indexed
    )
    return create + indexes
