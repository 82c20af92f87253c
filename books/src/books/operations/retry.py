"""Have invoices posted again: rejected ones, and documents that a bookkeeper deleted or voided."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, or_, select, update

from books.posting.postings import ERASED_MARK, Outcome
from books.store import Store
from books.store.tables_posting import posting


def rejected_numbers(store: Store, connection: str) -> list[str]:
    """Return the numbers of all rejected invoices."""
    rejected = and_(posting.c.connection == connection, posting.c.outcome == Outcome.REJECTED.value)
    with store.read() as conn:
        return list(conn.execute(select(posting.c.number).where(rejected)).scalars())


def request_retry(store: Store, connection: str, names: Sequence[str]) -> list[str]:
    """Mark postings, by invoice number or OpsMerge id, for the next push; return their numbers.

    The push looks each up first. Not marked are unknown ones (the answer that is still out could make a second one)
    and those whose personal data was erased (there is nothing left to send).
    """
    wanted = or_(posting.c.number.in_(list(names)), posting.c.opsmerge_invoice_id.in_(list(names)))
    sendable = and_(posting.c.outcome != Outcome.UNKNOWN.value, ~posting.c.record.contains(ERASED_MARK))
    where = and_(posting.c.connection == connection, wanted, sendable)
    with store.begin() as conn:
        seq = store.next_seq(conn)
        rows = conn.execute(select(posting.c.opsmerge_invoice_id, posting.c.number).where(where)).all()
        for place, row in enumerate(rows):
            key = and_(posting.c.connection == connection, posting.c.opsmerge_invoice_id == row[0])
            number = seq if place == 0 else store.next_seq(conn)
            conn.execute(update(posting).where(key).values(retry=True, seq=number))
    return [row[1] for row in rows]
