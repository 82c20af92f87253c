"""`books status`: connection, tokens, limits, reads, inbox, jobs, postings, alerts, the last reconciliation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from books.cli import Context
from books.cli.output import json_option, print_json, print_table
from books.operations.session import Session
from books.operations.status import status


@click.command("status")
@json_option
@click.pass_obj
def command(context: Context, *, as_json: bool) -> int:
    """Show the bridge's health; end with the worst exit code among the plugins' last runs."""
    facts = status(Session.open(context.environment))
    if as_json:
        print_json(facts)
    else:
        _print(facts)
    return int(facts["exit_code"])


def _print(facts: dict[str, Any]) -> None:
    print_table(f"Connection {facts['connection']} ({facts['environment']})", ["what", "now"], list(_health(facts)))
    print_table(
        "Last run of each job",
        ["job", "began", "ended", "exit code", "decided by", "message"],
        [
            (run["job"], run["started_at"] or "never", *_ending(run), run["step"], run["message"])
            for run in facts["jobs"]
        ],
    )
    print_table(
        "Last run of each plugin",
        ["plugin", "finished", "exit code", "message"],
        [(run["plugin"], run["finished_at"], run["exit_code"], run["message"]) for run in facts["runs"]]
        + [
            (f"{run['plugin']}, refused second run", run["finished_at"], run["exit_code"], run["message"])
            for run in facts["refused"]
        ],
    )


def _ending(run: dict[str, Any]) -> tuple[Any, Any]:
    if run["started_at"] is None or run["finished_at"]:
        return run["finished_at"], run["exit_code"]
    return "not yet, or killed", None


def _health(facts: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    token, throttle = facts["tokens"], facts["throttle"]
    yield "connected", "yes" if token["connected"] else "no"
    yield "tokens encrypted", "yes" if token["encrypted"] else "no"
    yield "access token expires", token["access_expires_at"]
    yield "last refresh", _aged(token)
    yield "refresh token expires, unless refreshed", token["refresh_expires_at"]
    yield "consent expires", token["hard_expires_at"]
    yield (
        "calls left",
        ", ".join(f"{throttle['left'][name]} of {most} {_words(name)}" for name, most in throttle["allowed"].items()),
    )
    yield "paused for", f"{throttle['paused_seconds']:.0f} s {throttle['pause_reason']}".strip()
    if throttle["breaker_seconds"]:
        yield "stopped for", f"{throttle['breaker_seconds']:.0f} s after {throttle['consecutive_failures']} failures"
    yield from (("running", f"pid {each['pid']} since {each['since']}: {each['command']}") for each in facts["at_work"])
    yield "push in flight", "yes" if throttle["push_in_flight"] else "no"
    yield "metered reads this month", f"{facts['reads']['used']:,} of {facts['reads']['allowed']:,}"
    yield "webhook inbox", _inbox(facts["inbox"])
    yield from ((f"postings {outcome}", count) for outcome, count in facts["postings"].items())
    yield "last reconciliation", _reconciliation(facts["reconciliation"])
    yield "open alerts", len(facts["alerts"])
    yield from (
        (f"ALERT {each['title']}", f"not sent: {each['failure']}") for each in facts["alerts"] if each["failure"]
    )
    yield from ((f"WARNING {place}", text) for place, text in enumerate(facts["warnings"], start=1))


def _aged(token: dict[str, Any]) -> str:
    if token["refreshed_at"] is None:
        return "never"
    return f"{token['refreshed_at'].to_datetime_string()}Z, {token['refresh_age_days']:.1f} days ago"


def _words(limit: str) -> str:
    """Return `requests a minute` for `requests_per_minute`."""
    return limit.replace("_per_", " a ")


def _inbox(lag: dict[str, Any] | None) -> str:
    if lag is None:
        return "no receiver"
    oldest = "" if lag["oldest_seconds"] is None else f", the oldest for {lag['oldest_seconds']:,.0f} s"
    return f"{lag['waiting']} waiting{oldest}; {lag['missed']} changes in 30 days without a webhook"


def _reconciliation(run: dict[str, Any] | None) -> str:
    if run is None:
        return "none on this machine"
    what = f"{run['run_at'].to_datetime_string()}Z: {run['breaks']} breaks, {len(run['critical'])} critical"
    if run["trusted"]:
        return f"{what}; every check passes"
    return f"{what}; DO NOT ACT: {', '.join(run['failed_gates'])}"
