"""What was told and what is still to be told: one alert for each time that a cause holds.

A cause that appears opens an alert: one message. While it is open, what is new (another refused invoice, the next
threshold) makes another message, at most one an hour. When the cause is gone: one message, and the alert is past.
A message that could not be sent is due until it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pendulum
from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from books.operations.alerts.rules import Cause
from books.store.tables_jobs import alert

OPENED, MORE, OVER = "opened", "more", "over"

MORE_SECONDS_MIN = 3_600
"""Between two messages about what is new of one cause: twelve refusals in an hour are one message, not twelve."""

PAST_DAYS_MAX = 400
"""Past alerts are kept for so long."""


@dataclass(frozen=True)
class Alert:
    """One row of the table `alert`: its columns and their meaning stand there."""

    connection: str
    cause: str
    title: str
    message: str
    remedy: str
    opened_at: pendulum.DateTime
    seen_at: pendulum.DateTime
    told: tuple[str, ...] = ()
    resolved_at: pendulum.DateTime | None = None
    last_sent_at: pendulum.DateTime | None = None
    due: str | None = None
    news: Mapping[str, str] = field(default_factory=dict)
    reached: tuple[str, ...] = ()
    failure: str | None = None
    id: int | None = None


def opened(connection: str, cause: Cause, now: pendulum.DateTime) -> Alert:
    """A cause appeared."""
    return Alert(
        connection=connection,
        cause=cause.key,
        title=cause.title,
        message=cause.message,
        remedy=cause.remedy,
        opened_at=now,
        seen_at=now,
        told=tuple(cause.items),
        due=OPENED,
        news=dict(cause.items),
    )


def seen(known: Alert, cause: Cause, now: pendulum.DateTime) -> Alert:
    """The cause still holds; what is new of it becomes due, or joins what is due and has reached nobody yet."""
    known = replace(
        known, title=cause.title, message=cause.message, remedy=cause.remedy, seen_at=now, told=_still(known, cause)
    )
    fresh = {item: line for item, line in cause.items.items() if item not in known.told}
    if known.due is not None:
        return known if known.reached else _joined(known, cause, fresh)
    if not fresh or not _may_say_more(known, now):
        return known
    return replace(known, due=MORE, news=fresh, told=tuple(cause.items))


def over(known: Alert, now: pendulum.DateTime) -> Alert:
    """The cause is gone. Whatever was still to be said about it, this is now what is to be said."""
    return replace(known, resolved_at=now, due=OVER, news={}, reached=(), failure=None)


def sent(known: Alert, reached: tuple[str, ...], failure: str | None, now: pendulum.DateTime) -> Alert:
    """A message was tried: it is still due where it has not reached every address."""
    if failure is not None:
        return replace(known, reached=reached, failure=failure)
    return replace(known, due=None, news={}, reached=(), failure=None, last_sent_at=now)


def _still(known: Alert, cause: Cause) -> tuple[str, ...]:
    """What was told and still holds: what is mended and breaks again is news."""
    return tuple(item for item in known.told if item in cause.items)


def _joined(known: Alert, cause: Cause, fresh: Mapping[str, str]) -> Alert:
    news = {item: line for item, line in cause.items.items() if item in known.news or item in fresh}
    due = known.due if news or known.due == OPENED else None
    return replace(known, due=due, news=news, told=tuple(cause.items))


def _may_say_more(known: Alert, now: pendulum.DateTime) -> bool:
    last = known.last_sent_at
    return last is None or (now - last).total_seconds() >= MORE_SECONDS_MIN


def follow(
    conn: Connection, connection: str, judged: Mapping[str, Cause | None], now: pendulum.DateTime
) -> list[Alert]:
    """Bring the table up to what is judged now; the alerts that changed hands: opened or over."""
    known = {each.cause: each for each in current(conn, connection)}
    changed = []
    for key, cause in judged.items():
        before = known.get(key)
        after = _followed(connection, before, cause, now)
        if after is not None:
            after = save(conn, after)
            if before is None or after.resolved_at:
                changed.append(after)
    _forget(conn, connection, now)
    return changed


def _followed(connection: str, known: Alert | None, cause: Cause | None, now: pendulum.DateTime) -> Alert | None:
    if cause is None:
        return over(known, now) if known else None
    return seen(known, cause, now) if known else opened(connection, cause, now)


def current(conn: Connection, connection: str) -> list[Alert]:
    """The open alerts, oldest first."""
    rows = select(alert).where(alert.c.connection == connection, alert.c.resolved_at.is_(None))
    return [_read(row) for row in conn.execute(rows.order_by(alert.c.id)).mappings()]


def past(conn: Connection, connection: str, most: int) -> list[Alert]:
    """The newest alerts that are over."""
    rows = select(alert).where(alert.c.connection == connection, alert.c.resolved_at.is_not(None))
    return [_read(row) for row in conn.execute(rows.order_by(alert.c.id.desc()).limit(most)).mappings()]


def due(conn: Connection, connection: str) -> list[Alert]:
    """The alerts with a message still to be sent, oldest first."""
    rows = select(alert).where(alert.c.connection == connection, alert.c.due.is_not(None))
    return [_read(row) for row in conn.execute(rows.order_by(alert.c.id)).mappings()]


def save(conn: Connection, one: Alert) -> Alert:
    """Write an alert's row."""
    values = {key: _written(value) for key, value in asdict(one).items() if key != "id"}
    if one.id is None:
        number = conn.execute(insert(alert).values(**values).returning(alert.c.id)).scalar_one()
        return replace(one, id=number)
    conn.execute(update(alert).where(alert.c.id == one.id).values(**values))
    return one


def drop_untold(conn: Connection, connection: str) -> None:
    """Where there is nobody to tell: what is over needs no message when somebody is there later."""
    nobody = alert.update().where(alert.c.connection == connection, alert.c.due == OVER)
    conn.execute(nobody.values(due=None))


def _forget(conn: Connection, connection: str, now: pendulum.DateTime) -> None:
    old = now.subtract(days=PAST_DAYS_MAX)
    conn.execute(delete(alert).where(alert.c.connection == connection, alert.c.resolved_at < old))


def _written(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (tuple, list, dict)) else value


def _read(row: RowMapping) -> Alert:
    values: dict[str, Any] = dict(row)
    for name in ("told", "reached"):
        values[name] = tuple(json.loads(values[name]))
    values["news"] = json.loads(values["news"])
    return Alert(**values)
