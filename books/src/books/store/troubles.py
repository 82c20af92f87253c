"""Turn errors of the database into a Halt: one line that names the store, a remedy, and the exit code."""

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

LATER = "check that the disk has space and can be written, or that the database server can be reached; then run again"
RESTORE = (
    "stop every job, move the file away and restore the newest backup (docs/operations.md, Backup); without a backup "
    "run again: a new store is created and filled from both sides, and `books connect` reconnects the company"
)

_DAMAGED_SQLITE = ("malformed", "not a database")
_UNAVAILABLE_SQLITE = ("locked", "locking protocol", "readonly", "full", "disk i/o error", "unable to open")
_DAMAGED_POSTGRESQL = ("XX001", "XX002")
"""Corrupted data or index."""
_UNAVAILABLE_POSTGRESQL = ("08", "25006", "25P03", "28", "3D", "40", "53", "55P03", "57", "58")
"""Connection, read-only, idle too long, log-in, no such database, deadlock, no space, lock, shut down, I/O."""


def place(url: URL) -> str:
    """Return the store's name for messages: its file, or host and database; never user or password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    host = url.host or url.query.get("host") or "localhost"
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{host}{port}/{url.database or ''}"


@contextmanager
def as_halt(store: str) -> Iterator[None]:
    """Raise a database error of the block as a Halt; defects of ours are raised as they are.

    Raises:
        Halt: TRY_LATER (unreachable, locked, full or read-only) or MISCONFIGURED (damaged, or not a store).
    """
    try:
        yield
    except (DBAPIError, PoolTimeoutError, sqlite3.Error) as error:
        halt = _halt(error, store)
        if halt is None:
            raise
        raise halt from None


def unavailable(store: str, cause: str) -> Halt:
    """Return the fault of a store that cannot be used now."""
    return Halt(
        f"the state store {store} cannot be used: {cause}", exit_code=Exit.TRY_LATER, code=UNAVAILABLE, remedy=LATER
    )


def damaged(store: str, cause: str) -> Halt:
    """Return the fault of a damaged store."""
    return Halt(
        f"the state store {store} is damaged: {cause}", exit_code=Exit.MISCONFIGURED, code=DAMAGED, remedy=RESTORE
    )


def _halt(error: Exception, store: str) -> Halt | None:
    original = getattr(error, "orig", error)
    cause = redact.mask(" ".join(str(original).split()))
    meaning = _meaning(error, str(getattr(original, "sqlstate", None) or ""), cause.lower())
    return None if meaning is None else meaning(store, cause)


def _meaning(error: Exception, state: str, cause: str) -> Callable[[str, str], Halt] | None:
    """Return `damaged` or `unavailable`; None for a defect of ours."""
    if state:
        if state.startswith(_DAMAGED_POSTGRESQL):
            return damaged
        return unavailable if state.startswith(_UNAVAILABLE_POSTGRESQL) else None
    if any(words in cause for words in _DAMAGED_SQLITE):
        return damaged
    if isinstance(getattr(error, "orig", error), sqlite3.Error):
        return unavailable if any(words in cause for words in _UNAVAILABLE_SQLITE) else None
    return unavailable if isinstance(error, (OperationalError, InterfaceError, PoolTimeoutError)) else None
