"""`books plan`: what the next push would do, invoice by invoice, without writing anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pendulum

from books.cli import Context
from books.cli.output import json_option, print_json, print_table, say
from books.core import money
from books.core.clock import SystemClock
from books.core.faults import Exit
from books.operations import jobs
from books.operations.session import Session
from books.posting import plan as plans
from books.posting.plan import Plan, PlanRow
from books.posting.plans import why_shut

FOLDER = "plans"
AMOUNTS = ("invoices", "net", "VAT", "total")
PIPELINE = ("tap-opsmerge--plan", "target-quickbooks--plan")
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

    Every invoice of OpsMerge is considered, whatever earlier pushes have read. QuickBooks is only read.
    """
    session = Session.open(context.environment)
    ended, path = make(session)
    if path is None:
        say("No plan was made.", *jobs.failure(ended).splitlines(), err=True)
        return ended.code or Exit.FAILED
    plan = plans.load(path)
    if as_json:
        print_json({**plan.document(), "file": str(path), "totals": totals(plan.rows)})
    else:
        _print(plan, path, is_shut=bool(why_shut(session.store, session.connection)))
    return ended.code


def make(session: Session) -> tuple[jobs.Ended, Path | None]:
    """Run the dry run through Meltano, and return where the plan is; None where it failed."""
    folder = session.configuration.root / FOLDER / session.configuration.environment
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp = SystemClock().now().format("YYYYMMDDTHHmmss")
    fresh = folder / f"unnamed-{stamp}.json"
    ended = jobs.run(session.configuration, session.store, PIPELINE, _settings(fresh))
    if ended.code != Exit.DONE or not fresh.exists():
        return ended, None
    named = folder / f"plan-{stamp}-{plans.load(fresh).id}.json"
    return ended, fresh.rename(named)


def _settings(path: Path) -> dict[str, str]:
    """Return both names of each variable: whichever .env has, a plan never posts."""
    wanted = {"DRY_RUN": "true", "PLAN_FILE": str(path), "PLAN": ""}
    return {f"{prefix}_{name}": value for prefix in PREFIXES for name, value in wanted.items()}


PREFIXES = ("TARGET_QUICKBOOKS", "TARGET_QUICKBOOKS__PLAN")


def totals(rows: Sequence[PlanRow]) -> list[dict[str, Any]]:
    """Return per action and currency how many, net, VAT as QuickBooks will compute it, and total."""
    keys = dict.fromkeys((row.action, row.currency) for row in rows)
    return [_total(*key, [row for row in rows if (row.action, row.currency) == key]) for key in keys]


def _total(action: str, currency: str | None, rows: Sequence[PlanRow]) -> dict[str, Any]:
    sums: dict[str, Decimal] = {
        "net": sum((row.net or money.ZERO for row in rows), money.ZERO),
        "tax": sum((_tax(row) or money.ZERO for row in rows), money.ZERO),
        "total": sum((_gross(row) or money.ZERO for row in rows), money.ZERO),
    }
    return {"action": action, "currency": currency, "invoices": len(rows), **{k: str(v) for k, v in sums.items()}}


def _tax(row: PlanRow) -> Decimal | None:
    """Return the VAT as QuickBooks will compute it, or did; OpsMerge's where nothing will be there."""
    return row.tax if row.ledger_tax is None else row.ledger_tax


def _gross(row: PlanRow) -> Decimal | None:
    return row.total if row.ledger_total is None else row.ledger_total


def _print(plan: Plan, path: Path, *, is_shut: bool) -> None:
    print_table(
        f"Plan {plan.id} for {plan.connection}, made {_moment(plan.made_at)}",
        ["would be", "invoice", "dated", "customer, or why not", "net", "VAT", "total", ""],
        _rows(plan.rows),
        right=AMOUNTS,
    )
    print_table(
        "In all (VAT and total as QuickBooks will compute them)",
        ["would be", "invoices", "net", "VAT", "total", ""],
        [
            (TITLES[each["action"]], each["invoices"], each["net"], each["tax"], each["total"], each["currency"])
            for each in totals(plan.rows)
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
        yield TITLES[row.action], row.number, row.issue_date, words, row.net, _tax(row), _gross(row), row.currency


def _moment(value: str) -> str:
    parsed = pendulum.parse(value)
    return f"{parsed.to_datetime_string()}Z" if isinstance(parsed, pendulum.DateTime) else value
