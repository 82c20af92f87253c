"""The rate limiter shared by all processes of a company: budgets, pauses, one push at a time, a circuit breaker.

The log of permits is in the store, so that all processes, and with PostgreSQL all machines, count together. A permit
is stamped by the store's steady clock after the store's lock is held. A stamp that cannot be right (made before a
restart, on another machine's clock, or before the clock went back) counts as made now: too slow is safe, too fast
is not. When the store cannot be used there are no permits.

Three kinds of budget, each given by the vendor's `Access`: calls in a sliding window of seconds, which the log of
permits counts; calls in 24 hours, counted per hour by the store's wall clock, because a steady clock ends with the
machine; and calls in flight, as leases that expire where a process died.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pendulum
from sqlalchemy import ColumnElement, Connection, Select, Table, delete, func, insert, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from books.core.backoff import backoff_seconds
from books.core.clock import Clock
from books.core.faults import Exit, Halt
from books.store import Steady, Store
from books.store.tables_infra import breaker, budget, budget_left, call, lease, metered, pause
from books.store.upsert import insert_new, upsert
from books.transport.access import Limit, Window
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

LEASE_SECONDS = 300.0
"""How long a call counts as in flight whose process has died: longer than any call may take."""

PUSHES = frozenset({CallKind.WRITE, CallKind.BATCH})

LEASE_LOOK_SECONDS = 0.1
"""How often a call waits for another one's end, where too many are in flight."""

DAY_HOURS = 24


@dataclass(frozen=True)
class Permit:
    """A call that may be made. `at`: seconds on the store's steady clock. `leases`: to be ended with the call."""

    at: float
    leases: tuple[int, ...] = ()


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
    metered: int
    """Calls of this calendar month (UTC) that the vendor meters."""


class Governor:
    """Rate limiter shared by all processes through the store; each process has an object of its own."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        limits: Sequence[Limit],
        *,
        ledger: str = "the ledger",
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._limits = tuple(limits)
        self._ledger = ledger
        self._lease_seconds = lease_seconds

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
            permit = self.reserve(connection, kind, deadline)
            held.callback(self.end, permit)
            yield permit.at

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

    def record_answer(self, connection: str, *, metered: bool, left: Mapping[str, int] | None = None) -> None:
        """Record that the vendor answered: reset its failures, and count a metered call.

        `left` is what the vendor says is left of limits of a day, by the limit's name: it lowers what we think is left.
        """
        with self._locked(connection) as (conn, _now):
            conn.execute(delete(breaker).where(breaker.c.connection == connection))
            if metered:
                self._count_metered(conn, connection)
            for name, calls in (left or {}).items():
                told = {"connection": connection, "name": name, "left": calls, "at": self._store.now(conn)}
                upsert(conn, budget_left, [told])

    def record_failure(self, connection: str) -> None:
        """Record a call without a usable answer; from the fifth in a row on, calls stop for a while."""
        with self._locked(connection) as (conn, now):
            row = _row(conn, breaker, connection)
            failures = 1 + (row["failures"] if row else 0)
            upsert(conn, breaker, [_breaker_values(connection, failures, now)])

    def state(self, connection: str) -> GovernorState:
        """Return the current state."""
        with self._locked(connection) as (conn, now):
            used = {limit.name: self._used(conn, connection, limit, now) for limit in self._limits}
            paused, broken = _row(conn, pause, connection), _row(conn, breaker, connection)
            month = self._month(conn)
            ours = metered.c.connection == connection, metered.c.month == month
            calls = conn.execute(select(metered.c.calls).where(*ours)).scalar()
        failures = broken["failures"] if broken else 0
        return GovernorState(
            used=used,
            allowed={limit.name: limit.calls for limit in self._limits},
            paused_seconds=_seconds_left(paused, now),
            pause_reason=paused["reason"] if paused and _seconds_left(paused, now) else "",
            consecutive_failures=failures,
            breaker_seconds=_seconds_left(broken, now),
            push_in_flight=self._store.is_locked(_push_lock(connection)),
            metered=calls or 0,
        )

    def reserve(self, connection: str, kind: CallKind, deadline: float) -> Permit:
        """Sleep until a permit is ours; return it. The log is read again after each sleep: others wait too.

        `end` must be called with it after the call.

        Raises:
            Halt: TRY_LATER; the wait would pass the deadline, or the store cannot be used. No call was made.
        """
        while True:
            wait_seconds, permit = self._ask(connection, kind)
            if permit is not None:
                return permit
            if self._clock.monotonic() + wait_seconds > deadline:
                failing = self.state(connection).breaker_seconds > 0
                raise _too_late(
                    connection, wait_seconds, f"{self._ledger} keeps failing" if failing else "rate limited"
                )
            self._clock.sleep(max(wait_seconds, SLEEP_SECONDS_MIN))

    def end(self, permit: Permit) -> None:
        """End the leases of a call. Where the store cannot be used now, they expire."""
        if permit.leases:
            with suppress(SQLAlchemyError, Halt), self._store.begin() as conn:
                conn.execute(delete(lease).where(lease.c.id.in_(permit.leases)))

    def _ask(self, connection: str, kind: CallKind) -> tuple[float, Permit | None]:
        """Take a permit if one is free now; return the seconds to wait (0.0: taken) and the permit."""
        with self._locked(connection) as (conn, now):
            paused, broken = _row(conn, pause, connection), _row(conn, breaker, connection)
            not_before = now.seconds + max(_seconds_left(paused, now), _seconds_left(broken, now))
            limits = [limit for limit in self._limits if kind in limit.kinds]
            waits = [self._wait_for(conn, connection, limit, now) for limit in limits]
            wait_seconds = max(0.0, not_before - now.seconds, *waits)
            permit = None
            if not wait_seconds:
                permit = self._take(conn, connection, kind, limits, now)
                if broken and broken["failures"] >= BREAKER_FAILURES:  # this call is the trial; the others wait on
                    upsert(conn, breaker, [_breaker_values(connection, broken["failures"], now)])
            return wait_seconds, permit

    def _wait_for(self, conn: Connection, connection: str, limit: Limit, now: Steady) -> float:
        """Return the seconds until a limit allows one more call; 0.0 or less: now."""
        if limit.window is Window.IN_FLIGHT:
            return 0.0 if self._used(conn, connection, limit, now) < limit.calls else LEASE_LOOK_SECONDS
        if limit.window is Window.DAY:
            return self._wait_for_day(conn, connection, limit)
        stamps = select(call.c.at).where(*_of(limit, connection)).order_by(call.c.at.desc())
        oldest = conn.execute(stamps.offset(limit.calls - 1).limit(1)).scalar()
        return 0.0 if oldest is None else float(oldest) + limit.window_seconds + MARGIN_SECONDS - now.seconds

    def _wait_for_day(self, conn: Connection, connection: str, limit: Limit) -> float:
        """Return the seconds until the oldest hour that has to leave the last 24 has left them.

        An hour counts until 24 whole hours after it: whenever the vendor's day begins, no day holds more.
        """
        now = self._store.now(conn)
        told = conn.execute(
            select(budget_left.c.left, budget_left.c.at).where(
                budget_left.c.connection == connection, budget_left.c.name == limit.name
            )
        ).first()
        if told is not None and told.left <= 0 and now < told.at.add(hours=1):
            return float((told.at.add(hours=1) - now).total_seconds())  # then one call asks again
        hours = conn.execute(_hours(connection, limit, now).order_by(budget.c.hour)).all()
        over = sum(row.used for row in hours) - limit.calls + 1
        for row in hours:
            if over <= 0:
                break
            over -= row.used
            leaves = _start_of(row.hour).add(hours=DAY_HOURS + 1)
            if over <= 0:
                return max(SLEEP_SECONDS_MIN, float((leaves - now).total_seconds()))
        return 0.0

    def _take(self, conn: Connection, connection: str, kind: CallKind, limits: Sequence[Limit], now: Steady) -> Permit:
        """Write a call into the log and into every budget that counts it."""
        stamp = {"connection": connection, "epoch": now.epoch, "at": now.seconds}
        conn.execute(insert(call).values(kind=kind.value, **stamp))
        leases = []
        for limit in limits:
            if limit.window is Window.IN_FLIGHT:
                made = conn.execute(insert(lease).values(name=limit.name, **stamp).returning(lease.c.id))
                leases.append(int(made.scalar_one()))
            elif limit.window is Window.DAY:
                self._count_hour(conn, connection, limit)
        return Permit(now.seconds, tuple(leases))

    def _count_hour(self, conn: Connection, connection: str, limit: Limit) -> None:
        hour = _hour(self._store.now(conn))
        key = {"connection": connection, "name": limit.name, "hour": hour}
        insert_new(conn, budget, {**key, "used": 0})
        ours = [budget.c[name] == value for name, value in key.items()]
        conn.execute(update(budget).where(*ours).values(used=budget.c.used + 1))
        told = budget_left.c.connection == connection, budget_left.c.name == limit.name
        conn.execute(update(budget_left).where(*told).values(left=budget_left.c.left - 1))

    def _used(self, conn: Connection, connection: str, limit: Limit, now: Steady) -> int:
        """Return how many calls a limit counts now."""
        if limit.window is Window.IN_FLIGHT:
            query = select(func.count()).where(lease.c.connection == connection, lease.c.name == limit.name)
        elif limit.window is Window.DAY:
            hours = _hours(connection, limit, self._store.now(conn)).subquery()
            query = select(func.coalesce(func.sum(hours.c.used), 0))
        else:
            since = now.seconds - limit.window_seconds
            query = select(func.count()).where(*_of(limit, connection), call.c.at > since)
        return int(conn.execute(query).scalar_one())

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
        longest = max((limit.window_seconds for limit in self._limits), default=0.0) + MARGIN_SECONDS
        for log, seconds in ((call, longest), (lease, self._lease_seconds)):
            ours = log.c.connection == connection
            impossible = or_(log.c.epoch != now.epoch, log.c.at > now.seconds)
            conn.execute(update(log).where(ours, impossible).values(epoch=now.epoch, at=now.seconds))
            conn.execute(delete(log).where(ours, log.c.at < now.seconds - seconds))
        for table in (pause, breaker):
            full = now.seconds + table.c.seconds
            stale = or_(table.c.epoch != now.epoch, table.c.until > full)
            conn.execute(
                update(table).where(table.c.connection == connection, stale).values(epoch=now.epoch, until=full)
            )

    def _count_metered(self, conn: Connection, connection: str) -> None:
        key = {"connection": connection, "month": self._month(conn)}
        insert_new(conn, metered, {**key, "calls": 0})
        ours = [metered.c[name] == value for name, value in key.items()]
        conn.execute(update(metered).where(*ours).values(calls=metered.c.calls + 1))

    def _month(self, conn: Connection) -> str:
        return self._store.now(conn).format("YYYY-MM")


def _push_lock(connection: str) -> str:
    return f"push {connection}"


def _of(limit: Limit, connection: str) -> list[ColumnElement[bool]]:
    """Return the condition on the log of permits for the calls that a limit counts."""
    ours = [call.c.connection == connection]
    every = len(limit.kinds) == len(CallKind)
    return ours if every else [*ours, call.c.kind.in_(sorted(kind.value for kind in limit.kinds))]


def _hours(connection: str, limit: Limit, now: pendulum.DateTime) -> Select[Any]:
    """Return the hours that count for a limit of a day; later ones too, where the clock was set back."""
    oldest = _hour(now.subtract(hours=DAY_HOURS))
    return select(budget.c.hour, budget.c.used).where(
        budget.c.connection == connection, budget.c.name == limit.name, budget.c.hour >= oldest
    )


def _hour(at: pendulum.DateTime) -> str:
    return at.in_timezone("UTC").format("YYYY-MM-DD[T]HH")


def _start_of(hour: str) -> pendulum.DateTime:
    return pendulum.instance(datetime.strptime(hour, "%Y-%m-%dT%H").replace(tzinfo=UTC))


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
