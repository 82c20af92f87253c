"""Count calls against a company's budgets, in the database: may one more be made, when, and note that it was.

Three kinds of budget (`Limit`), given by the vendor's `Access`. Calls in a sliding window of seconds are counted in the
log of permits (`call`), stamped by the store's steady clock. Calls of a day are counted per hour by the store's wall
clock, because a steady clock ends with the machine; what the vendor says is left lowers them. Calls in flight are
leases, which expire where their process died.

Everything here runs inside a transaction of the `Governor`, which is alone on the company's rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pendulum
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from books.store import Steady, Store
from books.store.tables_infra import budget, budget_left, call, lease
from books.store.types import Timestamp
from books.store.upsert import insert_into, upsert
from books.transport.access import Limit, Window
from books.transport.call import CallKind

MARGIN_SECONDS = 0.05
"""Added to every window: calls do not all take the same time from their permit to the vendor."""

DAY_SECONDS = 86_400
HOUR_SECONDS = 3_600

NONE_LEFT_SECONDS = 3_600
"""How long calls stop when the vendor says that none is left of a day; then one call asks again.

When its day begins is not known to us; where it is over sooner, an hour at most is lost.
"""

LEASE_SECONDS = 300.0
"""How long a call counts as in flight whose process has died: longer than any call may take."""

LEASE_LOOK_SECONDS = 0.1
"""How often a call looks whether another one has ended, where too many are in flight."""


@dataclass(frozen=True)
class Wait:
    """No call may be made for so many seconds; then ask again. `in_flight`: others have to end first."""

    seconds: float
    in_flight: bool = False


class Budgets:
    """The budgets of every company of one vendor. All times are the store's."""

    def __init__(self, store: Store, limits: Sequence[Limit], lease_seconds: float) -> None:
        self.limits = tuple(limits)
        self._store = store
        self._lease_seconds = lease_seconds
        self._windows = {kind: self._of(Window.SLIDING, kind) for kind in CallKind}
        self._stamps = {kind: _stamps(windows) for kind, windows in self._windows.items()}

    def wait(self, conn: Connection, connection: str, kind: CallKind, now: Steady, *, in_flight: bool) -> Wait | None:
        """Return how long a call of this kind has to wait; None: not at all.

        Without `in_flight` it rides on the lease of a call that its process has yet to make.
        """
        waits = [self._wait_for_windows(conn, connection, kind, now)]
        waits += [self._wait_for_day(conn, connection, limit) for limit in self._of(Window.DAY, kind)]
        if max(waits) > 0:
            return Wait(max(waits))
        leased = self._of(Window.IN_FLIGHT, kind) if in_flight else ()
        if any(_leases(conn, connection, limit) >= limit.calls for limit in leased):
            return Wait(LEASE_LOOK_SECONDS, in_flight=True)
        return None

    def take(
        self, conn: Connection, connection: str, kind: CallKind, now: Steady, *, in_flight: bool
    ) -> tuple[int, ...]:
        """Note a call in every budget that counts it; return its leases."""
        stamp = {"connection": connection, "epoch": now.epoch, "at": now.seconds}
        conn.execute(insert(call).values(kind=kind.value, **stamp))
        for limit in self._of(Window.DAY, kind):
            self._count(conn, connection, limit, self._store.now(conn))
        leased = self._of(Window.IN_FLIGHT, kind) if in_flight else ()
        made = (insert(lease).values(name=limit.name, **stamp).returning(lease.c.id) for limit in leased)
        return tuple(int(conn.execute(each).scalar_one()) for each in made)

    def end(self, conn: Connection, leases: Sequence[int]) -> None:
        """End the leases of a call."""
        conn.execute(delete(lease).where(lease.c.id.in_(leases)))

    def hear(self, conn: Connection, connection: str, left: Mapping[str, int]) -> None:
        """Note what the vendor says is left of its days, by the limit's name; where it says nothing, forget it."""
        for limit in (each for each in self.limits if each.window is Window.DAY):
            key = {"connection": connection, "name": limit.name}
            if limit.name in left:
                upsert(conn, budget_left, [{**key, "left": left[limit.name], "at": self._store.now(conn)}])
            else:
                conn.execute(delete(budget_left).where(*_equal(budget_left, key)))

    def used(self, conn: Connection, connection: str, limit: Limit, now: Steady) -> int:
        """Return how many calls a limit counts now."""
        if limit.window is Window.IN_FLIGHT:
            return _leases(conn, connection, limit)
        if limit.window is Window.DAY:
            return int(sum(used for _start, used in self._hours(conn, connection, limit, self._store.now(conn))))
        within = call.c.connection == connection, call.c.at > now.seconds - limit.window_seconds, *_kinds(limit)
        return int(conn.execute(select(func.count()).select_from(call).where(*within)).scalar_one())

    def left(self, conn: Connection, connection: str, limit: Limit, used: int) -> int:
        """Return how many calls more a limit allows: what we have not used, or less where the vendor says less."""
        ours = max(0, limit.calls - used)
        told = _told(conn, connection, limit) if limit.window is Window.DAY else None
        if told is None or not told.at <= self._store.now(conn) < told.at.add(seconds=DAY_SECONDS):
            return ours
        return min(ours, max(0, int(told.left)))

    def tidy(self, conn: Connection, connection: str, now: Steady) -> None:
        """Delete what counts no more; what cannot be right (another boot, a time to come) counts as made now."""
        longest = max((limit.window_seconds for limit in self.limits), default=0.0) + MARGIN_SECONDS
        ours = call.c.connection == connection
        newest = conn.execute(select(call.c.epoch, call.c.at).where(ours).order_by(call.c.at.desc()).limit(1)).first()
        if newest is not None and (newest.epoch != now.epoch or newest.at > now.seconds):
            wrong = or_(call.c.epoch != now.epoch, call.c.at > now.seconds)
            conn.execute(update(call).where(ours, wrong).values(epoch=now.epoch, at=now.seconds))
        conn.execute(delete(call).where(ours, call.c.at < now.seconds - longest))
        if any(limit.window is Window.DAY for limit in self.limits):
            self._tidy_hours(conn, connection, self._store.now(conn))
        if any(limit.window is Window.IN_FLIGHT for limit in self.limits):
            self._tidy_leases(conn, connection, now)

    def _tidy_hours(self, conn: Connection, connection: str, now: pendulum.DateTime) -> None:
        """Delete hours that no day reaches, and count those to come, left by a clock that was ahead, as this hour's."""
        this, oldest = _hour(now), _hour(now.subtract(seconds=DAY_SECONDS))
        out = delete(budget).where(budget.c.connection == connection, or_(budget.c.hour < oldest, budget.c.hour > this))
        for row in conn.execute(out.returning(budget.c.name, budget.c.hour, budget.c.used)).all():
            if row.hour > this:
                _add(conn, {"connection": connection, "name": row.name, "hour": this}, row.used)

    def _tidy_leases(self, conn: Connection, connection: str, now: Steady) -> None:
        """End leases whose process is dead: they have expired, or the machine has been restarted since."""
        ours = lease.c.connection == connection
        dead = or_(lease.c.epoch != now.epoch, lease.c.at < now.seconds - self._lease_seconds)
        conn.execute(delete(lease).where(ours, dead))
        conn.execute(update(lease).where(ours, lease.c.at > now.seconds).values(at=now.seconds))

    def _wait_for_windows(self, conn: Connection, connection: str, kind: CallKind, now: Steady) -> float:
        """Return the seconds until every sliding window has room for one more; 0.0 or less: now.

        A window of n calls has room when the n-th newest call it counts has left it.
        """
        windows = self._windows[kind]
        if not windows:
            return 0.0
        oldest = conn.execute(self._stamps[kind], {"connection": connection}).one()
        return max(
            0.0 if at is None else float(at) + limit.window_seconds + MARGIN_SECONDS - now.seconds
            for at, limit in zip(oldest, windows, strict=True)
        )

    def _wait_for_day(self, conn: Connection, connection: str, limit: Limit) -> float:
        now, told = self._store.now(conn), _told(conn, connection, limit)
        if told is not None and told.left <= 0 and told.at <= now < told.at.add(seconds=NONE_LEFT_SECONDS):
            return float((told.at.add(seconds=NONE_LEFT_SECONDS) - now).total_seconds())
        return day_wait(limit.calls, self._hours(conn, connection, limit, now), now.timestamp())

    def _hours(
        self, conn: Connection, connection: str, limit: Limit, now: pendulum.DateTime
    ) -> list[tuple[float, int]]:
        """Return the hours that count for a limit of a day, oldest first: when each began, and its calls."""
        within = budget.c.hour >= _hour(now.subtract(seconds=DAY_SECONDS))
        of_limit = _equal(budget, {"connection": connection, "name": limit.name})
        rows = conn.execute(select(budget.c.hour, budget.c.used).where(*of_limit, within).order_by(budget.c.hour))
        return [(_start_of(row.hour), int(row.used)) for row in rows]

    def _count(self, conn: Connection, connection: str, limit: Limit, now: pendulum.DateTime) -> None:
        """Count a call of a day. Where the vendor said that none is left, it is the only one for another hour."""
        _add(conn, {"connection": connection, "name": limit.name, "hour": _hour(now)}, 1)
        told = _equal(budget_left, {"connection": connection, "name": limit.name})
        at = case((budget_left.c.left <= 1, literal(now, Timestamp)), else_=budget_left.c.at)
        conn.execute(update(budget_left).where(*told).values(left=budget_left.c.left - 1, at=at))

    def _of(self, window: Window, kind: CallKind) -> tuple[Limit, ...]:
        return tuple(limit for limit in self.limits if limit.window is window and kind in limit.kinds)


def day_wait(calls: int, hours: Sequence[tuple[float, int]], now: float) -> float:
    """Return the seconds until a day of `calls` has room for one more; 0.0: now.

    `hours` are those that count, oldest first: when each began (seconds, as `now`), and its calls. An hour counts
    until 24 hours after its end, so that no 24 hours hold more, whether the vendor's day rolls or begins at an hour
    that we do not know.
    """
    too_many = sum(used for _start, used in hours) - calls + 1
    for start, used in hours:
        if too_many <= 0:
            break
        too_many -= used
        if too_many <= 0:
            return max(0.0, start + HOUR_SECONDS + DAY_SECONDS - now)
    return 0.0


def _stamps(windows: Sequence[Limit]) -> Select[Any]:
    """Return the query for each window's n-th newest call; `connection` is its parameter."""
    ours = call.c.connection == bindparam("connection")
    return select(
        *(
            select(call.c.at)
            .where(ours, *_kinds(limit))
            .order_by(call.c.at.desc())
            .offset(limit.calls - 1)
            .limit(1)
            .scalar_subquery()
            for limit in windows
        )
    )


def _kinds(limit: Limit) -> tuple[ColumnElement[bool], ...]:
    """Return the condition on the log of permits for the kinds of call that a limit counts."""
    if limit.kinds == frozenset(CallKind):
        return ()
    return (call.c.kind.in_(sorted(kind.value for kind in limit.kinds)),)


def _leases(conn: Connection, connection: str, limit: Limit) -> int:
    ours = _equal(lease, {"connection": connection, "name": limit.name})
    return int(conn.execute(select(func.count()).select_from(lease).where(*ours)).scalar_one())


def _told(conn: Connection, connection: str, limit: Limit) -> Any:
    """Return what the vendor said last (`left`), and when (`at`); None where it said nothing."""
    ours = _equal(budget_left, {"connection": connection, "name": limit.name})
    return conn.execute(select(budget_left.c.left, budget_left.c.at).where(*ours)).first()


def _add(conn: Connection, key: Mapping[str, str], calls: int) -> None:
    """Add calls to an hour."""
    row = insert_into(conn, budget).values(**key, used=calls)
    more = {"used": budget.c.used + calls}
    conn.execute(row.on_conflict_do_update(index_elements=list(key), set_=more))


def _equal(table: Table, key: Mapping[str, str]) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name, value in key.items()]


def _hour(at: pendulum.DateTime) -> str:
    return at.in_timezone("UTC").format("YYYY-MM-DD[T]HH")


def _start_of(hour: str) -> float:
    return datetime.strptime(hour, "%Y-%m-%dT%H").replace(tzinfo=UTC).timestamp()
