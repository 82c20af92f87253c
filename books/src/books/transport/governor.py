"""The rate limiter shared by all processes of a company: budgets, pauses, one push at a time, a circuit breaker.

The log of permits is in the store, so that all processes, and with PostgreSQL all machines, count together (`budgets`
counts). A permit is stamped by the store's steady clock after the store's lock is held. A stamp that cannot be right
(made before a restart, on another machine's clock, or before the clock went back) counts as made now: too slow is
safe, too fast is not. When the store cannot be used there are no permits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, select, update
from sqlalchemy.exc import SQLAlchemyError

from books.core.backoff import backoff_seconds
from books.core.clock import Clock
from books.core.faults import Exit, Halt
from books.store import Steady, Store
from books.store.tables_infra import breaker, metered, pause
from books.store.upsert import insert_new, upsert
from books.transport.access import Limit
from books.transport.budgets import LEASE_SECONDS, Budgets, Count, Wait
from books.transport.call import CallKind

SLEEP_SECONDS_MIN = 0.001

PAUSE_SECONDS_MAX = 86_400.0
"""The longest pause, whatever the vendor says: after a day we ask again."""

WALL_CLOCK_SECONDS_MIN = 60.0
"""What is left of a pause after a restart of the machine is read off the wall clock, down to so many seconds.

A wall clock may be corrected by seconds; of a pause of hours, the rest matters more.
"""

BREAKER_FAILURES = 5
"""Consecutive failures (no connection, no answer, 5xx) that open the breaker: then one trial call at a time."""

BREAKER_SECONDS = 30.0
BREAKER_SECONDS_MAX = 300.0

PUSHES = frozenset({CallKind.WRITE, CallKind.BATCH})

ROWS = {table: select(table).where(table.c.connection == bindparam("ours")) for table in (pause, breaker)}


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
    """Calls that count for each limit now, by the limit's name."""
    allowed: Mapping[str, int]
    left: Mapping[str, int]
    """How many more each limit allows; of a day also by what the vendor says."""
    paused_seconds: float
    pause_reason: str
    consecutive_failures: int
    breaker_seconds: float
    push_in_flight: bool
    metered: int
    """Calls of this calendar month (UTC) that the vendor meters."""


class Governor:
    """Rate limiter shared by all processes through the store; each process has an object of its own.

    `ledger` is its name in messages; `lease_seconds`: after how long a call whose process died is not in flight.
    """

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
        self._budgets = Budgets(store, limits, lease_seconds)
        self._ledger = ledger

    @contextmanager
    def slot(self, connection: str, kind: CallKind, deadline: float, *, in_flight: bool = True) -> Iterator[float]:
        """Wait for a permit for one call, and hold the company's push lock during it where the call is a push.

        `deadline` is on `clock.monotonic()`; `in_flight` as `reserve`. Yields the time of the permit, in seconds of
        the store's steady clock.

        Raises:
            Halt: TRY_LATER; the wait would pass the deadline, or the store cannot be used. No call was made.
        """
        with ExitStack() as held:
            if kind in PUSHES:
                held.enter_context(self.push_lock(connection, deadline))
            permit = self.reserve(connection, kind, deadline, in_flight=in_flight)
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
            if seconds > _seconds_left(self._row(conn, pause, connection, now), now):
                values = {
                    "connection": connection,
                    "epoch": now.epoch,
                    "until": now.seconds + seconds,
                    "seconds": seconds,
                    "ends_at": self._store.now(conn).add(seconds=seconds),
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
            self._budgets.hear(conn, connection, left or {})

    def record_failure(self, connection: str) -> None:
        """Record a call without a usable answer; from the fifth in a row on, calls stop for a while."""
        with self._locked(connection) as (conn, now):
            row = self._row(conn, breaker, connection, now)
            failures = 1 + (row["failures"] if row else 0)
            upsert(conn, breaker, [_breaker_values(connection, failures, now)])

    def state(self, connection: str) -> GovernorState:
        """Return the current state."""
        limits = self._budgets.limits
        with self._locked(connection) as (conn, now):
            count = Count(self._budgets, conn, connection, now)
            used = {limit.name: count.used(limit) for limit in limits}
            left = {limit.name: count.left(limit) for limit in limits}
            paused = self._row(conn, pause, connection, now)
            broken = self._row(conn, breaker, connection, now)
            ours = metered.c.connection == connection, metered.c.month == self._month(conn)
            calls = conn.execute(select(metered.c.calls).where(*ours)).scalar()
        paused_seconds = _seconds_left(paused, now)
        return GovernorState(
            used=used,
            allowed={limit.name: limit.calls for limit in limits},
            left=left,
            paused_seconds=paused_seconds,
            pause_reason=paused["reason"] if paused and paused_seconds else "",
            consecutive_failures=broken["failures"] if broken else 0,
            breaker_seconds=_seconds_left(broken, now),
            push_in_flight=self._store.is_locked(_push_lock(connection)),
            metered=calls or 0,
        )

    def reserve(self, connection: str, kind: CallKind, deadline: float, *, in_flight: bool = True) -> Permit:
        """Sleep until a permit is ours; return it. The budgets are read again after each sleep: others wait too.

        `end` must be called with it after the call. Without `in_flight` the call rides on the lease of another permit,
        which its process holds and uses later: they are never made at the same time.

        Raises:
            Halt: TRY_LATER; the wait would pass the deadline, or the store cannot be used. No call was made.
        """
        while isinstance(answer := self._ask(connection, kind, in_flight=in_flight), Wait):
            if self._clock.monotonic() + answer.seconds > deadline:
                raise self._too_late(connection, answer)
            self._clock.sleep(max(answer.seconds, SLEEP_SECONDS_MIN))
        return answer

    def end(self, permit: Permit) -> None:
        """End the leases of a call. Where the store cannot be used now, they expire."""
        if permit.leases:
            with suppress(SQLAlchemyError, Halt), self._store.begin() as conn:
                self._budgets.end(conn, permit.leases)

    def _ask(self, connection: str, kind: CallKind, *, in_flight: bool = True) -> Permit | Wait:
        """Take a permit if one is free now; else return how long to wait."""
        with self._locked(connection) as (conn, now):
            paused = self._row(conn, pause, connection, now)
            broken = self._row(conn, breaker, connection, now)
            count = Count(self._budgets, conn, connection, now)
            stopped_seconds = max(_seconds_left(paused, now), _seconds_left(broken, now))
            wait = count.wait(kind, in_flight=in_flight)
            if stopped_seconds > (wait.seconds if wait else 0.0):
                wait = Wait(stopped_seconds)
            if wait is not None:
                return wait
            leases = count.take(kind, in_flight=in_flight)
            if broken and broken["failures"] >= BREAKER_FAILURES:  # this call is the trial; the others wait on
                upsert(conn, breaker, [_breaker_values(connection, broken["failures"], now)])
            return Permit(now.seconds, leases)

    @contextmanager
    def _locked(self, connection: str) -> Iterator[tuple[Connection, Steady]]:
        """Open a transaction alone on this company's rows; yield it and the time."""
        try:
            with self._store.begin() as conn:
                self._store.serialise(conn, f"governor {connection}")
                yield conn, self._store.steady(conn)
        except SQLAlchemyError as error:
            raise _store_unavailable(error) from error

    def _row(self, conn: Connection, table: Table, connection: str, now: Steady) -> dict[str, Any] | None:
        """Return the one row of a company in `pause` or `breaker`, with an end on the steady clock of now.

        An end that cannot be right (another boot's, or further away than the whole length) is set to the whole length
        from now; after a restart of the machine, to what the wall clock says is left of it.
        """
        found = conn.execute(ROWS[table], {"ours": connection}).mappings().first()
        if found is None:
            return None
        row, left_seconds = dict(found), found["seconds"]
        restarted, ends_at = row["epoch"] != now.epoch, row.get("ends_at")
        if restarted and ends_at is not None:
            by_wall_clock = float((ends_at - self._store.now(conn)).total_seconds())
            left_seconds = min(left_seconds, max(by_wall_clock, WALL_CLOCK_SECONDS_MIN))
        if restarted or row["until"] > now.seconds + row["seconds"]:
            right = {"epoch": now.epoch, "until": now.seconds + left_seconds}
            conn.execute(update(table).where(table.c.connection == connection).values(**right))
            row |= right
        return row

    def _count_metered(self, conn: Connection, connection: str) -> None:
        key = {"connection": connection, "month": self._month(conn)}
        insert_new(conn, metered, {**key, "calls": 0})
        ours = [metered.c[name] == value for name, value in key.items()]
        conn.execute(update(metered).where(*ours).values(calls=metered.c.calls + 1))

    def _month(self, conn: Connection) -> str:
        return self._store.now(conn).format("YYYY-MM")

    def _too_late(self, connection: str, wait: Wait) -> Halt:
        """Return the fault of a wait that is longer than this run may wait."""
        if wait.in_flight:
            return _halt(
                f"rate limited: all of max_wait_seconds as many calls for {connection} were in flight as are allowed",
                "run again later: other runs work on this company",
            )
        failing = self.state(connection).breaker_seconds > 0
        why = f"{self._ledger} keeps failing" if failing else "rate limited"
        return _halt(
            f"{why}: the next call for {connection} may be made in {wait.seconds:.0f} seconds, "
            "later than max_wait_seconds allows",
            "run again later; `books status` shows budgets and pauses",
        )


def _push_lock(connection: str) -> str:
    return f"push {connection}"


def _seconds_left(row: Mapping[str, Any] | None, now: Steady) -> float:
    """Return the seconds left of a pause, as `Governor._row` returns it."""
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


def _halt(message: str, remedy: str) -> Halt:
    return Halt(message, exit_code=Exit.TRY_LATER, code="wait_too_long", remedy=remedy)


def _store_unavailable(error: SQLAlchemyError) -> Halt:
    return Halt(
        f"no call is made while the state store cannot be used ({type(error).__name__})",
        exit_code=Exit.TRY_LATER,
        code="store_unavailable",
        remedy="check store_url, and that the disk or the database server can be reached",
    )
