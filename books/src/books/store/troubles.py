"""What a database's refusal means for the run: one line that names the store, the way on, and the exit code."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from books.core import redact
from books.core.faults import Exit, Halt

UNAVAILABLE = "store_unavailable"
DAMAGED = "store_damaged"

LATER = "check that the disk has room and may be written, or that the database server is there, and run again"
RESTORE = (
    "stop every job, move the file away and restore the newest backup (docs/operations.md, Backup); without a backup "
    "run again: a new store is made and filled from both sides, and `books connect` reconnects the company"
)

_DAMAGED_SQLITE = ("malformed", "not a database")
_AWAY_SQLITE = ("locked", "locking protocol", "readonly", "full", "disk i/o error", "unable to open")
_DAMAGED_POSTGRESQL = ("XX001", "XX002")
"""Corrupted data or index."""
_AWAY_POSTGRESQL = ("08", "25006", "25P03", "28", "3D", "40", "53", "55P03", "57", "58")
"""Connection, read-only, idle too long, log-in, no such database, deadlock, no room, lock, shut down, I/O."""


def place(url: URL) -> str:
    """The store by the name that people know it by: its file, or host and database; never user or password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    host = url.host or url.query.get("host") or "localhost"
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{host}{port}/{url.database or ''}"


@contextmanager
def in_words(store: str) -> Iterator[None]:
    """Turn a refusal of the database into a Halt. What is a mistake of ours stays what it is.

    Raises:
        Halt: TRY_LATER (it is away, locked, full or read-only) or MISCONFIGURED (it is damaged, or is no store).
    """
    try:
        yield
    except (DBAPIError, PoolTimeoutError, sqlite3.Error) as error:
        halt = _halt(error, store)
        if halt is None:
            raise
        raise halt from None


def unavailable(store: str, cause: str) -> Halt:
    """The store cannot be used now."""
    return Halt(
        f"the state store {store} cannot be used: {cause}", exit_code=Exit.TRY_LATER, code=UNAVAILABLE, remedy=LATER
    )


def damaged(store: str, cause: str) -> Halt:
    """The store will not mend by itself."""
    return Halt(
        f"the state store {store} is damaged: {cause}", exit_code=Exit.MISCONFIGURED, code=DAMAGED, remedy=RESTORE
    )


def _halt(error: Exception, store: str) -> Halt | None:
    original = getattr(error, "orig", error)
    cause = redact.mask(" ".join(str(original).split()))
    meaning = _meaning(error, str(getattr(original, "sqlstate", None) or ""), cause.lower())
    return None if meaning is None else meaning(store, cause)


def _meaning(error: Exception, state: str, cause: str) -> Callable[[str, str], Halt] | None:
    """What kind of trouble it is; None for a mistake of ours. SQLite's driver names none before Python 3.11."""
    if state:
        if state.startswith(_DAMAGED_POSTGRESQL):
            return damaged
        return unavailable if state.startswith(_AWAY_POSTGRESQL) else None
    if any(words in cause for words in _DAMAGED_SQLITE):
        return damaged
    if isinstance(getattr(error, "orig", error), sqlite3.Error):
        return unavailable if any(words in cause for words in _AWAY_SQLITE) else None
    return unavailable if isinstance(error, (OperationalError, InterfaceError, PoolTimeoutError)) else None
