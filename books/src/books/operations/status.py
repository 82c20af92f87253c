"""The bridge's health in one document: what `books status` prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from books.core.clock import SystemClock
from books.operations import runfolder, runs
from books.operations.alerts import sent
from books.operations.alerts.facts import Facts, gather
from books.operations.alerts.rules import found, judge
from books.operations.alerts.sent import as_rows
from books.operations.session import Session
from books.posting import plans
from books.posting.gate import MAKE_A_PLAN

WRAPPERS = frozenset({"books:daily"})
"""Runs that consist of other runs: their exit code repeats one that is listed itself."""


def status(session: Session) -> dict[str, Any]:
    """Return every stored fact about the connection, without a call to QuickBooks or OpsMerge."""
    facts = gather(session.sources(), SystemClock())
    with session.store.read() as conn:
        alerts = sent.current(conn, facts.connection)
    last = [each for each in facts.plugins if each.plugin not in WRAPPERS]
    limits, run = facts.governor, facts.reconciliation
    return {
        "connection": facts.connection,
        "environment": facts.environment,
        "tokens": asdict(facts.token),
        "throttle": asdict(limits),
        "reads": {"used": limits.metered, "allowed": facts.monthly_reads},
        "inbox": asdict(facts.inbox) if facts.inbox else None,
        "postings": facts.outcomes,
        "jobs": [asdict(each) for each in facts.job_runs],
        "runs": [asdict(each) for each in last],
        "at_work": [
            {"pid": each.pid, "since": each.since, "command": each.words}
            for each in runfolder.at_work(runfolder.folder())
        ],
        "refused": [asdict(each) for each in runs.refused(session.store, facts.now)],
        "reconciliation": {**asdict(run), "trusted": run.trusted, "critical": list(run.critical.values())}
        if run
        else None,
        "alerts": as_rows(alerts),
        "warnings": [*_warnings(facts), *plan_warnings(session)],
        "exit_code": int(runs.worst([each.exit_code for each in last])),
    }


def plan_warnings(session: Session) -> list[str]:
    """Return a warning, with its remedy, where no invoice is created before a plan is posted."""
    shut = plans.why_shut(session.store, session.connection)
    return [f"Invoices wait for a plan: {shut}. {MAKE_A_PLAN}"] if shut else []


def _warnings(facts: Facts) -> Iterator[str]:
    """Yield what the rules of the alerts find wrong now, and a token refresh that was interrupted."""
    for cause in found(judge(facts)):
        yield f"{cause.title}. {cause.message} What to do: {cause.remedy}"
    if facts.token.cut_off_at:
        at = facts.token.cut_off_at.to_datetime_string()
        yield f"A refresh of the tokens was interrupted at {at}Z. If the next refresh fails, run `books connect`."
