"""Which of the ledger's documents were seen voided or deleted: noted by the pull of payments, and by a push that looks.

A void or opt-out in OpsMerge is a conflict only while the ledger's document stands, and a push asks nobody for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, delete, select

from books.core.batches import batched
from books.store.tables_posting import ended_document
from books.store.upsert import upsert

DELETED = "deleted"
VOIDED = "voided"
IDS_MAX = 400
"""Bound values of one query."""


def ended(conn: Connection, connection: str, ids: Iterable[str]) -> dict[str, str]:
    """Return `voided` or `deleted` for those that were seen so, by id."""
    found: dict[str, str] = {}
    for some in batched(dict.fromkeys(ids), IDS_MAX):
        statement = select(ended_document.c.transaction_id, ended_document.c.status).where(
            ended_document.c.connection == connection, ended_document.c.transaction_id.in_(some)
        )
        found.update((row[0], row[1]) for row in conn.execute(statement))
    return found


def note(conn: Connection, connection: str, statuses: Mapping[str, str]) -> None:
    """Write that documents were seen voided or deleted. A deletion is final."""
    known = ended(conn, connection, statuses)
    rows = [
        {"connection": connection, "transaction_id": key, "status": status}
        for key, status in statuses.items()
        if known.get(key) not in (DELETED, status)
    ]
    upsert(conn, ended_document, rows)


def note_live(conn: Connection, connection: str, ids: Iterable[str]) -> None:
    """Delete the note that documents were voided: they are valid. A deletion is final."""
    for some in batched(dict.fromkeys(ids), IDS_MAX):
        conn.execute(
            delete(ended_document).where(
                ended_document.c.connection == connection,
                ended_document.c.transaction_id.in_(some),
                ended_document.c.status != DELETED,
            )
        )
