"""Open the state store by its URL, migrate it, and run short transactions, locks and clocks on it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pendulum
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from books.core import paths, redact
from books.core.clock import Clock, SystemClock
from books.core.faults import Exit, Halt
from books.store import schema, troubles
from books.store.locks import AdvisoryLocks, FileLocks, Held, Locks, advisory_key

BUSY_SECONDS = 30
"""How long to wait for another process's transaction; each takes milliseconds."""

CONNECT_SECONDS = 10
"""How long PostgreSQL may take to accept a connection."""

MIGRATION_WAIT_SECONDS = 60
"""How long to wait while another process migrates the store."""

POLL_SECONDS = 0.03
"""Between two tries for a lock that another process holds; jitter adds up to as much again."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_WRITE = "books_write"


@dataclass(frozen=True)
class Steady:
    """A reading of the clock that all users of the store share: seconds within an epoch (one boot, one server)."""

    epoch: str
    seconds: float


class Store:
    """One state store. Keep transactions short, never nest them, never hold one over a call to a vendor."""

    def __init__(self, engine: Engine, locks: Locks, clock: Clock) -> None:
        self.engine = engine
        self.place = troubles.place(engine.url)
        self._file = _identity(Path(self.place)) if engine.dialect.name == "sqlite" else None
        self._locks = locks
        self._clock = clock

    @classmethod
    def open(cls, url: str, clock: Clock | None = None) -> Store:
        """Open a store: create it if it is missing, and migrate it to the newest revision.

        `url` is `sqlite:///<path>` (relative to the project) or `postgresql://...`.

        Raises:
            Halt: MISCONFIGURED (unknown kind of store, readable by others, written by a newer version)
                or TRY_LATER (the server cannot be reached).
        """
        clock = clock or SystemClock()
        address = _parse(url)
        if address.get_backend_name() == "sqlite":
            store = _open_sqlite(address, clock)
        else:
            redact.register((address.password,))
            store = _open_postgresql(address, clock)
        try:
            store.migrate()
        except BaseException:
            store.close()
            raise
        return store

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Open a transaction that writes: commit at the end, roll back on an exception. SQLite runs one at a time.

        Raises:
            Halt: TRY_LATER or MISCONFIGURED; the store is unreachable, locked, full, read-only or damaged (`troubles`).
        """
        with self._checked(), self.engine.connect().execution_options(**{_WRITE: True}) as connection:
            with connection.begin():
                yield connection
            self._require_same_file()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that only reads.

        Raises:
            Halt: as `begin`.
        """
        with self._checked(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _checked(self) -> Iterator[None]:
        """Check that the file is still the same, and turn refusals of the database into Halt."""
        self._require_same_file()
        with troubles.as_halt(self.place):
            yield

    def _require_same_file(self) -> None:
        """Refuse a store file that was removed or replaced: what SQLite commits to the old one is lost.

        Raises:
            Halt: TRY_LATER; the file at the store's path is missing, or not the one that this run opened.
        """
        if self._file is not None and _identity(Path(self.place)) != self._file:
            raise troubles.unavailable(self.place, "the file was removed or replaced while this run worked")

    @contextmanager
    def lock(self, name: str, wait_seconds: float) -> Iterator[Callable[[], bool]]:
        """Hold a named lock across all processes; the system frees it when its holder dies.

        Yields a function that says whether the lock is still ours (a PostgreSQL server forgets it when restarted).

        Raises:
            Halt: TRY_LATER; another process held it for all of `wait_seconds`.
        """
        deadline = self._clock.monotonic() + wait_seconds
        while (held := self._try_lock(name)) is None:
            if self._clock.monotonic() >= deadline:
                raise _busy(name, wait_seconds)
            self._clock.sleep(POLL_SECONDS * (1 + self._clock.random()))
        try:
            yield held.is_held
        finally:
            held.release()

    def is_locked(self, name: str) -> bool:
        """Return whether a process holds a lock now. For display only: it may change at any moment."""
        held = self._try_lock(name)
        if held is not None:
            held.release()
        return held is None

    def _try_lock(self, name: str) -> Held | None:
        with troubles.as_halt(self.place):
            return self._locks.try_lock(name)

    def now(self, connection: Connection) -> pendulum.DateTime:
        """Return the store's wall clock, UTC: the server's with PostgreSQL, unless a clock for tests was passed in."""
        if self._asks_server:
            moment: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
            return pendulum.instance(moment).in_timezone("UTC")
        return self._clock.now()

    def steady(self, connection: Connection) -> Steady:
        """Return the store's steady clock, to compare times between processes.

        On one machine it is the monotonic clock, which no correction of the wall clock moves, with the boot it counts
        from; with PostgreSQL it is the server's clock, because the machines' clocks differ.
        """
        if self._asks_server:
            seconds = connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
            return Steady("server", float(seconds))
        return Steady(_boot_id(), self._clock.monotonic())

    def serialise(self, connection: Connection, name: str) -> None:
        """Let one transaction at a time, across all processes, past this point until it ends.

        In SQLite a transaction that writes is alone already.
        """
        if self.engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": advisory_key(name)})

    def next_seq(self, connection: Connection) -> int:
        """Return the next number of the store's only sequence.

        In PostgreSQL the counter is held until the transaction ends, so that numbers become visible in their order.
        """
        statement = text(
            "INSERT INTO counter (name, value) VALUES ('seq', 1) "
            "ON CONFLICT (name) DO UPDATE SET value = counter.value + 1 RETURNING value"
        )
        return int(connection.execute(statement).scalar_one())

    def purge(self) -> None:
        """Remove what free pages still hold of deleted rows.

        SQLite: the file is rewritten. PostgreSQL: VACUUM; the server overwrites the space later.
        """
        if self.engine.dialect.name == "sqlite":
            self._outside_transactions("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)")
            return
        with self._checked(), self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"VACUUM {', '.join(schema.load_tables().tables)}")

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @property
    def clock(self) -> Clock:
        """The clock by which this process waits."""
        return self._clock

    @property
    def _asks_server(self) -> bool:
        return self.engine.dialect.name == "postgresql" and isinstance(self._clock, SystemClock)

    def migrate(self) -> None:
        """Migrate the store if needed: one process does it while the others wait."""
        with self.read() as connection:
            if _at_head(connection):
                return
        with self.lock("migrate", MIGRATION_WAIT_SECONDS):
            if self.engine.dialect.name == "sqlite":  # readers and the writer do not block each other; kept in the file
                self._outside_transactions("PRAGMA journal_mode = WAL")
            with self.begin() as connection:
                schema.load_tables()
                schema.upgrade(connection, self.place)

    def _outside_transactions(self, *statements: str) -> None:
        """Run statements that SQLite refuses inside a transaction."""
        with self._checked(), closing(self.engine.raw_connection()) as raw:
            for statement in statements:
                raw.cursor().execute(statement)


def _at_head(connection: Connection) -> bool:
    """Return whether the store is at the newest revision: one query, without Alembic."""
    return schema.revision(connection) == schema.HEAD


def _parse(url: str) -> URL:
    """Return the parsed store_url. Messages do not repeat it: it may hold a password.

    Raises:
        Halt: MISCONFIGURED; it is not the URL of a store.
    """
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: the port is not a number
        address = None
    if address is None or address.get_backend_name() not in ("sqlite", "postgresql"):
        raise _misconfigured("store_url must be sqlite:///<path> or postgresql://<user>@<host>/<database>")
    if address.get_backend_name() == "sqlite" and address.database in (None, "", ":memory:"):
        raise _misconfigured("store_url must name a file: a store in memory cannot be shared between processes")
    if address.get_backend_name() == "sqlite" and "?" in url:
        raise _misconfigured(
            f"store_url has a `?` after sqlite:///{address.database}: a store's path may not contain one"
        )
    return address


def _open_sqlite(address: URL, clock: Clock) -> Store:
    path = paths.resolve(str(address.database)).resolve()  # follow links, so that one file has one lock
    _make_private_file(path)
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        connect_args={"timeout": BUSY_SECONDS},
        hide_parameters=True,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return Store(engine, FileLocks(path), clock)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the identity (device and inode) of the file at a path; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Set up a connection: we begin transactions ourselves, and a commit is on the disk before it returns."""
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Begin a transaction. A writer takes the lock at once, so that what it reads first cannot be outdated."""
    writes = connection.get_execution_options().get(_WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _make_private_file(path: Path) -> None:
    """Create the file and its folder for their owner only; refuse a file that others may read: it holds tokens."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        found = os.fstat(descriptor)
        os.close(descriptor)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
            raise troubles.unavailable(str(path), str(error.strerror)) from error
        raise _misconfigured(f"the store {path} cannot be opened: {error.strerror}") from error
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        raise Halt(
            f"the store {path} holds tokens, and other users may read or write it (mode {mode:o})",
            exit_code=Exit.MISCONFIGURED,
            code="store_not_private",
            remedy=f"chmod 600 {path}",
        )
    if found.st_nlink > 1:
        raise Halt(
            f"the store {path} has {found.st_nlink} hard links: each name would have its own lock",
            exit_code=Exit.MISCONFIGURED,
            code="store_two_names",
            remedy=f"keep one name (`find / -xdev -samefile {path}` lists them); symbolic links (`ln -s`) are allowed",
        )


def _open_postgresql(address: URL, clock: Clock) -> Store:
    engine = create_engine(
        address.set(drivername="postgresql+psycopg"),
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "opsmerge-books",
            "options": f"-c lock_timeout={BUSY_SECONDS}s -c idle_in_transaction_session_timeout={2 * BUSY_SECONDS}s",
        },
        pool_pre_ping=True,
        hide_parameters=True,
    )
    return Store(engine, AdvisoryLocks(engine), clock)


def _misconfigured(message: str) -> Halt:
    return Halt(message, exit_code=Exit.MISCONFIGURED, code="store", remedy="correct store_url")


def _busy(name: str, wait_seconds: float) -> Halt:
    return Halt(
        f"another process has held the lock {name!r} for {wait_seconds:.0f} seconds",
        exit_code=Exit.TRY_LATER,
        code="lock_busy",
        remedy="run again later; `books status` shows what is running",
    )


@cache
def _boot_id() -> str:
    """Return the id of this boot of this machine, or a constant where there is none: see `transport.governor`."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return "boot"
