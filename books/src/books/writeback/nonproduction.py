"""Companies whose money is not real, known from accounting blocks in OpsMerge that name them.

A production connection records each non-production connection that a block names. Payments in OpsMerge with such a
company's id were never received: production voids them (`books.writeback.payments`).
"""

from __future__ import annotations

from collections.abc import Iterable

import pendulum
from sqlalchemy import Connection, select

from books.opsmerge import belonging
from books.store.tables_opsmerge import nonproduction_company
from books.store.tables_posting import posting
from books.store.upsert import insert_new


def note_nonproduction(conn: Connection, connections: Iterable[str], now: pendulum.DateTime) -> None:
    """Store those connections that are not production ones."""
    found = {name for name in connections if company_of(name) and not belonging.is_production(name)}
    for name in sorted(found):
        insert_new(conn, nonproduction_company, {"connection": name, "seen_at": now})


def nonproduction_companies(conn: Connection) -> list[str]:
    """Return the ids of companies whose payments are not real; never one that this store posts to in production."""
    ours = select(posting.c.company_id).where(posting.c.connection.like(f"{belonging.PRODUCTION}%"))
    named = conn.execute(select(nonproduction_company.c.connection)).scalars()
    return sorted({company_of(name) for name in named} - set(conn.execute(ours).scalars()))


def company_of(connection: str) -> str:
    """Return the company's id in a connection; empty if it names none."""
    return connection.partition(":")[2]
