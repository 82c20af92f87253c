"""Facts about the webhook inbox, for `books status` and the alerts."""

from __future__ import annotations

from dataclasses import dataclass

from books.ledgers.notices import WebhookDialect
from books.store import Store
from books.webhooks.inbox import Inbox

SILENCE_HOURS = 24
"""How far back changes count that no webhook announced."""


@dataclass(frozen=True)
class InboxLag:
    """Deliveries and notices that were received and are not yet handled by a payments run."""

    waiting: int
    oldest_seconds: float | None
    missed: int
    """Changes of the last 30 days that no webhook announced: a scheduled read found them."""
    standstill_seconds: float = 0
    """How long deliveries have waited to be split into notices; 0 while splitting works."""


def lag(store: Store, dialect: WebhookDialect, connection: str) -> InboxLag | None:
    """Return how far the payments job is behind the inbox; None where no receiver has ever been used."""
    inbox = _inbox(store, dialect, connection)
    if not inbox.is_used():
        return None
    backlog = inbox.backlog(dialect.reads, connection)
    standstill = backlog.unsplit_seconds or 0 if backlog.stands_still else 0
    return InboxLag(backlog.unsplit + backlog.unread, backlog.oldest_seconds, len(inbox.missed(connection)), standstill)


def _inbox(store: Store, dialect: WebhookDialect, connection: str) -> Inbox:
    return Inbox(store, dialect, connection.partition(":")[0])


def unnoticed(store: Store, dialect: WebhookDialect, connection: str) -> list[str] | None:
    """Return the payments that a read found although no notice, nor any later one, came; None without a receiver."""
    inbox = _inbox(store, dialect, connection)
    return inbox.silent_about(connection, SILENCE_HOURS) if inbox.is_used() else None
