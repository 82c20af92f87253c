"""`books plan`: what the next push would do, invoice by invoice, without writing anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pendulum

from books.cli import Context
from books.cli.output import json_option, print_json, print_table, say
from books.core.faults import Exit
from books.operations import jobs
from books.operations import plan as operation
from books.operations.session import Session
from books.posting import plan as plans
from books.posting.plan import Plan, PlanRow
from books.posting.plans import why_shut

AMOUNTS = ("invoices", "net", "VAT", "total")
TITLES = {
    "reject": "refused",
    "conflict": "conflicts",
    "hold": "held",
    "wait": "unknown, resting",
    "leave": "left: another company's",
    "send again": "sent again",
    "create": "created",
    "adopt": "adopted",
    "exists": "already there",
}


@click.command("plan", short_help="What the next push would do; writes nothing.")
@json_option
@click.pass_obj
def command(context: Context, *, as_json: bool) -> int:
    """Show what would be created, adopted and refused, and keep it as a plan that `books post --plan` can post.

    Every invoice of OpsMerge is considered, whatever earlier pushes have read. The ledger is only read.
    """
    session = Session.open(context.environment)
    ended, path = operation.make(session)
    if path is None:
        say("No plan was made.", *jobs.failure(ended).splitlines(), err=True)
        return ended.code or Exit.FAILED
    plan = plans.load(path)
    if as_json:
        print_json({**plan.document(), "file": str(path), "totals": operation.totals(plan.rows)})
    else:
        _print(plan, path, session.vendor.words.ledger, is_shut=bool(why_shut(session.store, session.connection)))
    return ended.code


def _print(plan: Plan, path: Path, ledger: str, *, is_shut: bool) -> None:
    print_table(
        f"Plan {plan.id} for {plan.connection}, made {_moment(plan.made_at)}",
        ["would be", "invoice", "dated", "customer, or why not", "net", "VAT", "total", ""],
        _rows(plan.rows),
        right=AMOUNTS,
    )
    print_table(
        f"In all (VAT and total as {ledger} will compute them)",
        ["would be", "invoices", "net", "VAT", "total", ""],
        [
            (TITLES[each["action"]], each["invoices"], each["net"], each["tax"], each["total"], each["currency"])
            for each in operation.totals(plan.rows)
        ],
        right=AMOUNTS,
    )
    say(f"Nothing was written. The plan is in {path}")
    if not plan.creates:
        say("It would create no invoice.")
    if plan.creates or is_shut:
        say(f"To post exactly this: books post --plan {path}")
    if is_shut:
        say("It is this company's first plan in production: once it is posted, pushes go on by themselves.")


def _rows(rows: Sequence[PlanRow]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        words = ". ".join(filter(None, (row.words(), row.remedy)))
        yield (
            TITLES[row.action],
            row.number,
            row.issue_date,
            words,
            row.net,
            operation.tax(row),
            operation.gross(row),
            row.currency,
        )


def _moment(value: str) -> str:
    parsed = pendulum.parse(value)
    return f"{parsed.to_datetime_string()}Z" if isinstance(parsed, pendulum.DateTime) else value
