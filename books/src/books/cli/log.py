"""`books log`: the sync log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

import click
import pendulum
from sqlalchemy import Select, case, func, select

from books.cli import Context
from books.cli.output import json_option, print_json, print_table
from books.core import money
from books.operations.session import Session
from books.posting.postings import Outcome
from books.store.tables_posting import posting
from books.store.types import Timestamp

COLUMNS = (
    "number",
    "outcome",
    "external_id",
    "fault_code",
    "fault_field",
    "fault_message",
    "remedy",
    "currency",
    "net",
    "tax",
    "total",
    "ledger_total",
    "attempts",
    "intuit_tid",
    "attempted_at",
    "finished_at",
    "opsmerge_invoice_id",
)

_NEEDS_A_PERSON_FIRST = case({"rejected": 0, "conflict": 1, "unknown": 2, "held": 3}, value=posting.c.outcome, else_=4)


DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def _since(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> pendulum.DateTime | None:
    return _moment(value) if value else None


def _until(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> pendulum.DateTime | None:
    """A day alone counts whole."""
    if not value:
        return None
    moment = _moment(value)
    return moment.add(days=1) if DAY.fullmatch(value.strip()) else moment


def _moment(value: str) -> pendulum.DateTime:
    try:
        found = pendulum.parse(value.strip(), tz="UTC")
    except ValueError:
        found = None
    if not isinstance(found, pendulum.DateTime):
        raise click.BadParameter(f"{value!r} is no day or time such as 2026-11-24 or 2026-11-24T09:30")
    return found


@click.command("log")
@click.option("--outcome", type=click.Choice([each.value for each in Outcome]), help="Only this outcome.")
@click.option("--invoice", "--number", "number", help="Only the invoice with this number.")
@click.option("--client", help="Only this client: its OpsMerge id, or part of its name.")
@click.option("--since", callback=_since, help="Only what happened on this day or at this time (UTC), or later.")
@click.option("--until", callback=_until, help="Only what happened before this time (UTC); a day alone counts whole.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Rows at the most.")
@json_option
@click.pass_obj
def command(
    context: Context,
    *,
    outcome: str | None,
    number: str | None,
    client: str | None,
    since: Any,
    until: Any,
    limit: int,
    as_json: bool,
) -> None:
    """Show what became of each invoice: errors first, then the newest."""
    session = Session.open(context.environment)
    rows = find(session, limit=limit, client=client, outcome=outcome, number=number, since=since, until=until)
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
                wrong(row),
                row["remedy"],
            )
            for row in rows
        ],
        right=("total",),
    )


def find(session: Session, *, limit: int = 50, client: str | None = None, **filters: Any) -> list[dict[str, Any]]:
    """Rows of the sync log, errors first, then the newest; the keys are `COLUMNS` and the client's id and name.

    `filters`: outcome, number, since, until.
    """
    query = _filtered(session.connection, **filters).order_by(_NEEDS_A_PERSON_FIRST, posting.c.seq.desc())
    with session.store.read() as conn:
        found = (_with_client(dict(row)) for row in conn.execute(query).mappings())
        return list(islice((row for row in found if client is None or _is_client(row, client)), limit))


def _filtered(
    connection: str, *, outcome: str | None = None, number: str | None = None, since: Any = None, until: Any = None
) -> Select[Any]:
    columns = [posting.c[name] for name in COLUMNS]
    happened = func.coalesce(posting.c.finished_at, posting.c.attempted_at, type_=Timestamp)
    query = select(*columns, posting.c.record).where(posting.c.connection == connection)
    if outcome:
        query = query.where(posting.c.outcome == outcome)
    if number:
        query = query.where(func.lower(posting.c.number) == number.strip().lower())
    if since:
        query = query.where(happened >= since)
    if until:
        query = query.where(happened < until)
    return query


def _with_client(row: dict[str, Any]) -> dict[str, Any]:
    seen = money.loads(row.pop("record"))
    return {**row, "client_id": seen.get("client_id"), "client_name": seen.get("client_name")}


def _is_client(row: Mapping[str, Any], wanted: str) -> bool:
    return row["client_id"] == wanted or wanted.casefold() in str(row["client_name"] or "").casefold()


def wrong(row: Mapping[str, Any]) -> str:
    """What is wrong with an invoice, where, and under which code; empty where nothing is."""
    parts = [row["fault_field"], row["fault_message"], f"[{row['fault_code']}]" if row["fault_code"] else None]
    return " ".join(part for part in parts if part)
