"""Leave to call: budgets, pauses, one push at a time and a breaker, for every process that works on one company.

The log of grants lies in the store, so that all processes, and with PostgreSQL all machines, count together. A grant
is stamped by the store's steady clock after the store's lock is held. A stamp that cannot be right (made before a
restart, on another machine's clock, or before the clock went back) counts as made now: too slow is safe, too fast
is not. When the store cannot be used there are no grants.

Source of the limits: Intuit, "API call limits and throttles": 500 requests a minute, 10 a second, 40 batches a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from books.core.backoff import backoff_seconds
from books.core.clock import Clock
from books.core.faults import Exit, Halt
from books.core.settings import QuickBooksSettings
from books.store import Steady, Store
from books.store.tables_infra import breaker, call, metered_reads, pause
from books.transport.call import CallKind

MARGIN_SECONDS = 0.05
"""Added to every window: calls do not all take the same time from their grant to the vendor's door."""

SLEEP_SECONDS_MIN = 0.001

PAUSE_SECONDS_MAX = 86_400.0
"""However long a vendor says to wait: after a day we ask again."""

BREAKER_FAILURES = 5
"""Consecutive failures (no connection, no answer, 5xx) after which calls stop, but for one trial at a time."""

BREAKER_SECONDS = 30.0
BREAKER_SECONDS_MAX = 300.0

PUSHES = frozenset({CallKind.WRITE, CallKind.BATCH})

Grant = tuple[float, CallKind]
"""When a call was allowed (seconds, steady) and what kind it is."""


@dataclass(frozen=True)
class Limit:
    """No window of so many seconds holds more than so many grants of these kinds."""

    name: str
    grants: int
    window_seconds: float
    kinds: frozenset[CallKind]


def limits_of(settings: QuickBooksSettings) -> tuple[Limit, ...]:
    """The three budgets of one company. A batch counts as one request, and as a batch."""
    every = frozenset(CallKind)
    return (
        Limit("requests_per_second", settings.requests_per_second, 1.0, every),
        Limit("requests_per_minute", settings.requests_per_minute, 60.0, every),
        Limit("batches_per_minute", settings.batches_per_minute, 60.0, frozenset({CallKind.BATCH})),
    )


def decide(now: float, kind: CallKind, grants: Sequence[Grant], not_before: float, limits: Sequence[Limit]) -> float:
    """Seconds to wait before a call of this kind may go; 0.0: it may go now.

    `grants` are the past ones in any order, `not_before` is the end of a pause (or anything past). All times are
    seconds on one steady clock.
    """
    waits = [_wait_for(limit, now, grants) for limit in limits if kind in limit.kinds]
    return max(0.0, not_before - now, *waits)


def _wait_for(limit: Limit, now: float, grants: Sequence[Grant]) -> float:
    """Until the oldest of the last `limit.grants` grants has left the window; negative where it has."""
    stamps = sorted(stamp for stamp, kind in grants if kind in limit.kinds)
    if len(stamps) < limit.grants:
        return 0.0
    return stamps[-limit.grants] + limit.window_seconds + MARGIN_SECONDS - now


def breaker_seconds(failures: int) -> float:
    """How long calls stop after so many consecutive failures; 0.0 below the threshold."""
    if failures < BREAKER_FAILURES:
        return 0.0
    return backoff_seconds(failures - BREAKER_FAILURES + 1, first=BREAKER_SECONDS, seconds_max=BREAKER_SECONDS_MAX)


@dataclass(frozen=True)
class GovernorState:
    """What the governor knows of one company, for people to look at."""

    used: Mapping[str, int]
    """Grants within each limit's window, by the limit's name."""
    allowed: Mapping[str, int]
    paused_seconds: float
    pause_reason: str
    consecutive_failures: int
    breaker_seconds: float
    push_in_flight: bool
    metered_reads: int
    """Successful reads of this calendar month (UTC); Intuit meters them in production."""


class Governor:
    """Gives leave to call. One for each process; they share what they know through the store."""

    def __init__(self, store: Store, clock: Clock, limits: Sequence[Limit]) -> None:
        self._store = store
        self._clock = clock
        self._limits = tuple(limits)

    @contextmanager
    def slot(self, connection: str, kind: CallKind, deadline: float) -> Iterator[float]:
        """Wait for leave to make one call, and hold the company's push lock during it where the call is a push.

        `deadline` is on `clock.monotonic()`. Gives the moment of the grant, in seconds of the store's steady clock.

        Raises:
            Halt: TRY_LATER; leave would come after the deadline, or the store cannot be used. No call was made.
        """
        with ExitStack() as held:
            if kind in PUSHES:
                held.enter_context(self.push_lock(connection, deadline))
            yield self.grant(connection, kind, deadline)

    @contextmanager
    def push_lock(self, connection: str, deadline: float) -> Iterator[Callable[[], bool]]:
        """Hold a company's push lock over several calls, each of which needs a `grant`. Gives: is it still ours?

        Raises:
            Halt: TRY_LATER; somebody else held it until the deadline.
        """
        with self._store.lock(_push_lock(connection), max(0.0, deadline - self._clock.monotonic())) as is_held:
            yield is_held

    def pause(self, connection: str, seconds: float, reason: str) -> None:
        """Stop all calls of a company, in every process, for so long; a longer pause that is on already stays."""
        seconds = min(max(seconds, 0.0), PAUSE_SECONDS_MAX)
        with self._locked(connection) as (conn, now):
            if seconds > _left(_row(conn, pause, connection), now):
                values = {"epoch": now.epoch, "until": now.seconds + seconds, "seconds": seconds, "reason": reason}
                _put(conn, pause, connection, values)

    def answered(self, connection: str, *, metered: bool) -> None:
        """Note that the vendor answered: its failures are forgotten; a metered read is counted."""
        with self._locked(connection) as (conn, _now):
            conn.execute(delete(breaker).where(breaker.c.connection == connection))
            if metered:
                self._count_read(conn, connection)

    def failed(self, connection: str) -> None:
        """Note a call without a usable answer; from the fifth in a row on, calls stop for a while."""
        with self._locked(connection) as (conn, now):
            row = _row(conn, breaker, connection)
            failures = 1 + (row["failures"] if row else 0)
            _put(conn, breaker, connection, _breaker_values(failures, now))

    def state(self, connection: str) -> GovernorState:
        """What is known now."""
        with self._locked(connection) as (conn, now):
            grants = _grants(conn, connection)
            paused, broken = _row(conn, pause, connection), _row(conn, breaker, connection)
            month = self._month(conn)
            reads = conn.execute(
                select(metered_reads.c.reads).where(
                    metered_reads.c.connection == connection, metered_reads.c.month == month
                )
            ).scalar()
        failures = broken["failures"] if broken else 0
        return GovernorState(
            used={limit.name: _used(limit, now.seconds, grants) for limit in self._limits},
            allowed={limit.name: limit.grants for limit in self._limits},
            paused_seconds=_left(paused, now),
            pause_reason=paused["reason"] if paused and _left(paused, now) else "",
            consecutive_failures=failures,
            breaker_seconds=_left(broken, now),
            push_in_flight=self._store.is_locked(_push_lock(connection)),
            metered_reads=reads or 0,
        )

    def grant(self, connection: str, kind: CallKind, deadline: float) -> float:
        """Sleep until a grant is ours; its moment. The log is asked again after each sleep: others wait too.

        Raises:
            Halt: TRY_LATER; leave would come after the deadline, or the store cannot be used. No call was made.
        """
        while True:
            wait_seconds, now = self._ask(connection, kind)
            if not wait_seconds:
                return now
            if self._clock.monotonic() + wait_seconds > deadline:
                failing = self.state(connection).breaker_seconds > 0
                raise _too_late(connection, wait_seconds, "QuickBooks keeps failing" if failing else "rate limited")
            self._clock.sleep(max(wait_seconds, SLEEP_SECONDS_MIN))

    def _ask(self, connection: str, kind: CallKind) -> tuple[float, float]:
        """Take a grant now (a wait of 0.0), or say how long to wait before asking again; and the time it is."""
        with self._locked(connection) as (conn, now):
            paused, broken = _row(conn, pause, connection), _row(conn, breaker, connection)
            not_before = now.seconds + max(_left(paused, now), _left(broken, now))
            wait_seconds = decide(now.seconds, kind, _grants(conn, connection), not_before, self._limits)
            if not wait_seconds:
                conn.execute(
                    insert(call).values(connection=connection, kind=kind.value, epoch=now.epoch, at=now.seconds)
                )
                if broken and broken["failures"] >= BREAKER_FAILURES:  # this call is the trial: others go on waiting
                    _put(conn, breaker, connection, _breaker_values(broken["failures"], now))
            return wait_seconds, now.seconds

    @contextmanager
    def _locked(self, connection: str) -> Iterator[tuple[Connection, Steady]]:
        """A transaction alone on this company's rows, the time from when that is so, and rows that fit that time."""
        try:
            with self._store.begin() as conn:
                self._store.serialise(conn, f"governor {connection}")
                now = self._store.steady(conn)
                self._tidy(conn, connection, now)
                yield conn, now
        except SQLAlchemyError as error:
            raise _closed(error) from error

    def _tidy(self, conn: Connection, connection: str, now: Steady) -> None:
        """Drop grants that left every window; bring impossible stamps to now, and pauses to their full length."""
        longest = max(limit.window_seconds for limit in self._limits) + MARGIN_SECONDS
        ours = call.c.connection == connection
        impossible = or_(call.c.epoch != now.epoch, call.c.at > now.seconds)
        conn.execute(update(call).where(ours, impossible).values(epoch=now.epoch, at=now.seconds))
        conn.execute(delete(call).where(ours, call.c.at < now.seconds - longest))
        for table in (pause, breaker):
            full = now.seconds + table.c.seconds
            stale = or_(table.c.epoch != now.epoch, table.c.until > full)
            conn.execute(
                update(table).where(table.c.connection == connection, stale).values(epoch=now.epoch, until=full)
            )

    def _count_read(self, conn: Connection, connection: str) -> None:
        month = self._month(conn)
        ours = (metered_reads.c.connection == connection) & (metered_reads.c.month == month)
        counted = conn.execute(update(metered_reads).where(ours).values(reads=metered_reads.c.reads + 1))
        if not counted.rowcount:
            conn.execute(insert(metered_reads).values(connection=connection, month=month, reads=1))

    def _month(self, conn: Connection) -> str:
        return self._store.now(conn).format("YYYY-MM")


def _push_lock(connection: str) -> str:
    return f"push {connection}"


def _grants(conn: Connection, connection: str) -> list[Grant]:
    rows = conn.execute(select(call.c.at, call.c.kind).where(call.c.connection == connection))
    return [(row.at, CallKind(row.kind)) for row in rows]


def _used(limit: Limit, now: float, grants: Sequence[Grant]) -> int:
    return sum(1 for stamp, kind in grants if kind in limit.kinds and stamp > now - limit.window_seconds)


def _row(conn: Connection, table: Table, connection: str) -> Mapping[str, Any] | None:
    """The one row of a company in `pause` or `breaker`."""
    row = conn.execute(select(table).where(table.c.connection == connection)).mappings().first()
    return dict(row) if row else None


def _put(conn: Connection, table: Table, connection: str, values: Mapping[str, Any]) -> None:
    """Write that row, whether it was there or not."""
    written = conn.execute(update(table).where(table.c.connection == connection).values(**values))
    if not written.rowcount:
        conn.execute(insert(table).values(connection=connection, **values))


def _left(row: Mapping[str, Any] | None, now: Steady) -> float:
    """Seconds of a pause that are left; its epoch is ours (see `_tidy`)."""
    return max(0.0, row["until"] - now.seconds) if row else 0.0


def _breaker_values(failures: int, now: Steady) -> dict[str, Any]:
    seconds = breaker_seconds(failures)
    return {"failures": failures, "epoch": now.epoch, "until": now.seconds + seconds, "seconds": seconds}


def _too_late(connection: str, wait_seconds: float, why: str) -> Halt:
    return Halt(
        f"{why}: the next call for {connection} may go in {wait_seconds:.0f} seconds, "
        "later than max_wait_seconds allows",
        exit_code=Exit.TRY_LATER,
        code="wait_too_long",
        remedy="run again later; `books status` shows what is waited for",
    )


def _closed(error: SQLAlchemyError) -> Halt:
    return Halt(
        f"no call is made while the state store cannot be used ({type(error).__name__})",
        exit_code=Exit.TRY_LATER,
        code="store_unavailable",
        remedy="check store_url, and that the disk or the database server is there",
    )
