"""Locks between processes. The system frees them when their holder dies, so they need no expiry."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from books.core.faults import Exit, Halt
from books.store import troubles

try:
    import fcntl
except ImportError:  # pragma: no cover -- Windows
    fcntl = None  # type: ignore[assignment] # checked before use


@dataclass(frozen=True)
class Held:
    """A lock that we hold."""

    release: Callable[[], None]
    is_held: Callable[[], bool]
    """Returns whether it is still ours: a database server forgets it when it is restarted."""


class Locks(Protocol):
    """Named locks, each held at most once across all processes that use the store."""

    def try_lock(self, name: str) -> Held | None:
        """Take the lock if it is free; return None if another process holds it."""
        ...


class FileLocks:
    """`flock` on files beside a SQLite store. The kernel frees a lock with its holder's last file descriptor.

    The files are never deleted: if one is unlinked while another process waits on it, there are two locks.
    """

    def __init__(self, store_path: Path) -> None:
        self._store_path = store_path

    def try_lock(self, name: str) -> Held | None:
        """Take the lock if it is free; return None if another process holds it.

        Raises:
            Halt: the lock file is a link, or cannot be made.
        """
        descriptor = self._open(name)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return Held(lambda: os.close(descriptor), lambda: True)

    def _open(self, name: str) -> int:
        plain = re.sub(r"[^A-Za-z0-9.-]", "-", name)
        path = self._store_path.with_name(f"{self._store_path.name}.{plain}.lock")
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
                raise troubles.unavailable(str(self._store_path), f"{path.name}: {error.strerror}") from error
            raise Halt(
                f"the lock file {path} cannot be opened: {error.strerror}",
                exit_code=Exit.MISCONFIGURED,
                code="lock_file",
                remedy="delete it if it is a link (ls -l shows it), and check who owns the folder",
            ) from error


class AdvisoryLocks:
    """PostgreSQL session advisory locks, each on a connection of its own: the server frees them when it ends.

    They need a session, so no connection pooler in transaction mode may stand between us and the server.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def try_lock(self, name: str) -> Held | None:
        """Take the lock if it is free; return None if another process holds it."""
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            taken = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": advisory_key(name)}).scalar()
        except BaseException:
            connection.close()
            raise
        if not taken:
            connection.close()
            return None
        return Held(lambda: _unlock(connection, name), lambda: _is_held(connection, name))


def _unlock(connection: Connection, name: str) -> None:
    """Release the lock and return the session to the pool; close a session that cannot, which releases it too."""
    try:
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": advisory_key(name)})
    except SQLAlchemyError:
        connection.invalidate()
    finally:
        connection.close()


HELD = text(
    "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid() "
    "AND objsubid = 1 AND (classid::bigint << 32) | objid::bigint = :key)"
)
"""PostgreSQL shows the upper half of a 64-bit key as classid and the lower half as objid."""


def _is_held(connection: Connection, name: str) -> bool:
    """Ask the session that took the lock; a session that was lost and reopened no longer holds it."""
    try:
        return bool(connection.execute(HELD, {"key": advisory_key(name)}).scalar())
    except SQLAlchemyError:
        connection.rollback()  # so that the session can be reopened when it is returned
        return False


def advisory_key(name: str) -> int:
    """Return a lock's name as the signed 64-bit number that PostgreSQL expects."""
    digest = hashlib.sha256(f"books:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
