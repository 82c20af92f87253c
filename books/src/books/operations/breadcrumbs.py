"""Give up a connection: clear the ledger's ids from the store, but keep how to find every invoice again.

A posting that was in the books becomes `held` under the code `DISCONNECTED`. The run after the next connect takes it
from the store (no tap has to send it again), looks it up by its number and by its former id, and adopts it. It never
creates it: if the document is missing, the posting is held as `GONE` until a person runs `books retry`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, select, update

from books.posting.journal import FORMER_ID
from books.posting.postings import DISCONNECTED, IN_THE_BOOKS, Outcome
from books.store import Store
from books.store.tables_posting import learned, left_alone, posting
from books.store.upsert import upsert

CHUNK = 500
"""Postings in one transaction."""

KEPT_LESSON = "replaced"
"""Ids of voided invoices that a retry replaced. Without them the voided one would be adopted instead of the new."""

COLUMNS = tuple(column for column in posting.c if column.name not in ("record", "body"))
"""A posting's columns without the record and the bytes that were sent."""

_FAULT: Mapping[str, Any] = {
    "outcome": Outcome.HELD.value,
    "external_id": None,
    "fault_code": DISCONNECTED,
    "fault_field": None,
    "fault_message": "QuickBooks was disconnected; the invoice is in the books and no longer updated",
    "remedy": "Run `books connect`: the next push finds it again by its number; nothing is posted twice.",
}


def is_given_up(connection: str) -> ColumnElement[bool]:
    """Return the condition for postings whose ids were given up and that are to be found again."""
    return and_(
        posting.c.connection == connection,
        posting.c.outcome == Outcome.HELD.value,
        posting.c.fault_code == DISCONNECTED,
    )


def give_up(store: Store, connection: str) -> Iterator[list[Mapping[str, Any]]]:
    """Give up every id of a connection, in chunks; yield each chunk's postings as they are afterwards.

    Each chunk is one transaction, so that a call after a kill continues. The postings that an earlier call gave up
    come first, again: OpsMerge may not have been updated yet.
    """
    with store.begin() as conn:
        conn.execute(
            learned.delete().where(learned.c.connection == connection, learned.c.kind.not_in([KEPT_LESSON, FORMER_ID]))
        )
        conn.execute(left_alone.delete().where(left_alone.c.connection == connection))
    with store.read() as conn:
        earlier = conn.execute(select(*COLUMNS).where(is_given_up(connection))).mappings()
        given_up: list[Mapping[str, Any]] = [dict(row) for row in earlier]
    yield given_up
    while True:
        with store.begin() as conn:
            rows = conn.execute(select(*COLUMNS).where(_has_id(connection)).limit(CHUNK)).mappings().all()
            chunk = [_give_up_one(store, conn, dict(row)) for row in rows]
        if not chunk:
            return
        yield chunk


def count_in_the_books(store: Store, connection: str) -> int:
    """Return how many postings have an id."""
    with store.read() as conn:
        return len(conn.execute(select(posting.c.seq).where(_has_id(connection))).all())


def _has_id(connection: str) -> ColumnElement[bool]:
    return and_(posting.c.connection == connection, posting.c.external_id.is_not(None))


def _give_up_one(store: Store, conn: Connection, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Hold one posting and note its former id and outcome; return it as it is afterwards."""
    in_the_books = row["outcome"] in {each.value for each in IN_THE_BOOKS}
    settled = row["outcome"] if in_the_books else row["settled_outcome"] or Outcome.CREATED.value
    changes = {**_FAULT, "settled_outcome": settled, "finished_at": store.now(conn), "seq": store.next_seq(conn)}
    key = and_(posting.c.connection == row["connection"], posting.c.opsmerge_invoice_id == row["opsmerge_invoice_id"])
    conn.execute(update(posting).where(key).values(**changes))
    former = {"connection": row["connection"], "kind": FORMER_ID, "key": row["opsmerge_invoice_id"]}
    kept = {**former, "ledger_id": row["external_id"], "detail": "{}", "learned_at": changes["finished_at"]}
    upsert(conn, learned, [kept])
    return {**row, **changes}
