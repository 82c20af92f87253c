"""`books post --plan FILE`: post exactly what a plan shows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click
from sqlalchemy import select

from books.cli import Context
from books.cli.output import json_option, print_json, print_table, say
from books.cli.plan import FOLDER
from books.core.batches import batched
from books.core.faults import Exit, Halt
from books.operations import jobs
from books.operations.log import fault_text as wrong
from books.operations.session import Session
from books.posting import plan as plans
from books.posting.gate import GATES
from books.posting.plan import Plan
from books.posting.postings import IN_THE_BOOKS
from books.store.tables_posting import posting

JOB = "push-invoices"
IDS_IN_ONE_QUERY = 500
COLUMNS = (
    "opsmerge_invoice_id",
    "number",
    "outcome",
    "external_id",
    "fault_code",
    "fault_field",
    "fault_message",
    "remedy",
    "currency",
    "total",
    "ledger_total",
)


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
    path = find(session, plan_file)
    plan = plans.load(path)
    _check(plan, session)
    with jobs.push_lock(session.configuration.root):
        ended = jobs.run(session.configuration, session.store, _words(force=force), _settings(path))
    rows = results(session, plan)
    if as_json:
        print_json({"plan": plan.id, "exit_code": ended.code, "invoices": rows})
    else:
        _print(plan, rows)
    if ended.code != Exit.DONE:
        say(*jobs.failure(ended).splitlines(), err=True)
        say(f"What to do: run `books post --plan {path}` again; nothing is posted twice.", err=True)
    return ended.code


def find(session: Session, named: str) -> Path:
    """Return the plan's file: as named, else the one of this id that `books plan` kept.

    Raises:
        Halt: MISCONFIGURED; there is none.
    """
    path = Path(named).expanduser().absolute()
    if path.is_file():
        return path
    folder = session.configuration.root / FOLDER / session.configuration.environment
    found = [each for each in folder.glob("plan-*.json") if each.stem.rpartition("-")[2] == named]
    if not found:
        raise Halt(
            f"there is no plan {named}",
            exit_code=Exit.MISCONFIGURED,
            code="plan_missing",
            remedy=f"Name a file in {folder}, or make a plan with `books plan`.",
        )
    return found[0]


def _check(plan: Plan, session: Session) -> None:
    if plan.connection != session.connection:
        raise Halt(
            f"this plan is for {plan.connection}, and the environment {session.configuration.environment} is "
            f"{session.connection}",
            exit_code=Exit.MISCONFIGURED,
            code="plan_refused",
            remedy="Choose the plan's environment with --environment, or make a plan for this one.",
        )


def _words(*, force: bool) -> tuple[str, ...]:
    """Return the job's words. Everything is read: the push's bookmark may have passed what the plan holds."""
    return (*(["--force"] if force else []), "--full-refresh", JOB)


def _settings(path: Path) -> dict[str, str]:
    return {"TARGET_QUICKBOOKS_PLAN": str(path), "TARGET_QUICKBOOKS_DRY_RUN": "false"}


def results(session: Session, plan: Plan) -> list[dict[str, Any]]:
    """Return the outcome of each invoice of the plan, and of those that it held; what needs a person first."""
    columns = [posting.c[name] for name in COLUMNS]
    ours = select(*columns).where(posting.c.connection == session.connection)
    rows: dict[str, dict[str, Any]] = {}
    batches = batched(plan.by_invoice, IDS_IN_ONE_QUERY)
    with session.store.read() as conn:
        for which in (posting.c.fault_code.in_(GATES), *(posting.c.opsmerge_invoice_id.in_(ids) for ids in batches)):
            found = conn.execute(ours.where(which)).mappings()
            rows.update((row["opsmerge_invoice_id"], dict(row)) for row in found)
    return sorted(rows.values(), key=lambda row: (row["outcome"] in _DONE, row["number"]))


_DONE = {outcome.value for outcome in IN_THE_BOOKS}


def _print(plan: Plan, rows: list[dict[str, Any]]) -> None:
    counts = Counter(row["outcome"] for row in rows)
    open_ = [row for row in rows if row["outcome"] not in _DONE]
    if open_:
        print_table(
            "Not posted",
            ["invoice", "outcome", "total", "why", "what to do"],
            [(row["number"], row["outcome"], row["total"], wrong(row), row["remedy"]) for row in open_],
        )
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "nothing"
    say(f"Plan {plan.id} for {plan.connection}: {said}.")
