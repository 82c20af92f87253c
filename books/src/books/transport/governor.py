"""The rate limiter shared by all processes of a company: budgets, pauses, one push at a time, a circuit breaker.

The log of permits is in the store, so that all processes, and with PostgreSQL all machines, count together. A permit
is stamped by the store's steady clock after the store's lock is held. A stamp that cannot be right (made before a
restart, on another machine's clock, or before the clock went back) counts as made now: too slow is safe, too fast
is not. When the store cannot be used there are no permits.

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
from books.store import Steady, Store
from books.store.tables_infra import breaker, call, metered_reads, pause
from books.store.upsert import upsert
from books.transport.call import CallKind

MARGIN_SECONDS = 0.05
"""Added to every window: calls do not all take the same time from their permit to the vendor."""

SLEEP_SECONDS_MIN = 0.001

PAUSE_SECONDS_MAX = 86_400.0
"""The longest pause, whatever the vendor says: after a day we ask again."""

BREAKER_FAILURES = 5
"""Consecutive failures (no connection, no answer, 5xx) that open the breaker: then one trial call at a time."""

BREAKER_SECONDS = 30.0
BREAKER_SECONDS_MAX = 300.0

PUSHES = frozenset({CallKind.WRITE, CallKind.BATCH})

Permit = tuple[float, CallKind]
"""When a call was allowed (seconds on the steady clock) and its kind."""


@dataclass(frozen=True)
class Limit:
    """At most so many calls of these kinds in any window of so many seconds."""

    name: str
    calls: int
    window_seconds: float
    kinds: frozenset[CallKind]


def limits_of(settings: Any) -> tuple[Limit, ...]:
    """Return the three budgets of one company. A batch counts as one request, and as a batch."""
    every = frozenset(CallKind)
    return (
        Limit("requests_per_second", settings.requests_per_second, 1.0, every),
        Limit("requests_per_minute", settings.requests_per_minute, 60.0, every),
        Limit("batches_per_minute", settings.batches_per_minute, 60.0, frozenset({CallKind.BATCH})),
    )


def decide(now: float, kind: CallKind, permits: Sequence[Permit], not_before: float, limits: Sequence[Limit]) -> float:
    """Return the seconds to wait before a call of this kind may be made; 0.0: now.

    `permits` are the past ones in any order, `not_before` is the end of a pause (or any past time). All times are
    seconds on one steady clock.
    """
    waits = [_wait_for(limit, now, permits) for limit in limits if kind in limit.kinds]
    return max(0.0, not_before - now, *waits)


def _wait_for(limit: Limit, now: float, permits: Sequence[Permit]) -> float:
    """Return the seconds until the oldest of the last `limit.calls` permits leaves the window; negative if it has."""
    stamps = sorted(stamp for stamp, kind in permits if kind in limit.kinds)
    if len(stamps) < limit.calls:
        return 0.0
    return stamps[-limit.calls] + limit.window_seconds + MARGIN_SECONDS - now


def breaker_seconds(failures: int) -> float:
    """Return how long calls stop after so many consecutive failures; 0.0 below the threshold."""
    if failures < BREAKER_FAILURES:
        return 0.0
    return backoff_seconds(failures - BREAKER_FAILURES + 1, first=BREAKER_SECONDS, seconds_max=BREAKER_SECONDS_MAX)


@dataclass(frozen=True)
class GovernorState:
    """The state of one company's rate limiter, for display."""

    used: Mapping[str, int]
    """Permits within each limit's window, by the limit's name."""
    allowed: Mapping[str, int]
    paused_seconds: float
    pause_reason: str
    consecutive_failures: int
    breaker_seconds: float
    push_in_flight: bool
    metered_reads: int
    """Successful reads of this calendar month (UTC); Intuit meters them in production."""


class Governor:
    """Rate limiter shared by all processes through the store; each process has an object of its own."""

    def __init__(self, store: Store, clock: Clock, limits: Sequence[Limit]) -> None:
        self._store = store
        self._clock = clock
        self._limits = tuple(limits)

    @contextmanager
    def slot(self, connection: str, kind: CallKind, deadline: float) -> Iterator[float]:
        """Wait for a permit for one call, and hold the company's push lock during it where the call is a push.

        `deadline` is on `clock.monotonic()`. Yields the time of the permit, in seconds of the store's steady clock.

        Raises:
            Halt: TRY_LATER; the wait would pass the deadline, or the store cannot be used. No call was made.
        """
        with ExitStack() as held:
            if kind in PUSHES:
                held.enter_context(self.push_lock(connection, deadline))
            yield self.reserve(connection, kind, deadline)

    @contextmanager
    def push_lock(self, connection: str, deadline: float) -> Iterator[Callable[[], bool]]:
        """Hold a company's push lock over several calls, each of which needs `reserve`. Yields: is it still ours?

        Raises:
            Halt: TRY_LATER; somebody else held it until the deadline.
        """
        with self._store.lock(_push_lock(connection), max(0.0, deadline - self._clock.monotonic())) as is_held:
            yield is_held

    def pause(self, connection: str, seconds: float, reason: str) -> None:
        """Stop all calls of a company, in every process, for so long; a longer pause that is set already stays."""
        seconds = min(max(seconds, 0.0), PAUSE_SECONDS_MAX)
        with self._locked(connection) as (conn, now):
            if seconds > _seconds_left(_row(conn, pause, connection), now):
                values = {
                    "connection": connection,
                    "epoch": now.epoch,
                    "until": now.seconds + seconds,
                    "seconds": seconds,
                    "reason": reason,
                }
                upsert(conn, pause, [values])

    def record_answer(self, connection: str, *, metered: bool) -> None:
        """Record that the vendor answered: reset its failures, and count a metered read."""
        with self._locked(connection) as (conn, _now):
            conn.execute(delete(breaker).where(breaker.c.connection == connection))
            if metered:
                self._count_read(conn, connection)

    def record_failure(self, connection: str) -> None:
        """Record a call without a usable answer; from the fifth in a row on, calls stop for a while."""
        with self._locked(connection) as (conn, now):
            row = _row(conn, breaker, connection)
            failures = 1 + (row["failures"] if row else 0)
            upsert(conn, breaker, [_breaker_values(connection, failures, now)])

    def state(self, connection: str) -> GovernorState:
        """Return the current state."""
        with self._locked(connection) as (conn, now):
            permits = _permits(conn, connection)
            paused, broken = _row(conn, pause, connection), _row(conn, breaker, connection)
            month = self._month(conn)
            reads = conn.execute(
                select(metered_reads.c.reads).where(
                    metered_reads.c.connection == connection, metered_reads.c.month == month
                )
            ).scalar()
        failures = broken["failures"] if broken else 0
        return GovernorState(
            used={limit.name: _used(limit, now.seconds, permits) for limit in self._limits},
            allowed={limit.name: limit.calls for limit in self._limits},
            paused_seconds=_seconds_left(paused, now),
            pause_reason=paused["reason"] if paused and _seconds_left(paused, now) else "",
            consecutive_failures=failures,
            breaker_seconds=_seconds_left(broken, now),
            push_in_flight=self._store.is_locked(_push_lock(connection)),
            metered_reads=reads or 0,
        )

    def reserve(self, connection: str, kind: CallKind, deadline: float) -> float:
        """Sleep until a permit is ours; return its time. The log is read again after each sleep: others wait too.

        Raises:
            Halt: TRY_LATER; the wait would pass the deadline, or the store cannot be used. No call was made.
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
        """Take a permit if one is free now; return the seconds to wait (0.0: taken) and the time."""
        with self._locked(connection) as (conn, now):
            paused, broken = _row(conn, pause, connection), _row(conn, breaker, connection)
            not_before = now.seconds + max(_seconds_left(paused, now), _seconds_left(broken, now))
            wait_seconds = decide(now.seconds, kind, _permits(conn, connection), not_before, self._limits)
            if not wait_seconds:
                conn.execute(
                    insert(call).values(connection=connection, kind=kind.value, epoch=now.epoch, at=now.seconds)
                )
                if broken and broken["failures"] >= BREAKER_FAILURES:  # this call is the trial; the others wait on
                    upsert(conn, breaker, [_breaker_values(connection, broken["failures"], now)])
            return wait_seconds, now.seconds

    @contextmanager
    def _locked(self, connection: str) -> Iterator[tuple[Connection, Steady]]:
        """Open a transaction alone on this company's rows, with stamps that fit the time; yield it and the time."""
        try:
            with self._store.begin() as conn:
                self._store.serialise(conn, f"governor {connection}")
                now = self._store.steady(conn)
                self._tidy(conn, connection, now)
                yield conn, now
        except SQLAlchemyError as error:
            raise _store_unavailable(error) from error

    def _tidy(self, conn: Connection, connection: str, now: Steady) -> None:
        """Delete permits older than every window; set impossible stamps to now, and pauses to their full length."""
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


def _permits(conn: Connection, connection: str) -> list[Permit]:
    rows = conn.execute(select(call.c.at, call.c.kind).where(call.c.connection == connection))
    return [(row.at, CallKind(row.kind)) for row in rows]


def _used(limit: Limit, now: float, permits: Sequence[Permit]) -> int:
    return sum(1 for stamp, kind in permits if kind in limit.kinds and stamp > now - limit.window_seconds)


def _row(conn: Connection, table: Table, connection: str) -> Mapping[str, Any] | None:
    """Return the one row of a company in `pause` or `breaker`."""
    row = conn.execute(select(table).where(table.c.connection == connection)).mappings().first()
    return dict(row) if row else None


def _seconds_left(row: Mapping[str, Any] | None, now: Steady) -> float:
    """Return the seconds left of a pause; its epoch is the current one (see `_tidy`)."""
    return max(0.0, row["until"] - now.seconds) if row else 0.0


def _breaker_values(connection: str, failures: int, now: Steady) -> dict[str, Any]:
    seconds = breaker_seconds(failures)
    until = now.seconds + seconds
    return {
        "connection": connection,
        "failures": failures,
        "epoch": now.epoch,
        "until": until,
        "seconds": seconds,
    }


def _too_late(connection: str, wait_seconds: float, why: str) -> Halt:
    return Halt(
        f"{why}: the next call for {connection} may be made in {wait_seconds:.0f} seconds, "
        "later than max_wait_seconds allows",
        exit_code=Exit.TRY_LATER,
        code="wait_too_long",
        remedy="run again later; `books status` shows budgets and pauses",
    )


def _store_unavailable(error: SQLAlchemyError) -> Halt:
    return Halt(
        f"no call is made while the state store cannot be used ({type(error).__name__})",
        exit_code=Exit.TRY_LATER,
        code="store_unavailable",
        remedy="check store_url, and that the disk or the database server can be reached",
    )
