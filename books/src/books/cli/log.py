"""`books log`: the sync log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import pendulum
from sqlalchemy import Select, case, select

from books.cli import Context
from books.cli.session import Session, json_option, print_json, print_table
from books.posting.postings import Outcome
from books.store.tables_posting import posting

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


@click.command("log")
@click.option("--outcome", type=click.Choice([each.value for each in Outcome]), help="Only this outcome.")
@click.option("--number", help="Only the invoice with this number.")
@click.option("--since", type=click.DateTime(), help="Only what was finished at this time (UTC) or later.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Rows at the most.")
@json_option
@click.pass_obj
def command(
    context: Context, *, outcome: str | None, number: str | None, since: Any, limit: int, as_json: bool
) -> None:
    """Show what became of each invoice: errors first, then the newest."""
    session = Session.open(context)
    rows = find(session, outcome=outcome, number=number, since=since, limit=limit)
    if as_json:
        print_json(rows)
        return
    print_table(
        f"Sync log of {session.connection}",
        ["invoice", "outcome", "QuickBooks id", "total", "finished", "what is wrong", "what to do"],
        [
            (
                row["number"],
                row["outcome"],
                row["external_id"],
                row["total"],
                row["finished_at"],
                wrong(row),
                row["remedy"],
            )
            for row in rows
        ],
    )


def find(
    session: Session, *, outcome: str | None = None, number: str | None = None, since: Any = None, limit: int = 50
) -> list[dict[str, Any]]:
    """Rows of the sync log, errors first, then the newest; the keys are `COLUMNS`."""
    query: Select[Any] = select(*(posting.c[name] for name in COLUMNS)).where(
        posting.c.connection == session.connection
    )
    if outcome:
        query = query.where(posting.c.outcome == outcome)
    if number:
        query = query.where(posting.c.number == number)
    if since:
        query = query.where(posting.c.finished_at >= pendulum.instance(since, tz="UTC"))
    query = query.order_by(_NEEDS_A_PERSON_FIRST, posting.c.seq.desc()).limit(limit)
    with session.store.read() as conn:
        return [dict(row) for row in conn.execute(query).mappings()]


def wrong(row: Mapping[str, Any]) -> str:
    """What is wrong with an invoice, where, and under which code; empty where nothing is."""
    parts = [row["fault_field"], row["fault_message"], f"[{row['fault_code']}]" if row["fault_code"] else None]
    return " ".join(part for part in parts if part)
