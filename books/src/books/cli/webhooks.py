"""`books webhooks`: receive the ledger's webhooks, list what was received, have objects read again."""

from __future__ import annotations

import logging
from datetime import datetime

import click
import pendulum

from books.cli import Context
from books.cli.output import json_option, print_json, print_table, say
from books.core import redact
from books.operations import webhooks
from books.operations.session import Session

time_option = click.option("--since", type=click.DateTime(), help="Only what was received at this time (UTC) or later.")


@click.group("webhooks")
def command() -> None:
    """Receive the ledger's webhooks, list what was received, have objects read again."""


@command.command("serve")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; put a TLS proxy in front of it."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8030, show_default=True, help="0 takes a free port.")
@click.option("--start-job/--no-start-job", default=True, help="Start pull-payments when there is something to read.")
@click.pass_obj
def serve_command(context: Context, *, host: str, port: int, start_job: bool) -> None:
    """Receive webhooks until stopped: store each, answer, and start pull-payments."""
    from books.webhooks import make_app, serve
    from books.webhooks.server import bind

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    redact.install()
    logger = logging.getLogger("books.webhooks")
    session = Session.open(context.environment)
    receiver = webhooks.make_receiver(session, logger, start_job=start_job)
    listening = bind(host, port)
    shown = f"[{host}]" if ":" in host else host
    logger.warning("Listening on http://%s:%d%s", shown, listening.getsockname()[1], receiver.dialect.path)
    if host not in ("127.0.0.1", "::1", "localhost"):
        logger.warning("This address can be reached from other machines, without TLS: put a TLS proxy in front of it")
    serve(make_app(receiver), listening)


@command.command("log")
@click.option("--dead", "what", flag_value="dead", help="Events that led to no notice, and why.")
@click.option("--missed", "what", flag_value="missed", help="Changes that a read found and no webhook announced.")
@click.option("--entity", help="Only this kind of object, such as Payment.")
@time_option
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Maximum number of rows.")
@json_option
@click.pass_obj
def log_command(
    context: Context, *, what: str | None, entity: str | None, since: datetime | None, limit: int, as_json: bool
) -> None:
    """Show the notices that were received, newest first."""
    session = Session.open(context.environment)
    if what == "missed":
        rows = webhooks.missed(session, since=_in_utc(since), limit=limit)
    else:
        rows = webhooks.received(session, dead=what == "dead", entity=entity, since=_in_utc(since), limit=limit)
    if as_json:
        print_json(rows)
        return
    titles = {"dead": "Events without a notice", "missed": "Changes that no webhook announced"}
    columns = list(rows[0]) if rows else ["nothing"]
    print_table(titles.get(what or "", "Notices"), columns, [tuple(row.values()) for row in rows])


@command.command("replay")
@click.option("--entity", help="Only this kind of object, such as Payment.")
@click.option("--id", "entity_id", help="Only the object with this id in the ledger.")
@time_option
@click.option("--dead", is_flag=True, help="Split the deliveries with dead letters once more, after fixing the cause.")
@json_option
@click.pass_obj
def replay_command(
    context: Context, *, entity: str | None, entity_id: str | None, since: datetime | None, dead: bool, as_json: bool
) -> None:
    """Have the objects of notices read again by the next pull-payments. Costs reads, changes nothing else."""
    if bool(entity or entity_id or since) == dead:
        raise click.UsageError("Give --entity, --id or --since, or --dead alone.")
    session = Session.open(context.environment)
    if dead:
        count = webhooks.replay_dead_letters(session)
    else:
        count = webhooks.replay(session, entity=entity, entity_id=entity_id, since=_in_utc(since))
    if as_json:
        print_json({"deliveries" if dead else "objects": count})
    else:
        say(
            f"{count} {'deliveries are split' if dead else 'objects are read'} again by the next "
            f"{session.vendor.jobs['pull']}."
        )


def _in_utc(since: datetime | None) -> pendulum.DateTime | None:
    return None if since is None else pendulum.instance(since, tz="UTC")
