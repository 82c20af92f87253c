"""What the webhook inbox says: the one place where the receiver's log meets `status` and the alerts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, select

from books.inbox import Inbox
from books.store import Store
from books.store.tables_webhooks import webhook_listener

SILENCE_HOURS = 24
"""A payment that was found without a notice so long ago says nothing about today's notices."""


@dataclass(frozen=True)
class InboxLag:
    """Deliveries and notices that no payments run has followed up yet."""

    waiting: int
    oldest_seconds: float | None


def lag(store: Store, entities: Collection[str]) -> InboxLag | None:
    """How far the payments job is behind the inbox; None where no receiver has ever run on this store."""
    if not _has_receiver(store):
        return None
    backlog = Inbox(store).backlog(entities)
    return InboxLag(backlog.unsplit + backlog.unread, backlog.oldest_seconds)


def unnoticed(store: Store, connection: str) -> list[str] | None:
    """Changes of the last day that a read found and no notice told of; None where no receiver has ever run."""
    if not _has_receiver(store):
        return None
    with store.read() as conn:
        since = store.now(conn).subtract(hours=SILENCE_HOURS)
    missed = [row for row in Inbox(store).missed(since=since) if row["connection"] == connection]
    return [f"{row['entity']} {row['entity_id']}" for row in missed]


def _has_receiver(store: Store) -> bool:
    with store.read() as conn:
        return conn.execute(select(func.count()).select_from(webhook_listener)).scalar_one() > 0
