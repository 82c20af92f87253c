"""`books webhooks`: receive QuickBooks' notices, look at them, have them read again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import click
import pendulum
from sqlalchemy import select

from books.cli import Context
from books.cli.output import json_option, print_json, print_table, say
from books.core import redact
from books.core.faults import Exit, Halt
from books.core.flocks import PULL_LOCK
from books.ledgers.notices import fold
from books.ledgers.quickbooks.webhook import READS, QuickBooksWebhooks
from books.operations.configuration import meltano_command
from books.operations.session import Session
from books.store.tables_webhooks import webhook_dead_letter, webhook_delivery, webhook_notice
from books.webhooks.inbox import Inbox

JOB = "pull-payments"

VERIFIER_TOKENS = "webhook_verifier_tokens"

time_option = click.option("--since", type=click.DateTime(), help="Only what came at this time (UTC) or later.")


@click.group("webhooks")
def command() -> None:
    """Receive QuickBooks' webhooks, show what came, have it read again."""


@command.command("serve")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; a TLS proxy goes before it."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8030, show_default=True, help="0 takes a free port.")
@click.option("--start-job/--no-start-job", default=True, help=f"Start {JOB} when there is something to read.")
@click.pass_obj
def serve_command(context: Context, *, host: str, port: int, start_job: bool) -> None:
    """Receive webhooks until stopped: keep each, answer, and start pull-payments."""
    from books.webhooks import Job, Receiver, make_app, serve
    from books.webhooks.server import bind
    from books.webhooks.trigger import Trigger

    session = Session.open(context.environment)
    dialect = QuickBooksWebhooks(_verifier_tokens(session))
    logger = _logger()
    listening = bind(host, port)
    job = Job(
        meltano_command(session.configuration, JOB), session.configuration.root, session.configuration.root / PULL_LOCK
    )
    receiver = Receiver(
        inbox=Inbox(session.store),
        dialect=dialect,
        environment=session.settings.environment,
        realms=(session.settings.realm_id,),
        reads=READS,
        logger=logger,
        trigger=Trigger(job, logger) if start_job else None,
    )
    shown = f"[{host}]" if ":" in host else host
    logger.warning("Listening on http://%s:%d/webhooks/quickbooks", shown, listening.getsockname()[1])
    if host not in ("127.0.0.1", "::1", "localhost"):
        logger.warning("This address can be reached from elsewhere, without TLS: put a TLS proxy before it")
    serve(make_app(receiver), listening)


def _verifier_tokens(session: Session) -> Sequence[str]:
    """The verifier tokens of Intuit's portal, the old and the new one while it is rotated."""
    told = str(session.configuration.plugin("books").get(VERIFIER_TOKENS, ""))
    tokens = [token.strip() for token in told.split(",") if token.strip()]
    if not tokens:
        raise Halt(
            f"setting {VERIFIER_TOKENS} is required: without it no delivery can be told from a forgery",
            exit_code=Exit.MISCONFIGURED,
            code="setting_refused",
            remedy="Copy the verifier token from Intuit's developer portal (Webhooks) into "
            "QUICKBOOKS_WEBHOOK_VERIFIER_TOKEN.",
        )
    redact.register(tokens)
    return tokens


def _logger() -> logging.Logger:
    """One line for each event, on stderr, secrets masked."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    redact.install()
    return logging.getLogger("books.webhooks")


@command.command("log")
@click.option("--dead", "what", flag_value="dead", help="Events that led to no notice, and why.")
@click.option("--missed", "what", flag_value="missed", help="Changes that a read found and no webhook told of.")
@click.option("--entity", help="Only this kind of object, such as Payment.")
@time_option
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Rows at the most.")
@json_option
@click.pass_obj
def log_command(
    context: Context, *, what: str | None, entity: str | None, since: Any, limit: int, as_json: bool
) -> None:
    """Show the notices that came, newest first."""
    session = Session.open(context.environment)
    moment = None if since is None else pendulum.instance(since, tz="UTC")
    if what == "missed":
        rows = Inbox(session.store).missed(since=moment, limit=limit)
    else:
        rows = _rows(session, dead=what == "dead", entity=entity, since=moment, limit=limit)
    if as_json:
        print_json(rows)
        return
    titles = {"dead": "Events without a notice", "missed": "Changes that no webhook told of"}
    columns = list(rows[0]) if rows else ["nothing"]
    print_table(titles.get(what or "", "Notices"), columns, [tuple(row.values()) for row in rows])


def _rows(
    session: Session, *, dead: bool, entity: str | None, since: pendulum.DateTime | None, limit: int
) -> list[dict[str, Any]]:
    table = webhook_dead_letter if dead else webhook_notice
    shown = ("noted_at", "reason", "event") if dead else _NOTICE_COLUMNS
    query = select(*(table.c[name] for name in shown), webhook_delivery.c.received_at, webhook_delivery.c.repeats)
    query = query.outerjoin(webhook_delivery, webhook_delivery.c.id == table.c.delivery_id)
    if since is not None:
        query = query.where(table.c.noted_at >= since)
    if entity and not dead:
        query = query.where(webhook_notice.c.entity == fold(entity))
    order = webhook_dead_letter.c.id if dead else webhook_notice.c.seq
    with session.store.read() as connection:
        return [dict(row) for row in connection.execute(query.order_by(order.desc()).limit(limit)).mappings()]


_NOTICE_COLUMNS = ("seq", "connection", "entity", "entity_id", "operation", "occurred_at", "event_id")


@command.command("replay")
@click.option("--entity", help="Only this kind of object, such as Payment.")
@click.option("--id", "entity_id", help="Only the object with this id in QuickBooks.")
@time_option
@click.option("--dead", is_flag=True, help="Split the deliveries with dead letters once more, after mending the cause.")
@json_option
@click.pass_obj
def replay_command(
    context: Context, *, entity: str | None, entity_id: str | None, since: Any, dead: bool, as_json: bool
) -> None:
    """Have the objects of notices read again with the next pull-payments. Costs reads, changes nothing else."""
    conditions = []
    if entity:
        conditions.append(webhook_notice.c.entity == fold(entity))
    if entity_id:
        conditions.append(webhook_notice.c.entity_id == entity_id)
    if since:
        conditions.append(webhook_notice.c.noted_at >= pendulum.instance(since, tz="UTC"))
    if bool(conditions) == dead:
        raise click.UsageError("Name --entity, --id or --since, or give --dead alone.")
    inbox = Inbox(Session.open(context.environment).store)
    count = inbox.revive() if dead else inbox.replay(*conditions)
    if as_json:
        print_json({"deliveries" if dead else "objects": count})
    else:
        say(f"{count} {'deliveries are split' if dead else 'objects are read'} again with the next {JOB}.")
