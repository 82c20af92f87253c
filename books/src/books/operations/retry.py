"""A person asks for invoices to be posted again: rejected ones, and what a bookkeeper deleted or voided."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, or_, select, update

from books.posting.postings import ERASED_MARK, Outcome
from books.store import Store
from books.store.tables_posting import posting


def request_retry(store: Store, connection: str, names: Sequence[str]) -> list[str]:
    """Mark postings, by invoice number or OpsMerge id; the next run looks each up first. Gives back their numbers.

    What is unknown is not marked: its rest must end first, or the answer that is still out could make a second one.
    Nor is one whose personal data was erased: there is nothing left to send.
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
