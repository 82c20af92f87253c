"""Giving up a connection: the ledger's ids leave the store, and how to find every invoice again stays.

A posting that was in the books becomes `held` under the code `DISCONNECTED`. The run after the next connect takes it
from the store (no tap has to send it again), looks it up by its number and by the id that it had, and adopts it. It
never creates it: what is no longer there waits, as `GONE`, for a person's `books retry`.
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
"""Ids of voided invoices that a retry replaced: without them the voided one would be adopted instead of the new."""

TOLD = tuple(column for column in posting.c if column.name not in ("record", "body"))
"""Of a posting, what others may want to know."""

_FAULT: Mapping[str, Any] = {
    "outcome": Outcome.HELD.value,
    "external_id": None,
    "fault_code": DISCONNECTED,
    "fault_field": None,
    "fault_message": "QuickBooks was disconnected; the invoice is in the books and no longer followed",
    "remedy": "Run `books connect`: the next push finds it again by its number; nothing is posted twice.",
}


def is_given_up(connection: str) -> ColumnElement[bool]:
    """Postings whose ids were given up and that wait to be found again."""
    return and_(
        posting.c.connection == connection,
        posting.c.outcome == Outcome.HELD.value,
        posting.c.fault_code == DISCONNECTED,
    )


def give_up(store: Store, connection: str) -> Iterator[list[Mapping[str, Any]]]:
    """Give up every id of a connection, some postings at a time; gives each portion as it is after that.

    Every portion is one transaction, so that a killed call goes on where it stopped. What was given up in an earlier
    call comes first, again: whoever has to be told of it may not have been.
    """
    with store.begin() as conn:
        conn.execute(
            learned.delete().where(learned.c.connection == connection, learned.c.kind.not_in([KEPT_LESSON, FORMER_ID]))
        )
        conn.execute(left_alone.delete().where(left_alone.c.connection == connection))
    yield _rows(store, is_given_up(connection))
    while portion := _give_up_some(store, connection):
        yield portion


def count_in_the_books(store: Store, connection: str) -> int:
    """How many postings bear an id."""
    with store.read() as conn:
        return len(conn.execute(select(posting.c.seq).where(_bears_id(connection))).all())


def _bears_id(connection: str) -> ColumnElement[bool]:
    return and_(posting.c.connection == connection, posting.c.external_id.is_not(None))


def _rows(store: Store, where: ColumnElement[bool]) -> list[Mapping[str, Any]]:
    with store.read() as conn:
        return [dict(row) for row in conn.execute(select(*TOLD).where(where)).mappings()]


def _give_up_some(store: Store, connection: str) -> list[Mapping[str, Any]]:
    with store.begin() as conn:
        rows = conn.execute(select(*TOLD).where(_bears_id(connection)).limit(CHUNK)).mappings().all()
        return [_given_up(store, conn, dict(row)) for row in rows]


def _given_up(store: Store, conn: Connection, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """An invoice in the books remembers how it got there; one whose answer is out stays unknown."""
    in_the_books = row["outcome"] in {each.value for each in IN_THE_BOOKS}
    settled = row["outcome"] if in_the_books else row["settled_outcome"] or Outcome.CREATED.value
    changes = {**_FAULT, "settled_outcome": settled, "finished_at": store.now(conn), "seq": store.next_seq(conn)}
    key = and_(posting.c.connection == row["connection"], posting.c.opsmerge_invoice_id == row["opsmerge_invoice_id"])
    conn.execute(update(posting).where(key).values(**changes))
    former = {"connection": row["connection"], "kind": FORMER_ID, "key": row["opsmerge_invoice_id"]}
    kept = {**former, "ledger_id": row["external_id"], "detail": "{}", "learned_at": changes["finished_at"]}
    upsert(conn, learned, [kept])
    return {**row, **changes}
