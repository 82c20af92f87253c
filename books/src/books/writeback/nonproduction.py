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
from books.store.upsert import upsert


def note_nonproduction(conn: Connection, connections: Iterable[str], now: pendulum.DateTime) -> None:
    """Store the companies of those connections that are not production ones."""
    found = {name.partition(":")[2]: name for name in connections if name and not belonging.is_production(name)}
    rows = [{"company_id": key, "connection": name, "seen_at": now} for key, name in found.items() if key]
    known = {row[0] for row in conn.execute(select(nonproduction_company.c.company_id))} if rows else set()
    upsert(conn, nonproduction_company, [row for row in rows if row["company_id"] not in known])


def nonproduction_companies(conn: Connection) -> list[str]:
    """Return the ids of companies whose payments are not real; never one that this store posts to in production."""
    ours = select(posting.c.company_id).where(posting.c.connection.like(f"{belonging.PRODUCTION}%"))
    query = select(nonproduction_company.c.company_id).where(nonproduction_company.c.company_id.not_in(ours))
    return sorted(conn.execute(query).scalars())
