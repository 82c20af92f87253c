"""Which plans were posted, in the store; and whether a company may be written to without one."""

from __future__ import annotations

import pendulum
from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from books.posting.journal import POSTED_BEFORE
from books.posting.plan import Plan
from books.posting.postings import Outcome
from books.store import Store
from books.store.tables_posting import learned, posting, push_plan

PRODUCTION = "production"


def begin(store: Store, plan: Plan) -> None:
    """A plan's posting begins, or goes on."""
    with store.begin() as conn:
        if conn.execute(select(push_plan.c.id).where(_is(plan))).first() is None:
            values = {"id": plan.id, "connection": plan.connection, "invoices": plan.creates}
            made_at = pendulum.parse(plan.made_at)
            conn.execute(push_plan.insert().values(**values, made_at=made_at, started_at=store.now(conn)))


def finish(store: Store, plan: Plan) -> None:
    """A plan was posted to its end."""
    with store.begin() as conn:
        where = and_(_is(plan), push_plan.c.finished_at.is_(None))
        conn.execute(push_plan.update().where(where).values(finished_at=store.now(conn)))


def _is(plan: Plan) -> ColumnElement[bool]:
    return and_(push_plan.c.connection == plan.connection, push_plan.c.id == plan.id)


def why_shut(store: Store, connection: str) -> str:
    """Why nothing may be created without a plan, in words; empty where it may.

    A company that was posted to before needs none, whether this store knows it or QuickBooks' own invoices say so.
    """
    if not connection.startswith(f"{PRODUCTION}:"):
        return ""
    with store.read() as conn:
        begun, finished = _counted(conn, connection)
        if finished or (not begun and _has_created(conn, connection)):
            return ""
        started = _newest_begun(conn, connection)
    if started:
        return f"the plan {started} has been posted only in part"
    return "nothing was posted to this company yet, and the first posting in production needs a plan"


def _counted(conn: Connection, connection: str) -> tuple[int, int]:
    counts = select(func.count(), func.count(push_plan.c.finished_at)).where(push_plan.c.connection == connection)
    begun, finished = conn.execute(counts).one()
    return int(begun), int(finished)


def _newest_begun(conn: Connection, connection: str) -> str:
    newest = select(push_plan.c.id).where(push_plan.c.connection == connection).order_by(push_plan.c.started_at.desc())
    return str(conn.execute(newest).scalar() or "")


def _has_created(conn: Connection, connection: str) -> bool:
    created = Outcome.CREATED.value
    ours = or_(posting.c.outcome == created, posting.c.settled_outcome == created)
    by_us = select(posting.c.number).where(posting.c.connection == connection, ours)
    before = select(learned.c.key).where(learned.c.connection == connection, learned.c.kind == POSTED_BEFORE)
    return any(conn.execute(each).first() is not None for each in (by_us, before))
