"""Count calls against a company's budgets, in the database: may one more be made, when, and note that it was.

Three kinds of budget (`Limit`), given by the vendor's `Access`. Calls in a sliding window of seconds are counted in the
log of permits (`call`), stamped by the store's steady clock. Calls of a day are counted per hour by the store's wall
clock, because a steady clock ends with the machine; what the vendor says is left lowers them. Calls in flight are
leases, which expire where their process died.

Everything here runs inside a transaction of the `Governor`, which is alone on the company's rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pendulum
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    String,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from books.store import Steady, Store
from books.store.tables_infra import budget, budget_left, call, lease
from books.store.upsert import insert_into, upsert
from books.transport.access import Limit, Window
from books.transport.call import CallKind

MARGIN_SECONDS = 0.05
"""Added to every window: calls do not all take the same time from their permit to the vendor."""

DAY_HOURS = 24
HOUR_SECONDS = 3_600

NONE_LEFT_SECONDS = 3_600
"""How long calls stop when the vendor says that none is left of a day; then one call asks again.

When its day begins is not known to us; where it is over sooner, an hour at most is lost.
"""

LEASE_SECONDS = 300.0
"""How long a call counts as in flight whose process has died: longer than any call may take."""

LEASE_LOOK_SECONDS = 0.1
"""How often a call looks whether another one has ended, where too many are in flight."""

# Statements that are executed for each call are built once: building one takes longer than executing it.
OURS: BindParameter[str] = bindparam("ours", type_=String())
NEWEST = select(call.c.epoch, call.c.at).where(call.c.connection == OURS).order_by(call.c.at.desc()).limit(1)
TOO_OLD = delete(call).where(call.c.connection == OURS, call.c.at < bindparam("oldest"))
LEASES = select(lease.c.id, lease.c.name, lease.c.epoch, lease.c.at).where(lease.c.connection == OURS)
HOURS = select(budget.c.name, budget.c.hour, budget.c.used).where(budget.c.connection == OURS).order_by(budget.c.hour)
LEFT = select(budget_left.c.name, budget_left.c.left, budget_left.c.at).where(budget_left.c.connection == OURS)
ONE_LESS = (
    update(budget_left)
    .where(budget_left.c.connection == OURS, budget_left.c.name == bindparam("of"))
    .values(
        left=budget_left.c.left - 1,
        at=case((budget_left.c.left <= 1, bindparam("now", type_=budget_left.c.at.type)), else_=budget_left.c.at),
    )
)
"""A call of a day. Where the vendor said that none is left, it is the only one for another hour."""


@dataclass(frozen=True)
class Wait:
    """No call may be made for so many seconds; then ask again. `in_flight`: others have to end first."""

    seconds: float
    in_flight: bool = False


@dataclass(frozen=True)
class Told:
    """How many calls of a day the vendor said are left, less those since; and when it said so."""

    left: int
    at: pendulum.DateTime

    def is_younger(self, seconds: float, now: pendulum.DateTime) -> bool:
        """Return whether it was said within so many seconds; never where it was said in a time to come."""
        return 0 <= (now - self.at).total_seconds() < seconds


class Budgets:
    """The budgets of one vendor's companies. A call whose process died counts for `lease_seconds`."""

    def __init__(self, store: Store, limits: Sequence[Limit], lease_seconds: float) -> None:
        self.limits = tuple(limits)
        self.store = store
        self.lease_seconds = lease_seconds
        self.longest_seconds = max((limit.window_seconds for limit in limits), default=0.0) + MARGIN_SECONDS
        self.stamps = {kind: _stamps(self.of(Window.SLIDING, kind)) for kind in CallKind}

    def of(self, window: Window, kind: CallKind) -> tuple[Limit, ...]:
        """Return the limits that count a kind of call."""
        return tuple(limit for limit in self.limits if limit.window is window and kind in limit.kinds)

    def has(self, window: Window) -> bool:
        """Return whether there is a limit over such a window."""
        return any(limit.window is window for limit in self.limits)

    def end(self, conn: Connection, leases: Sequence[int]) -> None:
        """End the leases of a call."""
        conn.execute(delete(lease).where(lease.c.id.in_(leases)))

    def hear(self, conn: Connection, connection: str, left: Mapping[str, int]) -> None:
        """Note what the vendor says is left of its days, by the limit's name; where it says nothing, forget it."""
        for limit in (each for each in self.limits if each.window is Window.DAY):
            if limit.name in left:
                said = {"left": left[limit.name], "at": self.store.now(conn)}
                upsert(conn, budget_left, [{"connection": connection, "name": limit.name, **said}])
            else:
                ours = budget_left.c.connection == connection, budget_left.c.name == limit.name
                conn.execute(delete(budget_left).where(*ours))


@dataclass
class Count:
    """What one company has used, in one transaction; what counts no more is deleted.

    A stamp that cannot be right (another boot, a time to come) counts as made now.
    """

    budgets: Budgets
    conn: Connection
    connection: str
    now: Steady
    wall: pendulum.DateTime = field(init=False)
    hours: dict[str, list[tuple[int, int]]] = field(init=False, default_factory=dict)
    """Per limit of a day the hours that count, oldest first: since 1970 UTC, and how many calls."""
    told: dict[str, Told] = field(init=False, default_factory=dict)
    leases: Counter[str] = field(init=False, default_factory=Counter)

    def __post_init__(self) -> None:
        """Read it."""
        self._tidy_log()
        if self.budgets.has(Window.DAY):
            self.wall = self.budgets.store.now(self.conn)
            self.told = {row.name: Told(row.left, row.at) for row in self._rows(LEFT)}
            self.hours = self._read_hours(list(self._rows(HOURS)))
        if self.budgets.has(Window.IN_FLIGHT):
            self.leases = self._read_leases(list(self._rows(LEASES)))

    def wait(self, kind: CallKind, *, in_flight: bool) -> Wait | None:
        """Return how long a call of this kind has to wait; None: not at all.

        Without `in_flight` it rides on the lease of a call that its process has yet to make.
        """
        days = [self._day_wait(limit) for limit in self.budgets.of(Window.DAY, kind)]
        seconds = max(self._window_wait(kind), *days, 0.0)
        if seconds > 0:
            return Wait(seconds)
        leased = self.budgets.of(Window.IN_FLIGHT, kind) if in_flight else ()
        is_full = any(self.leases[limit.name] >= limit.calls for limit in leased)
        return Wait(LEASE_LOOK_SECONDS, in_flight=True) if is_full else None

    def take(self, kind: CallKind, *, in_flight: bool) -> tuple[int, ...]:
        """Note a call in every budget that counts it; return its leases."""
        stamp = {"connection": self.connection, "epoch": self.now.epoch, "at": self.now.seconds}
        self.conn.execute(insert(call), {"kind": kind.value, **stamp})
        for limit in self.budgets.of(Window.DAY, kind):
            self._add(limit.name, 1)
            if limit.name in self.told:
                self.conn.execute(ONE_LESS, {"ours": self.connection, "of": limit.name, "now": self.wall})
        leased = self.budgets.of(Window.IN_FLIGHT, kind) if in_flight else ()
        made = (self.conn.execute(insert(lease).returning(lease.c.id), {"name": each.name, **stamp}) for each in leased)
        return tuple(int(each.scalar_one()) for each in made)

    def used(self, limit: Limit) -> int:
        """Return how many calls a limit counts now."""
        if limit.window is Window.IN_FLIGHT:
            return self.leases[limit.name]
        if limit.window is Window.DAY:
            return sum(used for _hour, used in self.hours.get(limit.name, ()))
        since = self.now.seconds - limit.window_seconds
        within = call.c.connection == self.connection, call.c.at > since, *_kinds(limit)
        return int(self.conn.execute(select(func.count()).select_from(call).where(*within)).scalar_one())

    def left(self, limit: Limit) -> int:
        """Return how many calls more a limit allows: what we have not used, or less where the vendor says less."""
        ours, told = max(0, limit.calls - self.used(limit)), self.told.get(limit.name)
        is_told = told is not None and told.is_younger(DAY_HOURS * HOUR_SECONDS, self.wall)
        return min(ours, max(0, told.left)) if told is not None and is_told else ours

    def _rows(self, statement: Select[Any]) -> Iterable[Any]:
        return self.conn.execute(statement, {"ours": self.connection})

    def _tidy_log(self) -> None:
        """Delete permits older than every window. All stamps have one epoch, so the newest tells whether it is ours."""
        newest = self.conn.execute(NEWEST, {"ours": self.connection}).first()
        if newest is None:
            return
        if newest.epoch != self.now.epoch or newest.at > self.now.seconds:
            wrong = or_(call.c.epoch != self.now.epoch, call.c.at > self.now.seconds)
            right = {"epoch": self.now.epoch, "at": self.now.seconds}
            self.conn.execute(update(call).where(call.c.connection == self.connection, wrong).values(**right))
        oldest = self.now.seconds - self.budgets.longest_seconds
        self.conn.execute(TOO_OLD, {"ours": self.connection, "oldest": oldest})

    def _read_hours(self, rows: Sequence[Any]) -> dict[str, list[tuple[int, int]]]:
        """Return the hours that count; those to come, left by a clock that was ahead, are counted as this hour's."""
        this = _hour(self.wall)
        wrong = [row for row in rows if row.hour > this]
        if wrong or any(row.hour < this - DAY_HOURS for row in rows):
            gone = or_(budget.c.hour < this - DAY_HOURS, budget.c.hour > this)
            self.conn.execute(delete(budget).where(budget.c.connection == self.connection, gone))
            for row in wrong:
                self._add(row.name, row.used)
            rows = list(self._rows(HOURS))
        hours = defaultdict(list)
        for row in rows:
            hours[row.name].append((row.hour, row.used))
        return dict(hours)

    def _read_leases(self, rows: Sequence[Any]) -> Counter[str]:
        """Return the calls in flight; one has ended whose lease has expired, or was made before a restart."""
        oldest = self.now.seconds - self.budgets.lease_seconds
        dead = [row.id for row in rows if row.epoch != self.now.epoch or row.at < oldest]
        early = [row.id for row in rows if row.id not in dead and row.at > self.now.seconds]
        if dead:
            self.budgets.end(self.conn, dead)
        if early:
            self.conn.execute(update(lease).where(lease.c.id.in_(early)).values(at=self.now.seconds))
        return Counter(row.name for row in rows if row.id not in dead)

    def _window_wait(self, kind: CallKind) -> float:
        """Return the seconds until every sliding window has room for one more; 0.0 or less: now.

        A window of n calls has room when the n-th newest call it counts has left it.
        """
        windows = self.budgets.of(Window.SLIDING, kind)
        if not windows:
            return 0.0
        oldest = self.conn.execute(self.budgets.stamps[kind], {"ours": self.connection}).one()
        return max(
            0.0 if at is None else float(at) + limit.window_seconds + MARGIN_SECONDS - self.now.seconds
            for at, limit in zip(oldest, windows, strict=True)
        )

    def _day_wait(self, limit: Limit) -> float:
        """Return the seconds until a limit of a day has room for one more; 0.0: now."""
        told = self.told.get(limit.name)
        if told is not None and told.left <= 0 and told.is_younger(NONE_LEFT_SECONDS, self.wall):
            return NONE_LEFT_SECONDS - float((self.wall - told.at).total_seconds())
        return day_wait(limit.calls, self.hours.get(limit.name, ()), self.wall.timestamp())

    def _add(self, name: str, calls: int) -> None:
        """Add calls to this hour."""
        key = {"connection": self.connection, "name": name, "hour": _hour(self.wall)}
        row = insert_into(self.conn, budget).values(**key, used=calls)
        more = {"used": budget.c.used + row.excluded.used}
        self.conn.execute(row.on_conflict_do_update(index_elements=list(key), set_=more))


def day_wait(calls: int, hours: Sequence[tuple[int, int]], now: float) -> float:
    """Return the seconds until a day of `calls` has room for one more; 0.0: now (seconds since 1970).

    `hours` are those that count, oldest first: hours since 1970, and their calls. An hour counts until 24 hours after
    its end, so that no 24 hours hold more, whether the vendor's day rolls or begins at an hour that we do not know.
    """
    too_many = sum(used for _hour, used in hours) - calls + 1
    for hour, used in hours:
        if too_many <= 0:
            break
        too_many -= used
        if too_many <= 0:
            return max(0.0, (hour + 1 + DAY_HOURS) * HOUR_SECONDS - now)
    return 0.0


def _stamps(windows: Sequence[Limit]) -> Select[Any]:
    """Return the query for each window's n-th newest call."""
    return select(
        *(
            select(call.c.at)
            .where(call.c.connection == OURS, *_kinds(limit))
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


def _hour(at: pendulum.DateTime) -> int:
    """Return the hours since 1970, UTC."""
    return int(at.timestamp() // HOUR_SECONDS)
