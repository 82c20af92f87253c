"""Webhooks for an operator: build the receiver, list what it received, have objects read again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pendulum
from sqlalchemy import select

from books.core import redact
from books.core.faults import Exit, Halt
from books.core.flocks import PULL_LOCK
from books.ledgers.notices import fold
from books.operations.configuration import meltano_command
from books.operations.session import Session
from books.store.tables_webhooks import webhook_dead_letter, webhook_delivery, webhook_notice
from books.webhooks.inbox import Inbox

if TYPE_CHECKING:
    from books.webhooks import Receiver

VERIFIER_TOKENS = "webhook_verifier_tokens"
NOTICE_COLUMNS = ("seq", "connection", "entity", "entity_id", "operation", "occurred_at", "event_id")
DEAD_LETTER_COLUMNS = ("noted_at", "reason", "event")


def make_receiver(session: Session, logger: logging.Logger, *, start_job: bool) -> Receiver:
    """Return a receiver for the session's company; with `start_job` it starts its pull when there is something to read.

    Raises:
        Halt: MISCONFIGURED; no verifier token is set.
    """
    from books.webhooks import Job, Receiver
    from books.webhooks.trigger import Trigger

    dialect = session.vendor.webhooks(_secrets(session))
    root = session.configuration.root
    job = Job(meltano_command(session.configuration, session.vendor.jobs["pull"]), root, root / PULL_LOCK)
    return Receiver(
        inbox=Inbox(session.store, dialect, session.settings.environment),
        dialect=dialect,
        companies=(session.settings.company_id,),
        logger=logger,
        trigger=Trigger(job, logger) if start_job else None,
    )


def _secrets(session: Session) -> Sequence[str]:
    """Return what the vendor signs its webhooks with: the old and the new one during a rotation."""
    setting = str(session.configuration.plugin("books").get(VERIFIER_TOKENS, ""))
    tokens = [token.strip() for token in setting.split(",") if token.strip()]
    if not tokens:
        raise Halt(
            f"setting {VERIFIER_TOKENS} is required: without it a forged delivery cannot be detected",
            exit_code=Exit.MISCONFIGURED,
            code="setting_refused",
            remedy=session.vendor.words.webhook_remedy,
        )
    redact.register(tokens)
    return tokens


def _inbox(session: Session) -> Inbox:
    return Inbox(session.store, session.vendor.webhooks(()), session.settings.environment)


def received(
    session: Session, *, dead: bool, entity: str | None, since: pendulum.DateTime | None, limit: int
) -> list[dict[str, Any]]:
    """Return the company's newest notices, or with `dead` the events in its environment that led to no notice."""
    table = webhook_dead_letter if dead else webhook_notice
    columns = [table.c[name] for name in (DEAD_LETTER_COLUMNS if dead else NOTICE_COLUMNS)]
    query = select(*columns, webhook_delivery.c.received_at, webhook_delivery.c.repeats)
    query = query.outerjoin(webhook_delivery, webhook_delivery.c.id == table.c.delivery_id)
    if dead:
        query = query.where(webhook_delivery.c.environment == session.settings.environment)
    else:
        query = query.where(webhook_notice.c.connection == session.connection)
    if since is not None:
        query = query.where(table.c.noted_at >= since)
    if entity and not dead:
        query = query.where(webhook_notice.c.entity == fold(entity))
    order = webhook_dead_letter.c.id if dead else webhook_notice.c.seq
    with session.store.read() as connection:
        return [dict(row) for row in connection.execute(query.order_by(order.desc()).limit(limit)).mappings()]


def missed(session: Session, *, since: pendulum.DateTime | None, limit: int) -> list[dict[str, Any]]:
    """Return the newest changes that a read found and no webhook announced."""
    return _inbox(session).missed(session.connection, since=since, limit=limit)


def replay(session: Session, *, entity: str | None, entity_id: str | None, since: pendulum.DateTime | None) -> int:
    """Have the objects of these notices read again by the next pull; return how many."""
    conditions = []
    if entity:
        conditions.append(webhook_notice.c.entity == fold(entity))
    if entity_id:
        conditions.append(webhook_notice.c.entity_id == entity_id)
    if since:
        conditions.append(webhook_notice.c.noted_at >= since)
    return _inbox(session).replay(session.connection, *conditions)


def replay_dead_letters(session: Session) -> int:
    """Have the deliveries with dead letters split once more; return how many."""
    return _inbox(session).revive()
