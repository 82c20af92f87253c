"""Plans: make one, find it again, post exactly what it shows, and read what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import select

from books.core import money
from books.core.batches import batched
from books.core.clock import SystemClock
from books.core.faults import Exit, Halt
from books.ledgers.registry import Vendor
from books.operations import jobs
from books.operations.session import Session
from books.posting import plan as plans
from books.posting.gate import GATES
from books.posting.plan import Plan, PlanRow
from books.posting.postings import IN_THE_BOOKS
from books.store.tables_posting import posting

FOLDER = "plans"
SOURCE = "tap-opsmerge--plan"
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

DONE = frozenset(outcome.value for outcome in IN_THE_BOOKS)
"""Outcomes of a posting that put its invoice into the ledger."""


def make(session: Session) -> tuple[jobs.Ended, Path | None]:
    """Run the dry run through Meltano, and return where the plan is; None where it failed."""
    folder = session.configuration.root / FOLDER / session.configuration.environment
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp = SystemClock().now().format("YYYYMMDDTHHmmss")
    fresh = folder / f"unnamed-{stamp}.json"
    pipeline = (SOURCE, f"{session.vendor.target}--plan")
    ended = jobs.run(session.configuration, session.store, pipeline, _dry_run(session.vendor, fresh))
    if ended.code != Exit.DONE or not fresh.exists():
        return ended, None
    named = folder / f"plan-{stamp}-{plans.load(fresh).id}.json"
    return ended, fresh.rename(named)


def _dry_run(vendor: Vendor, path: Path) -> dict[str, str]:
    """Return both names of each variable: whichever .env has, a plan never posts."""
    wanted = {"DRY_RUN": "true", "PLAN_FILE": str(path), "PLAN": ""}
    variables = (vendor.variable(name) for name in wanted), (vendor.variable(f"_PLAN_{name}") for name in wanted)
    return {name: value for names in variables for name, value in zip(names, wanted.values(), strict=True)}


def totals(rows: Sequence[PlanRow]) -> list[dict[str, Any]]:
    """Return per action and currency how many, net, VAT as the ledger will compute it, and total."""
    keys = dict.fromkeys((row.action, row.currency) for row in rows)
    return [_total(*key, [row for row in rows if (row.action, row.currency) == key]) for key in keys]


def _total(action: str, currency: str | None, rows: Sequence[PlanRow]) -> dict[str, Any]:
    sums: dict[str, Decimal] = {
        "net": sum((row.net or money.ZERO for row in rows), money.ZERO),
        "tax": sum((tax(row) or money.ZERO for row in rows), money.ZERO),
        "total": sum((gross(row) or money.ZERO for row in rows), money.ZERO),
    }
    return {"action": action, "currency": currency, "invoices": len(rows), **{k: str(v) for k, v in sums.items()}}


def tax(row: PlanRow) -> Decimal | None:
    """Return the VAT as the ledger will compute it, or did; OpsMerge's where nothing will be there."""
    return row.tax if row.ledger_tax is None else row.ledger_tax


def gross(row: PlanRow) -> Decimal | None:
    """Return the total as the ledger will show it, or does; OpsMerge's where nothing will be there."""
    return row.total if row.ledger_total is None else row.ledger_total


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


def post(session: Session, plan: Plan, path: Path, *, force: bool) -> jobs.Ended:
    """Post exactly what a plan shows, with the push job.

    Everything is read: the push's bookmark may have passed what the plan holds.

    Raises:
        Halt: MISCONFIGURED; the plan is another company's.
    """
    if plan.connection != session.connection:
        raise Halt(
            f"this plan is for {plan.connection}, and the environment {session.configuration.environment} is "
            f"{session.connection}",
            exit_code=Exit.MISCONFIGURED,
            code="plan_refused",
            remedy="Choose the plan's environment with --environment, or make a plan for this one.",
        )
    words = (*(["--force"] if force else []), "--full-refresh", session.vendor.jobs["push"])
    settings = {session.vendor.variable("PLAN"): str(path), session.vendor.variable("DRY_RUN"): "false"}
    with jobs.push_lock(session.configuration.root):
        return jobs.run(session.configuration, session.store, words, settings)


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
    return sorted(rows.values(), key=lambda row: (row["outcome"] in DONE, row["number"]))
