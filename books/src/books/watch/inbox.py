"""What the webhook inbox says. The one place where the receiver's tables meet `status` and the alerts."""

from __future__ import annotations

from dataclasses import dataclass

import pendulum
from sqlalchemy import Connection


@dataclass(frozen=True)
class InboxLag:
    """Notices that were received and not yet followed up by a payments run."""

    waiting: int
    oldest_received_at: pendulum.DateTime | None


def lag(conn: Connection, connection: str) -> InboxLag | None:
    """How far the payments job is behind the inbox; None where no receiver has ever been used."""
    del conn, connection  # no table of notices in this version
    return None


def unnoticed(conn: Connection, connection: str) -> list[str] | None:
    """Payments that a read found and no notice announced while a receiver was in use; None where there is none."""
    del conn, connection  # as above
    return None
