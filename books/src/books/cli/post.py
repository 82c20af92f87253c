"""`books post --plan FILE`: post exactly what a plan shows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from books.cli import Context
from books.cli.output import json_option, print_json, print_table, say
from books.core.faults import Exit
from books.operations import jobs
from books.operations import plan as operation
from books.operations.log import fault_text
from books.operations.session import Session
from books.posting import plan as plans
from books.posting.plan import Plan


@click.command("post", short_help="Post exactly what a plan shows.")
@click.option("--plan", "plan_file", required=True, metavar="FILE", help="The file of a plan, or the plan's id.")
@click.option("--force", is_flag=True, help="Pass --force to meltano run: safe after a killed run.")
@json_option
@click.pass_obj
def command(context: Context, *, plan_file: str, force: bool, as_json: bool) -> int:
    """Create the invoices that a plan shows, and no others, with the push job.

    An invoice that changed since is held, and so is one that is not in the plan; the next push takes both up again.
    Run it again after an interruption: nothing is posted twice.
    """
    session = Session.open(context.environment)
    path = operation.find(session, plan_file)
    plan = plans.load(path)
    ended = operation.post(session, plan, path, force=force)
    rows = operation.results(session, plan)
    if as_json:
        print_json({"plan": plan.id, "exit_code": ended.code, "invoices": rows})
    else:
        _print(plan, rows)
    if ended.code != Exit.DONE:
        say(*jobs.failure(ended).splitlines(), err=True)
        say(f"What to do: run `books post --plan {path}` again; nothing is posted twice.", err=True)
    return ended.code


def _print(plan: Plan, rows: list[dict[str, Any]]) -> None:
    counts = Counter(row["outcome"] for row in rows)
    open_ = [row for row in rows if row["outcome"] not in operation.DONE]
    if open_:
        print_table(
            "Not posted",
            ["invoice", "outcome", "total", "why", "what to do"],
            [(row["number"], row["outcome"], row["total"], fault_text(row), row["remedy"]) for row in open_],
        )
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "nothing"
    say(f"Plan {plan.id} for {plan.connection}: {said}.")
