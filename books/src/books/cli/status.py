"""`books status`: connection, tokens, throttle, postings, last runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click
from sqlalchemy import func, select

from books import runs, transport
from books.cli import Context
from books.cli.session import Session, json_option, print_json, print_table, show
from books.clock import SystemClock
from books.posting import plans
from books.posting.gate import MAKE_A_PLAN
from books.store.tables_posting import posting

IDLE_WARNING_DAYS = 60
"""A chain of tokens dies after about 100 days without a refresh."""

HARD_EXPIRY_WARNING_DAYS = 60


@click.command("status")
@json_option
@click.pass_obj
def command(context: Context, *, as_json: bool) -> int:
    """Show the connection's health; end with the worst exit code among the plugins' last runs."""
    session = Session.open(context)
    facts = gather(session)
    code = int(runs.worst([run["exit_code"] for run in facts["runs"]]))
    if as_json:
        print_json({**facts, "exit_code": code})
    else:
        _print(facts)
    return code


def gather(session: Session) -> dict[str, Any]:
    """Every fact, without a call to QuickBooks."""
    clock = SystemClock()
    token = transport.tokens_of(session.settings, session.store, clock).state()
    governor = transport.governor_of(session.settings, session.store, clock).state(session.connection)
    return {
        "connection": session.connection,
        "environment": session.configuration.environment,
        "tokens": asdict(token),
        "throttle": asdict(governor),
        "postings": _outcomes(session),
        "runs": [asdict(run) for run in runs.latest(session.store)],
        "warnings": [*warnings(asdict(token), clock.now()), *plan_warnings(session)],
    }


def warnings(token: dict[str, Any], now: Any) -> list[str]:
    """What will stop the connection, said early."""
    found = []
    if token["refused_at"]:
        found.append(f"QuickBooks refused the refresh token at {show(token['refused_at'])}: reconnect.")
    if (token["refresh_age_days"] or 0) > IDLE_WARNING_DAYS:
        found.append(f"Not refreshed for {token['refresh_age_days']:.0f} days: at about 100 the connection dies.")
    if (
        token["hard_expires_at"]
        and (token["hard_expires_at"] - now).total_seconds() < HARD_EXPIRY_WARNING_DAYS * 86_400
    ):
        found.append(f"Consent ends for good at {show(token['hard_expires_at'])}: reconnect before.")
    if token["cut_off_at"]:
        found.append(f"A refresh was cut off at {show(token['cut_off_at'])}: reconnect if the next one fails.")
    return found


def plan_warnings(session: Session) -> list[str]:
    """That nothing is created before a plan was posted, and what to do about it."""
    shut = plans.why_shut(session.store, session.connection)
    return [f"Invoices wait for a plan: {shut}. {MAKE_A_PLAN}"] if shut else []


def _outcomes(session: Session) -> dict[str, int]:
    counted = (
        select(posting.c.outcome, func.count().label("postings"))
        .where(posting.c.connection == session.connection)
        .group_by(posting.c.outcome)
        .order_by(posting.c.outcome)
    )
    with session.store.read() as conn:
        return {row.outcome: row.postings for row in conn.execute(counted)}


def _print(facts: dict[str, Any]) -> None:
    token, throttle = facts["tokens"], facts["throttle"]
    used = ", ".join(f"{throttle['used'][name]} of {most} {name}" for name, most in throttle["allowed"].items())
    print_table(
        f"Connection {facts['connection']} ({facts['environment']})",
        ["what", "now"],
        [
            ("connected", "yes" if token["connected"] else "no"),
            ("tokens encrypted", "yes" if token["encrypted"] else "no"),
            ("last refresh", token["refreshed_at"]),
            ("refresh token dies", token["refresh_expires_at"]),
            ("consent ends for good", token["hard_expires_at"]),
            ("calls in their windows", used),
            ("paused for", f"{throttle['paused_seconds']:.0f} s {throttle['pause_reason']}".strip()),
            ("push in flight", "yes" if throttle["push_in_flight"] else "no"),
            ("metered reads this month", throttle["metered_reads"]),
            *((f"postings {outcome}", count) for outcome, count in facts["postings"].items()),
            *((f"WARNING {place}", text) for place, text in enumerate(facts["warnings"], start=1)),
        ],
    )
    print_table(
        "Last runs",
        ["plugin", "finished", "exit code", "message"],
        [(run["plugin"], run["finished_at"], run["exit_code"], run["message"]) for run in facts["runs"]],
    )
