"""`books log`: the sync log."""

from __future__ import annotations

import re

import click
import pendulum

from books.cli import Context
from books.cli.output import json_option, print_json, print_table
from books.operations import log
from books.operations.session import Session
from books.posting.postings import Outcome

DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def _since(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> pendulum.DateTime | None:
    return _parse_time(value) if value else None


def _until(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> pendulum.DateTime | None:
    """Return the time; for a date without a time, the end of that day."""
    if not value:
        return None
    parsed = _parse_time(value)
    return parsed.add(days=1) if DAY.fullmatch(value.strip()) else parsed


def _parse_time(value: str) -> pendulum.DateTime:
    try:
        found = pendulum.parse(value.strip(), tz="UTC")
    except ValueError:
        found = None
    if not isinstance(found, pendulum.DateTime):
        raise click.BadParameter(f"{value!r} is not a date or time such as 2026-11-24 or 2026-11-24T09:30")
    return found


@click.command("log")
@click.option("--outcome", type=click.Choice([each.value for each in Outcome]), help="Only this outcome.")
@click.option("--invoice", "--number", "number", help="Only the invoice with this number.")
@click.option("--client", help="Only this client: its OpsMerge id, or part of its name.")
@click.option("--since", callback=_since, help="Only from this date or time (UTC) on.")
@click.option("--until", callback=_until, help="Only before this time (UTC); a date without a time includes that day.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Maximum number of rows.")
@json_option
@click.pass_obj
def command(
    context: Context,
    *,
    outcome: str | None,
    number: str | None,
    client: str | None,
    since: pendulum.DateTime | None,
    until: pendulum.DateTime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show what became of each invoice: errors first, then the newest."""
    session = Session.open(context.environment)
    rows = log.find(session, limit=limit, client=client, outcome=outcome, number=number, since=since, until=until)
    if as_json:
        print_json(rows)
        return
    print_table(
        f"Sync log of {session.connection}",
        ["invoice", "client", "outcome", "QuickBooks id", "total", "finished", "what is wrong", "what to do"],
        [
            (
                row["number"],
                row["client_name"],
                row["outcome"],
                row["external_id"],
                row["total"],
                row["finished_at"],
                log.fault_text(row),
                row["remedy"],
            )
            for row in rows
        ],
        right=("total",),
    )
