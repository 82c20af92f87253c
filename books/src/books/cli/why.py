"""`books why NUMBER`: the story of one invoice, from stored facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click
from sqlalchemy import select

from books.cli import Context
from books.cli.log import wrong
from books.cli.session import Session, json_option, print_json, show
from books.faults import Exit
from books.store.tables_posting import attempt, posting

STORY = {
    "created": "It is in QuickBooks, created by us.",
    "adopted": "It was in QuickBooks already and is the same invoice: adopted, not sent.",
    "rejected": "It was refused; nothing was written to QuickBooks.",
    "conflict": "QuickBooks and OpsMerge disagree about it; nothing more is written until a person decides.",
    "held": "It was not sent, on purpose.",
    "unknown": "It was sent and the answer was lost. A later run looks it up and settles it.",
}


@click.command("why")
@click.argument("number")
@json_option
@click.pass_obj
def command(context: Context, *, number: str, as_json: bool) -> int:
    """Tell what happened to the invoice NUMBER, and what to do."""
    session = Session.open(context)
    found = stories(session, number)
    if as_json:
        print_json(found)
    elif not found:
        click.echo(
            f"No posting of {number} is known in {session.connection}. It was never seen Open by target-quickbooks."
        )
    for story in found if not as_json else []:
        click.echo("\n".join(_lines(story)))
    return Exit.DONE if found else Exit.FAILED


def stories(session: Session, number: str) -> list[dict[str, Any]]:
    """Each posting under a number, with its attempts, oldest attempt first."""
    with session.store.read() as conn:
        wanted = select(posting).where(posting.c.connection == session.connection, posting.c.number == number)
        rows = [dict(row) for row in conn.execute(wanted).mappings()]
        for row in rows:
            tries = select(attempt).where(
                attempt.c.connection == session.connection,
                attempt.c.opsmerge_invoice_id == row["opsmerge_invoice_id"],
            )
            row["tries"] = [dict(each) for each in conn.execute(tries.order_by(attempt.c.number)).mappings()]
    return rows


def _lines(story: Mapping[str, Any]) -> Iterator[str]:
    yield f"{story['number']} (OpsMerge {story['opsmerge_invoice_id']}): {story['outcome']}"
    yield STORY[story["outcome"]]
    if story["external_id"]:
        yield f"QuickBooks id: {story['external_id']}"
    if story["total"] is not None:
        place = "As sent:    " if story["attempts"] else "In OpsMerge:"
        yield f"{place} net {story['net']}, VAT {story['tax']}, total {story['total']} {story['currency']}"
    if story["ledger_total"] is not None:
        yield f"As answered: VAT {story['ledger_tax']}, total {story['ledger_total']}"
    for each in story["tries"]:
        code = f" [{each['fault_code']}]" if each["fault_code"] else ""
        tid = f", intuit_tid {each['intuit_tid']}" if each["intuit_tid"] else ""
        yield f"Sent {show(each['at'])}: {each['outcome'] or 'no answer'}{code}, request {each['request_id']}{tid}"
    if wrong(story):
        yield f"What is wrong: {wrong(story)}"
    if story["remedy"]:
        yield f"What to do: {story['remedy']}"
