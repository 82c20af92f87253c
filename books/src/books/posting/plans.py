"""Which plans were posted, in the store; and whether a company may be written to without one."""

from __future__ import annotations

import pendulum
from sqlalchemy import ColumnElement, Connection, RowMapping, and_, or_, select

from books.posting.journal import POSTED_BEFORE
from books.posting.plan import Plan
from books.posting.postings import Outcome
from books.store import Store
from books.store.tables_posting import learned, posting, push_plan

PRODUCTION = "production"


def begin(store: Store, plan: Plan) -> None:
    """Write that a plan's posting begins, unless it has begun."""
    with store.begin() as conn:
        if conn.execute(select(push_plan.c.id).where(_is(plan))).first() is None:
            values = {"id": plan.id, "connection": plan.connection, "invoices": plan.creates}
            made_at = pendulum.parse(plan.made_at)
            conn.execute(push_plan.insert().values(**values, made_at=made_at, started_at=store.now(conn)))


def finish(store: Store, plan: Plan) -> None:
    """Write that a plan was posted to its end."""
    with store.begin() as conn:
        where = and_(_is(plan), push_plan.c.finished_at.is_(None))
        conn.execute(push_plan.update().where(where).values(finished_at=store.now(conn)))


def _is(plan: Plan) -> ColumnElement[bool]:
    return and_(push_plan.c.connection == plan.connection, push_plan.c.id == plan.id)


def why_shut(store: Store, connection: str) -> str:
    """Return why nothing may be created without a plan; empty where it may.

    A company that was posted to before needs none, whether this store knows it or the ledger's own invoices say so.
    """
    if not connection.startswith(f"{PRODUCTION}:"):
        return ""
    with store.read() as conn:
        plan = _first(conn, connection)
        finished = plan is not None and _any_finished(conn, connection)
        if finished or _was_posted_to(conn, connection, plan["started_at"] if plan else None):
            return ""
    if plan is not None:
        return f"the plan {plan['id']} has been posted only in part"
    return "nothing was posted to this company yet, and the first posting in production needs a plan"


def _first(conn: Connection, connection: str) -> RowMapping | None:
    """Return the plan whose posting was begun first; None where none was."""
    begun = select(push_plan).where(push_plan.c.connection == connection).order_by(push_plan.c.started_at)
    return conn.execute(begun.limit(1)).mappings().first()


def _any_finished(conn: Connection, connection: str) -> bool:
    ended = and_(push_plan.c.connection == connection, push_plan.c.finished_at.is_not(None))
    return conn.execute(select(push_plan.c.id).where(ended).limit(1)).first() is not None


def _was_posted_to(conn: Connection, connection: str, before: pendulum.DateTime | None) -> bool:
    """Return whether we created an invoice here before then, or found one of ours with a store that knew of none."""
    created = Outcome.CREATED.value
    ours = [posting.c.connection == connection]
    ours.append(or_(posting.c.outcome == created, posting.c.settled_outcome == created))
    if before is not None:
        ours.append(posting.c.first_attempted_at < before)
    by_us = select(posting.c.number).where(*ours).limit(1)
    by_note = select(learned.c.key).where(learned.c.connection == connection, learned.c.kind == POSTED_BEFORE)
    return any(conn.execute(each).first() is not None for each in (by_us, by_note))
