"""The webhook inbox: an append-only log of notices in the store. Each reader follows it with its own offset.

receive   insert each delivery durably before the vendor gets its 200; nothing is parsed yet
split     turn deliveries into notices, in the order of `seq`; an event that cannot be read becomes a dead letter
noticed   return the objects noticed after an offset; the reader reads them, and its bookmark moves on

A notice is a hint to read one object, so replaying the log costs reads and changes nothing else. Nothing is
acknowledged in here: a reader that dies starts again from its old bookmark.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pendulum
from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, func, insert, select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from books.core.batches import batched
from books.ledgers.notices import Notice, Unreadable, WebhookDialect, unreadable
from books.store import Store
from books.store.tables_infra import counter, token
from books.store.tables_webhooks import (
    webhook_dead_letter,
    webhook_delivery,
    webhook_listener,
    webhook_missed,
    webhook_notice,
    webhook_reader,
)
from books.store.upsert import insert_into, insert_new, upsert

SPLIT_DELIVERIES = 200
"""Deliveries split in one transaction."""

DEAD_LETTERS_MAX = 100
"""Stored one by one per delivery, whose whole body is stored too: a megabyte can hold 300,000 unreadable events."""

STANDSTILL_SECONDS = 300
"""When a delivery has waited this long to be split, splitting has stopped. It takes milliseconds."""

IDS_CHUNK = 400
"""Ids in one query: below every database's limit of bound values."""

SLACK_SECONDS = 60
"""How far the vendor's times of the change and of its event may differ, either way."""

LISTENER_SILENT_DAYS = 7
"""A receiver without a heartbeat for this long is out of use: no change counts as missed by it."""

COUNTED_DAYS = 30
"""Older changes do not count as missed: notices are kept for longer than this."""

RETENTION_DAYS = 90


@dataclass(frozen=True)
class SplitResult:
    """How many deliveries were split, into how many notices and dead letters."""

    deliveries: int = 0
    notices: int = 0
    dead_letters: int = 0


@dataclass(frozen=True)
class NoticedObjects:
    """Objects of one entity noticed after an offset, each with the time of its last change. `seq`: the new offset."""

    changed_at: Mapping[str, pendulum.DateTime]
    seq: int

    def missing_from(self, shown: Mapping[str, pendulum.DateTime | None]) -> list[str]:
        """Return the ids that a read did not show as of the notice or later. A deletion without a time is final."""
        return [key for key, at in self.changed_at.items() if not _covers(shown, key, at)]


@dataclass(frozen=True)
class Backlog:
    """How far behind the inbox is."""

    unsplit: int
    unread: int
    oldest_seconds: float | None
    """Age of the oldest notice or delivery that was not read yet."""
    unsplit_seconds: float | None = None
    """Age of the oldest delivery that was not split yet."""

    @property
    def stands_still(self) -> bool:
        """Whether deliveries are stored but no longer split."""
        return (self.unsplit_seconds or 0) > STANDSTILL_SECONDS


class Inbox:
    """One environment's rows of the tables `webhook_*`. Any number of processes may receive, split and read at once."""

    def __init__(self, store: Store, dialect: WebhookDialect, environment: str) -> None:
        self._store = store
        self._dialect = dialect
        self._environment = environment
        self._splitting = f"webhook-split {environment}"

    def receive(self, bodies: Sequence[bytes]) -> None:
        """Store deliveries durably. A repeated one is only counted."""
        with self._store.begin() as connection:
            now = self._store.now(connection)
            for body in bodies:
                connection.execute(_keep_delivery(connection, self._key, body, now))

    @property
    def _key(self) -> dict[str, str]:
        return {"provider": self._dialect.provider, "environment": self._environment}

    def _of(self, table: Table) -> list[ColumnElement[bool]]:
        """Return the condition for this environment's rows of a table without connection."""
        return [table.c[name] == value for name, value in self._key.items()]

    def split(self, companies: Iterable[str] = ()) -> SplitResult:
        """Turn deliveries into notices. Known companies are these and those with tokens in this store."""
        done = SplitResult()
        while True:
            with self._store.begin() as connection:
                self._store.serialise(connection, self._splitting)
                splitter = _Splitter(self._store, connection, self._dialect, self._environment, companies)
                part = splitter.split(_unsplit_deliveries(connection, self._of(webhook_delivery)))
            done = SplitResult(
                done.deliveries + part.deliveries,
                done.notices + part.notices,
                done.dead_letters + part.dead_letters,
            )
            if part.deliveries < SPLIT_DELIVERIES:
                return done

    def noticed(self, connection_name: str, entity: str, after: int) -> NoticedObjects:
        """Return the objects of an entity noticed after an offset. One beyond the log (an old store's) counts as 0."""
        notice = webhook_notice.c
        with self._store.read() as connection:
            newest = _current_seq(connection)
            query = (
                select(notice.entity_id, func.max(notice.occurred_at))
                .where(notice.connection == connection_name, notice.entity == entity)
                .where(notice.seq > (after if after <= newest else 0), notice.seq <= newest)
                .group_by(notice.entity_id)
            )
            changed_at = {row[0]: row[1] for row in connection.execute(query)}
        return NoticedObjects(changed_at, newest)

    def mark_read(self, connection_name: str, entity: str, seq: int) -> None:
        """Record that everything up to an offset was read. Used by the backlog and the receiver's trigger only."""
        with self._store.begin() as connection:
            row = {"connection": connection_name, "entity": entity, "seq": seq, "read_at": self._store.now(connection)}
            upsert(connection, webhook_reader, [row])

    def has_unread(self, entities: Mapping[str, Collection[str]]) -> bool:
        """Return whether there are unread notices. `entities` holds, per entity, the operations to ignore."""
        ours = _is_of(webhook_notice, self._environment)
        with self._store.read() as connection:
            return any(
                connection.execute(select(exists(_unread(entity).where(ours, _is_relevant(ignored))))).scalar_one()
                for entity, ignored in entities.items()
            )

    def backlog(self, entities: Iterable[str], connection_name: str = "") -> Backlog:
        """Return how much was delivered but not split, noticed but not read, and how old the oldest of it is.

        `connection_name`: of one company; else of all in the environment. Deliveries not split may be anybody's.
        """
        ours = _is_of(webhook_notice, self._environment, connection_name)
        with self._store.read() as connection:
            unsplit, oldest = connection.execute(
                select(func.count(), func.min(webhook_delivery.c.received_at)).where(
                    *self._of(webhook_delivery), webhook_delivery.c.split_at.is_(None)
                )
            ).one()
            ages = [] if oldest is None else [oldest]
            unread = 0
            for entity in entities:
                waiting = _unread(entity).where(ours).subquery()
                count, first = connection.execute(select(func.count(), func.min(waiting.c.noted_at))).one()
                unread += count
                ages += [] if first is None else [first]
            now = self._store.now(connection)
        waits = [(now - age).total_seconds() for age in ages]
        return Backlog(unsplit, unread, max(waits, default=None), waits[0] if oldest is not None else None)

    def record_heartbeat(self) -> None:
        """Record that a receiver is running: from now on a change without a notice counts as missed."""
        with self._store.begin() as connection:
            now = self._store.now(connection)
            alive = update(webhook_listener).where(*self._of(webhook_listener)).values(seen_at=now)
            if connection.execute(alive).rowcount == 0:
                upsert(connection, webhook_listener, [{**self._key, "since": now, "seen_at": now}])

    def record_unnoticed(
        self, connection_name: str, entity: str, changed: Mapping[str, pendulum.DateTime | None]
    ) -> int:
        """Record changes that a read found and no notice covers; return how many are new (0 without a receiver)."""
        with self._store.begin() as connection:
            now = self._store.now(connection)
            since = _listening_since(connection, self._of(webhook_listener), now)
            if since is None:
                return 0
            fresh = {key: at for key, at in changed.items() if at is not None and at >= since}
            noticed = _noticed_at(connection, connection_name, entity, fresh)
            rows = [
                {
                    "connection": connection_name,
                    "entity": entity,
                    "entity_id": key,
                    "changed_at": at,
                    "found_at": now,
                    "announced_at": None,
                }
                for key, at in fresh.items()
                if not _covers(noticed, key, at)
            ]
            return sum(insert_new(connection, webhook_missed, row) for row in rows)

    def missed(
        self, connection_name: str, *, since: pendulum.DateTime | None = None, limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Return a company's changes without a notice in the time that one may take, newest first."""
        columns = webhook_missed.c
        with self._store.read() as connection:
            overdue = self._store.now(connection).subtract(seconds=int(self._dialect.missed_after_seconds))
            query = select(webhook_missed).where(
                columns.connection == connection_name, columns.announced_at.is_(None), columns.found_at < overdue
            )
            if since is not None:
                query = query.where(columns.changed_at >= since)
            rows = connection.execute(query.order_by(columns.changed_at.desc()).limit(limit)).mappings()
            return [dict(row) for row in rows]

    def is_used(self) -> bool:
        """Return whether a receiver of this vendor was ever started in this environment."""
        ours = select(webhook_listener).where(*self._of(webhook_listener))
        with self._store.read() as connection:
            return bool(connection.execute(select(exists(ours))).scalar_one())

    def silent_about(self, connection_name: str, hours: int) -> list[str]:
        """Return objects whose change in the last hours was missed and after which no notice arrived at all."""
        with self._store.read() as connection:
            since = self._store.now(connection).subtract(hours=hours)
            of_company = webhook_notice.c.connection == connection_name
            last_notice_at = connection.execute(select(func.max(webhook_notice.c.noted_at)).where(of_company)).scalar()
        rows = self.missed(connection_name, since=since)
        return [row["entity_id"] for row in rows if last_notice_at is None or last_notice_at < row["changed_at"]]

    def replay(self, connection_name: str, *conditions: Any) -> int:
        """Append a company's matching notices to the log again, to have their objects read again; return how many."""
        columns = webhook_notice.c
        with self._store.begin() as connection:
            self._store.serialise(connection, self._splitting)
            query = select(webhook_notice).where(columns.connection == connection_name, *conditions)
            query = query.order_by(columns.seq)
            rows = [dict(row) for row in connection.execute(query).mappings()]
            latest = {(row["connection"], row["entity"], row["entity_id"]): row for row in rows}
            now = self._store.now(connection)
            for row in latest.values():
                seq = self._store.next_seq(connection)
                again = {"seq": seq, "event_id": f"replay-{seq}", "noted_at": now}
                connection.execute(insert(webhook_notice).values(**row | again))
        return len(latest)

    def revive(self) -> int:
        """Mark deliveries with dead letters to be split again, after a repair; return how many."""
        dead = select(webhook_dead_letter.c.delivery_id)
        ours = select(webhook_delivery.c.id).where(*self._of(webhook_delivery), webhook_delivery.c.id.in_(dead))
        with self._store.begin() as connection:
            self._store.serialise(connection, self._splitting)
            ids = list(connection.execute(ours).scalars())
            for some in batched(ids, IDS_CHUNK):
                connection.execute(
                    update(webhook_delivery).where(webhook_delivery.c.id.in_(some)).values(split_at=None)
                )
                connection.execute(delete(webhook_dead_letter).where(webhook_dead_letter.c.delivery_id.in_(some)))
        return len(ids)

    def prune(self) -> int:
        """Delete what was received more than `RETENTION_DAYS` ago; return how many deliveries."""
        with self._store.begin() as connection:
            before = self._store.now(connection).subtract(days=RETENTION_DAYS)
            split = webhook_delivery.c.split_at.is_not(None)
            gone = connection.execute(delete(webhook_delivery).where(webhook_delivery.c.received_at < before, split))
            connection.execute(delete(webhook_notice).where(webhook_notice.c.noted_at < before))
            connection.execute(delete(webhook_dead_letter).where(webhook_dead_letter.c.noted_at < before))
            connection.execute(delete(webhook_missed).where(webhook_missed.c.found_at < before))
        return gone.rowcount


class _Splitter:
    """Splits deliveries within one transaction."""

    def __init__(
        self, store: Store, connection: Connection, dialect: WebhookDialect, environment: str, companies: Iterable[str]
    ) -> None:
        self._store = store
        self._connection = connection
        self._dialect = dialect
        self._environment = environment
        with_tokens = set(connection.execute(select(token.c.connection)).scalars())
        self._known = with_tokens | {f"{environment}:{company}" for company in companies}
        self._now = store.now(connection)
        self._notices = self._dead_letters = 0

    def split(self, deliveries: Sequence[Any]) -> SplitResult:
        """Split these deliveries. One whose content makes that impossible is rolled back and becomes a dead letter."""
        for delivery in deliveries:
            before = self._notices, self._dead_letters
            try:
                with self._connection.begin_nested():
                    self._split_one(delivery)
            except Exception as error:
                if _is_of_store(error):
                    raise
                self._notices, self._dead_letters = before
                text = delivery.body.decode("utf-8", "replace")
                self._add_dead_letter(
                    delivery, WHOLE, unreadable(f"the delivery cannot be split ({type(error).__name__})", text)
                )
            done = update(webhook_delivery).where(webhook_delivery.c.id == delivery.id)
            self._connection.execute(done.values(split_at=self._now))
        return SplitResult(len(deliveries), self._notices, self._dead_letters)

    def _split_one(self, delivery: Any) -> None:
        dead = [
            (place, letter)
            for place, event in enumerate(self._dialect.parse(delivery.body))
            if (letter := self._note(delivery, event)) is not None
        ]
        for place, letter in dead[:DEAD_LETTERS_MAX]:
            self._add_dead_letter(delivery, place, letter)
        if len(dead) > DEAD_LETTERS_MAX:
            more = f"and {len(dead) - DEAD_LETTERS_MAX:,} more events of this delivery"
            self._add_dead_letter(delivery, WHOLE, Unreadable(more, ""))

    def _note(self, delivery: Any, event: Notice | Unreadable) -> Unreadable | None:
        """Append a notice, or return the dead letter if that is impossible."""
        if isinstance(event, Unreadable):
            return event
        connection_name = f"{self._environment}:{event.company_id}"
        if connection_name not in self._known:
            words = f"{event.entity} {event.entity_id} {event.operation} {event.event_id}"
            return Unreadable(f"company {event.company_id} is not connected here", words)
        self._append(delivery, connection_name, event)
        return None

    def _append(self, delivery: Any, connection_name: str, notice: Notice) -> None:
        at = notice.occurred_at or delivery.received_at
        row = {
            "connection": connection_name,
            "entity": notice.entity,
            "entity_id": notice.entity_id,
            "operation": notice.operation,
            "event_id": notice.event_id or f"delivery-{delivery.id}",
            "occurred_at": at,
            "delivery_id": delivery.id,
            "noted_at": self._now,
            "seq": self._store.next_seq(self._connection),
        }
        self._notices += insert_new(self._connection, webhook_notice, row)
        self._connection.execute(_announce(connection_name, notice, at, self._now))

    def _add_dead_letter(self, delivery: Any, place: int, letter: Unreadable) -> None:
        row = {
            "delivery_id": delivery.id,
            "place": place,
            "reason": letter.reason,
            "event": letter.event,
            "noted_at": self._now,
        }
        self._dead_letters += insert_new(self._connection, webhook_dead_letter, row)


WHOLE = -1
"""The `place` of a dead letter about a whole delivery."""


def _is_of_store(error: Exception) -> bool:
    """Return whether the store failed (the delivery waits), not the content of the delivery."""
    return isinstance(error, DBAPIError) and not isinstance(error, (DataError, IntegrityError))


def _keep_delivery(connection: Connection, key: Mapping[str, str], body: bytes, now: pendulum.DateTime) -> Any:
    statement = insert_into(connection, webhook_delivery).values(
        **key, sha256=hashlib.sha256(body).hexdigest(), body=body, received_at=now, repeats=0
    )
    return statement.on_conflict_do_update(
        index_elements=[*key, "sha256"], set_={"repeats": webhook_delivery.c.repeats + 1}
    )


def _unsplit_deliveries(connection: Connection, ours: Sequence[ColumnElement[bool]]) -> Sequence[Any]:
    columns = webhook_delivery.c
    query = select(columns.id, columns.body, columns.received_at).where(columns.split_at.is_(None), *ours)
    return connection.execute(query.order_by(columns.id).limit(SPLIT_DELIVERIES)).all()


def _announce(connection_name: str, notice: Notice, at: pendulum.DateTime, now: pendulum.DateTime) -> Any:
    """Return the update that marks missed changes as announced. A notice covers every earlier change of its object."""
    columns = webhook_missed.c
    return (
        update(webhook_missed)
        .where(columns.connection == connection_name, columns.entity == notice.entity)
        .where(columns.entity_id == notice.entity_id, columns.announced_at.is_(None))
        .where(columns.changed_at <= at.add(seconds=SLACK_SECONDS))
        .values(announced_at=now)
    )


def _unread(entity: str) -> Any:
    """Return a query for the notices of an entity that were not read yet."""
    of_reader = and_(webhook_reader.c.connection == webhook_notice.c.connection, webhook_reader.c.entity == entity)
    read_up_to = select(webhook_reader.c.seq).where(of_reader).scalar_subquery()
    return select(webhook_notice).where(
        webhook_notice.c.entity == entity, webhook_notice.c.seq > func.coalesce(read_up_to, 0)
    )


def _is_of(table: Table, environment: str, connection_name: str = "") -> ColumnElement[bool]:
    """Return the condition for one company's rows, or those of all companies in an environment."""
    if connection_name:
        return table.c.connection == connection_name
    return table.c.connection.startswith(f"{environment}:", autoescape=True)


def _is_relevant(ignored: Collection[str]) -> Any:
    return webhook_notice.c.operation.not_in(sorted(ignored))


def _listening_since(
    connection: Connection, ours: Sequence[ColumnElement[bool]], now: pendulum.DateTime
) -> pendulum.DateTime | None:
    alive = webhook_listener.c.seen_at > now.subtract(days=LISTENER_SILENT_DAYS)
    since: pendulum.DateTime | None = connection.execute(
        select(func.min(webhook_listener.c.since)).where(*ours, alive)
    ).scalar()
    return since and max(since, now.subtract(days=COUNTED_DAYS))


def _noticed_at(
    connection: Connection, connection_name: str, entity: str, changed: Mapping[str, Any]
) -> dict[str, pendulum.DateTime | None]:
    """Return the time of change in the newest notice of each object."""
    notice = webhook_notice.c
    found: dict[str, pendulum.DateTime | None] = {}
    for ids in batched(sorted(changed), IDS_CHUNK):
        query = (
            select(notice.entity_id, func.max(notice.occurred_at))
            .where(notice.connection == connection_name, notice.entity == entity)
            .where(notice.entity_id.in_(ids))
            .group_by(notice.entity_id)
        )
        found |= {row[0]: row[1] for row in connection.execute(query)}
    return found


def _covers(shown: Mapping[str, pendulum.DateTime | None], key: str, at: pendulum.DateTime) -> bool:
    """Return whether an object was shown as of this time or later, allowing for the vendor's clocks."""
    if key not in shown:
        return False
    state_of = shown[key]
    return state_of is None or (at - state_of).total_seconds() <= SLACK_SECONDS


def _current_seq(connection: Connection) -> int:
    return int(connection.execute(select(counter.c.value).where(counter.c.name == "seq")).scalar() or 0)
