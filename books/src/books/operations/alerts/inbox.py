"""What the webhook inbox says: the one place where the receiver's log meets `status` and the alerts."""

from __future__ import annotations

from dataclasses import dataclass

from books.ledgers.quickbooks.webhook import READS
from books.store import Store
from books.webhooks.inbox import Inbox

SILENCE_HOURS = 24
"""How far back a change counts that no notice told of."""


@dataclass(frozen=True)
class InboxLag:
    """Deliveries and notices that were received and not yet followed up by a payments run."""

    waiting: int
    oldest_seconds: float | None
    missed: int
    """Changes of the last 30 days that no webhook told of: found by reading."""
    standstill_seconds: float = 0
    """For how long deliveries have been kept and not split; 0 where splitting goes on."""


def lag(store: Store) -> InboxLag | None:
    """How far the payments job is behind the inbox; None where no receiver has ever been used."""
    inbox = Inbox(store)
    if not inbox.is_used():
        return None
    backlog = inbox.backlog(READS)
    standstill = backlog.unsplit_seconds or 0 if backlog.stands_still else 0
    return InboxLag(backlog.unsplit + backlog.unread, backlog.oldest_seconds, len(inbox.missed()), standstill)


def unnoticed(store: Store, connection: str) -> list[str] | None:
    """Payments that a read found and no notice announced, nor any since; None where no receiver is used."""
    inbox = Inbox(store)
    return inbox.silent_about(connection, SILENCE_HOURS) if inbox.is_used() else None
