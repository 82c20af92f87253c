"""The table `alert`: which causes are open, which messages about them were sent, and which are still due.

A new cause opens an alert, with one message. While it is open, new items of it (another refused invoice, the next
threshold) make another message, at most one an hour. When the cause is gone, one last message closes the alert.
A message stays due until every address has received it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pendulum
from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from books.operations.alerts.rules import Cause
from books.store.tables_jobs import alert

OPENED, MORE, OVER = "opened", "more", "over"

MORE_SECONDS_MIN = 3_600
"""Least time between two messages about new items of one cause: twelve refusals in an hour are one message."""

PAST_DAYS_MAX = 400
"""How long closed alerts are kept."""

SHOWN = ("cause", "title", "message", "remedy", "opened_at", "seen_at", "resolved_at", "last_sent_at", "due", "failure")


@dataclass(frozen=True)
class Alert:
    """One row of the table `alert`; the fields are its columns, which are described there (`reported` is `told`)."""

    connection: str
    cause: str
    title: str
    message: str
    remedy: str
    opened_at: pendulum.DateTime
    seen_at: pendulum.DateTime
    reported: tuple[str, ...] = ()
    resolved_at: pendulum.DateTime | None = None
    last_sent_at: pendulum.DateTime | None = None
    due: str | None = None
    news: Mapping[str, str] = field(default_factory=dict)
    reached: tuple[str, ...] = ()
    failure: str | None = None
    id: int | None = None


def opened(connection: str, cause: Cause, now: pendulum.DateTime) -> Alert:
    """Return the alert for a new cause, with its message due."""
    return Alert(
        connection=connection,
        cause=cause.key,
        title=cause.title,
        message=cause.message,
        remedy=cause.remedy,
        opened_at=now,
        seen_at=now,
        reported=tuple(cause.items),
        due=OPENED,
        news=dict(cause.items),
    )


def seen_again(known: Alert, cause: Cause, now: pendulum.DateTime) -> Alert:
    """Return the alert updated to its cause as it is now.

    New items join a message that is due and has reached nobody yet; otherwise they make a message of their own, at
    most one an hour. An item that went away and came back is new again.
    """
    still = tuple(item for item in known.reported if item in cause.items)
    known = replace(known, title=cause.title, message=cause.message, remedy=cause.remedy, seen_at=now, reported=still)
    new = {item: line for item, line in cause.items.items() if item not in known.reported}
    if known.due is not None:
        if known.reached:
            return known
        news = {item: line for item, line in cause.items.items() if item in known.news or item in new}
        due = known.due if news or known.due == OPENED else None
        return replace(known, due=due, news=news, reported=tuple(cause.items))
    last = known.last_sent_at
    if not new or (last is not None and (now - last).total_seconds() < MORE_SECONDS_MIN):
        return known
    return replace(known, due=MORE, news=new, reported=tuple(cause.items))


def over(known: Alert, now: pendulum.DateTime) -> Alert:
    """Return the alert closed. The closing message replaces any other that was still due."""
    return replace(known, resolved_at=now, due=OVER, news={}, reached=(), failure=None)


def after_sending(known: Alert, reached: tuple[str, ...], failure: str | None, now: pendulum.DateTime) -> Alert:
    """Return the alert after its message was tried: due no longer only where every address received it."""
    if failure is not None:
        return replace(known, reached=reached, failure=failure)
    return replace(known, due=None, news={}, reached=(), failure=None, last_sent_at=now)


def record_causes(
    conn: Connection, connection: str, judged: Mapping[str, Cause | None], now: pendulum.DateTime
) -> list[Alert]:
    """Open, update and close alerts by what the rules found now; return those that were opened or closed."""
    known = {each.cause: each for each in current(conn, connection)}
    changed = []
    for key, cause in judged.items():
        before = known.get(key)
        if cause is not None:
            after = seen_again(before, cause, now) if before else opened(connection, cause, now)
        elif before is not None:
            after = over(before, now)
        else:
            continue
        after = save(conn, after)
        if before is None or after.resolved_at:
            changed.append(after)
    expired = alert.c.resolved_at < now.subtract(days=PAST_DAYS_MAX)
    conn.execute(delete(alert).where(alert.c.connection == connection, expired))
    return changed


def current(conn: Connection, connection: str) -> list[Alert]:
    """Return the open alerts, oldest first."""
    rows = select(alert).where(alert.c.connection == connection, alert.c.resolved_at.is_(None))
    return [_read(row) for row in conn.execute(rows.order_by(alert.c.id)).mappings()]


def past(conn: Connection, connection: str, most: int) -> list[Alert]:
    """Return the newest closed alerts."""
    rows = select(alert).where(alert.c.connection == connection, alert.c.resolved_at.is_not(None))
    return [_read(row) for row in conn.execute(rows.order_by(alert.c.id.desc()).limit(most)).mappings()]


def due(conn: Connection, connection: str) -> list[Alert]:
    """Return the alerts with a message still to be sent, oldest first."""
    rows = select(alert).where(alert.c.connection == connection, alert.c.due.is_not(None))
    return [_read(row) for row in conn.execute(rows.order_by(alert.c.id)).mappings()]


def as_rows(alerts: Iterable[Alert]) -> list[dict[str, Any]]:
    """Return alerts as `--json` prints them."""
    return [{key: value for key, value in asdict(each).items() if key in SHOWN} for each in alerts]


def save(conn: Connection, one: Alert) -> Alert:
    """Insert or update an alert's row; return the alert with its id."""
    values = {key: _to_column(value) for key, value in asdict(one).items() if key != "id"}
    values["told"] = values.pop("reported")
    if one.id is None:
        number = conn.execute(insert(alert).values(**values).returning(alert.c.id)).scalar_one()
        return replace(one, id=number)
    conn.execute(update(alert).where(alert.c.id == one.id).values(**values))
    return one


def drop_closing_messages(conn: Connection, connection: str) -> None:
    """Drop the closing messages that are due: without addresses nobody heard of the alert while it was open."""
    closing = alert.update().where(alert.c.connection == connection, alert.c.due == OVER)
    conn.execute(closing.values(due=None))


def _to_column(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (tuple, list, dict)) else value


def _read(row: RowMapping) -> Alert:
    values: dict[str, Any] = dict(row)
    values["reported"] = tuple(json.loads(values.pop("told")))
    values["reached"] = tuple(json.loads(values["reached"]))
    values["news"] = json.loads(values["news"])
    return Alert(**values)
