"""The alert rules: each reads the facts and returns one cause, or None.

A cause says what is wrong, where, and what to do. It names invoices by number and no person or client.
A rule that cannot be judged now (no warehouse on this machine, an untrusted reconciliation) gives no result, and its
alert stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pendulum

from books.core.faults import Exit
from books.core.printable import possessive
from books.operations.alerts.facts import Facts
from books.operations.alerts.inbox import InboxLag
from books.operations.runs import Streak

EXPIRY_DAYS = (60, 30, 7)
"""Days left at which a message is sent, largest first."""

READ_PERCENTS = (80, 95, 100)

LIMITED_HOURS = 2
"""Rate limits occur every day and pass; one that lasts this long is reported."""

FAILURES_MIN = 3
FAILING_HOURS = 12
"""A job counts as failing after so many failures in a row or, where it runs seldom, so long after its last good run."""

RECONCILE_HOURS = 30
"""The reconciliation's own checks use the same hours."""

CODE_WORDS: Mapping[int, str] = {
    Exit.FAILED: "1: a bug, or bad usage",
    Exit.MISCONFIGURED: "78: a setting is missing or wrong, or the company is not ready",
    Exit.DEAD_CONNECTION: "69: the connection is dead",
    Exit.TRY_LATER: "75: stopped early by a rate limit or an outage",
}


@dataclass(frozen=True)
class Cause:
    """One thing that is wrong."""

    key: str
    title: str
    message: str
    remedy: str
    items: Mapping[str, str] = field(default_factory=dict)
    """What it concerns, each with its line of the message; new items are reported while the cause is open."""


Rule = Callable[[Facts], "Cause | None"]


def judge(facts: Facts) -> dict[str, Cause | None]:
    """Return each rule's cause by key, None where all is well. A key left out could not be judged."""
    judged = {key: rule(facts) for key, rule in RULES.items()}
    for job in facts.jobs.keys() - RUNS_OF_RUNS:
        judged |= {f"failing:{job}": _failing(facts, job), f"overdue:{job}": _overdue(facts, job)}
    is_reported = any(cause for key, cause in judged.items() if key.startswith("failing:"))
    for job in facts.jobs.keys() & RUNS_OF_RUNS:
        judged[f"failing:{job}"] = None if is_reported else _failing(facts, job)
    judged[f"disk:{facts.disk.machine}"] = _disk(facts)
    if facts.reconciliation is not None and facts.reconciliation.connection == facts.connection:
        judged["gate_failed"] = _gate_failed(facts)
        if facts.reconciliation.trusted:
            judged["critical_breaks"] = _critical_breaks(facts)
    if facts.inbox is not None:
        judged["webhooks_stand_still"] = _standstill(facts.inbox)
    if facts.unnoticed is not None:
        judged["webhook_silence"] = _webhook_silence(facts)
    return judged


def found(judged: Mapping[str, Cause | None]) -> list[Cause]:
    """Return the causes that hold."""
    return [cause for cause in judged.values() if cause is not None]


# The connection


def _dead(facts: Facts) -> Cause | None:
    refused_at = facts.token.refused_at or _ended_dead_at(facts)
    if refused_at is None:
        return None
    return Cause(
        "connection_dead",
        f"The connection to {facts.ledger} is dead",
        f"{facts.ledger} has refused the tokens of {facts.connection} since {moment(refused_at)}. Nothing is posted.",
        _how_to_reconnect(facts),
    )


def _how_to_reconnect(facts: Facts) -> str:
    text = facts.access.reconnect
    return f"{text[0].upper()}{text[1:]}."


def _ended_dead_at(facts: Facts) -> pendulum.DateTime | None:
    """Return when a step's newest run ended with exit code 69, unless the tokens were refreshed since."""
    ends = [each.last.finished_at for each in facts.steps.values() if each.last.exit_code == Exit.DEAD_CONNECTION]
    newest, renewed_at = max(ends, default=None), facts.token.refreshed_at
    return newest if newest is None or renewed_at is None or newest >= renewed_at else None


def _idle(facts: Facts) -> Cause | None:
    token = facts.token
    if token.refreshed_at is None or token.refused_at is not None:
        return None
    idle_days = facts.access.oauth.idle_days
    ends_at = token.refresh_expires_at or (token.refreshed_at.add(days=idle_days) if idle_days else None)
    if ends_at is None:
        return None
    return _expiry(
        facts,
        ends_at,
        key="idle_expiry",
        title=f"The connection to {facts.ledger} will die unless it is used",
        what=f"The tokens of {facts.connection} were last refreshed on {day(token.refreshed_at)}; unused they expire",
        remedy=f"Run `meltano run {facts.vendor.jobs['pull']}`, and find out why the scheduled jobs do not run.",
    )


def _hard(facts: Facts) -> Cause | None:
    if facts.token.hard_expires_at is None:
        return None
    return _expiry(
        facts,
        facts.token.hard_expires_at,
        key="hard_expiry",
        title=f"The consent to {facts.ledger} expires",
        what=f"The consent for {facts.connection} expires, even if it is used,",
        remedy=_how_to_reconnect(facts),
    )


def _expiry(facts: Facts, ends_at: pendulum.DateTime, *, key: str, title: str, what: str, remedy: str) -> Cause | None:
    """Return a cause with one item for each threshold that is passed, so that each is reported once."""
    left_days = (ends_at - facts.now).total_seconds() / 86_400
    passed = [days for days in EXPIRY_DAYS if left_days <= days]
    if not passed:
        return None
    when = f"on {day(ends_at)}, {max(0, int(left_days))} days from now" if left_days > 0 else f"on {day(ends_at)}"
    return Cause(key, title, f"{what} {when}.", remedy, {str(days): "" for days in passed})


def _limited(facts: Facts) -> Cause | None:
    """Return a cause where every failing step has ended with 75 for hours, or calls are paused for hours to come."""
    since = [
        each.failing_since for each in facts.steps.values() if each.failing_since and each.codes == {Exit.TRY_LATER}
    ]
    hours = max((hours_between(moment_, facts.now) for moment_ in since), default=0.0)
    ahead = facts.governor.paused_seconds / 3600
    if max(hours, ahead) < LIMITED_HOURS:
        return None
    reason = f" {facts.ledger} said: {facts.governor.pause_reason}." if facts.governor.pause_reason else ""
    pause = f" Calls are paused for another {ahead:.1f} hours." if ahead >= 0.1 else ""  # noqa: PLR2004 -- six minutes
    return Cause(
        "rate_limited",
        "Rate limited, or unreachable, for hours",
        f"Runs for {facts.connection} have stopped early (exit code 75) for {hours:.1f} hours.{pause}{reason}",
        "Nothing is lost: each run continues where the last one stopped. `books status` shows the limits and the last "
        "message. Check whether another app uses the same company, and the status pages of both services.",
    )


def _reads(facts: Facts) -> Cause | None:
    used, most, vendor = facts.governor.metered, facts.monthly_reads, facts.vendor.words.vendor
    passed = [percent for percent in READ_PERCENTS if used * 100 >= most * percent]
    if not passed:
        return None
    return Cause(
        "reads_running_out",
        "Metered reads of this month are running out",
        f"{used:,} of {most:,} reads of {facts.connection} are used ({used * 100 // most} %). "
        f"Above the limit {vendor} refuses reads until the month ends.",
        f"Read less often until then ({facts.vendor.jobs['pull']} every half hour), or move the {vendor} app to a "
        f"higher tier and set monthly_reads. Other companies of the same {vendor} app share the limit.",
        {str(percent): "" for percent in passed},
    )


# Postings


def _refused(facts: Facts) -> Cause | None:
    if not facts.refused:
        return None
    numbers = {f"{each.number} {each.outcome} {each.fault_code}": each for each in facts.refused}
    return Cause(
        "invoices_refused",
        "Invoices were refused",
        f"{count(facts.outcomes.get('rejected', 0), 'invoice')} rejected and "
        f"{facts.outcomes.get('conflict', 0)} in conflict in {facts.connection}.",
        "`books log` says what is wrong with each and what to do; `books why NUMBER` shows everything about one.",
        {key: f"{each.number}: {each.outcome}{_in_brackets(each.fault_code)}" for key, each in numbers.items()},
    )


def _in_brackets(fault_code: str) -> str:
    return f" ({fault_code.replace('_', ' ')})" if fault_code else ""


# The reconciliation


def _gate_failed(facts: Facts) -> Cause | None:
    run = facts.reconciliation
    if run is None or run.trusted:
        return None
    return Cause(
        "gate_failed",
        "Do not act on the reconciliation",
        f"Checks of the run of {moment(run.run_at)} failed: its data may be incomplete or wrong.",
        "Do not act on its breaks. Read the failed checks with `books report --show`, then run `meltano run reconcile` "
        "again.",
        {name: f"check failed: {promise}" for name, promise in run.failed_gates.items()},
    )


def _critical_breaks(facts: Facts) -> Cause | None:
    run = facts.reconciliation
    if run is None or not run.critical:
        return None
    return Cause(
        "critical_breaks",
        f"Critical breaks between OpsMerge and {facts.ledger}",
        f"{count(len(run.critical), 'critical break')} in the reconciliation of {moment(run.run_at)}.",
        "`books report --show` says what happened and what to do, for each.",
        run.critical,
    )


# What runs


def _nothing_ran(facts: Facts) -> Cause | None:
    newest = max((each.last.finished_at for each in facts.steps.values()), default=None)
    if newest is None or hours_between(newest, facts.now) <= facts.quiet_hours:
        return None
    return Cause(
        "nothing_ran",
        f"Nothing has run for {hours_between(newest, facts.now):.0f} hours",
        f"No job of {facts.environment} has ended since {moment(newest)}.",
        "Check the scheduler (`systemctl list-timers`, or cron's log) and whether the machine was off, and run "
        "`meltano run push-invoices` by hand to see its messages.",
    )


def _overdue(facts: Facts, job: str) -> Cause | None:
    """Return a cause where a job has stopped while others run.

    A job that never succeeded gives none: it is not scheduled here, or it fails.
    """
    last = facts.steps.get(facts.jobs[job][-1]) if facts.jobs[job] else None
    hours = max(facts.quiet_hours, RECONCILE_HOURS) if job in ONCE_A_DAY else facts.quiet_hours
    if last is None or last.good_at is None or hours_between(last.good_at, facts.now) <= hours:
        return None
    is_failing = any(facts.steps[step].failures for step in facts.jobs[job] if step in facts.steps)
    if is_failing or _nothing_ran(facts):
        return None  # reported already, by its cause
    return Cause(
        f"overdue:{job}",
        f"{job} is overdue",
        f"{job} last succeeded at {moment(last.good_at)}, {hours_between(last.good_at, facts.now):.0f} hours ago.",
        f"Check that it is scheduled, and run `meltano run --force {job}` by hand to see its messages.",
    )


def _failing(facts: Facts, job: str) -> Cause | None:
    steps = [facts.steps[step] for step in facts.jobs[job] if step in facts.steps]
    bad = [each for each in steps if each.failures and each.codes - {Exit.TRY_LATER, Exit.DEAD_CONNECTION}]
    bad = [each for each in bad if each.failures >= FAILURES_MIN or _long_failing(each, facts.now)]
    if not bad:
        return None
    worst = max(bad, key=lambda each: each.failures)
    code = worst.last.exit_code
    return Cause(
        f"failing:{job}",
        f"{job} fails repeatedly",
        f"{worst.last.step} has failed {count(worst.failures, 'time')} in a row since {moment(worst.failing_since)}, "
        f"last with exit code {CODE_WORDS.get(code, str(code))}.",
        "`books status` shows its last message, which says what to do.",
        {str(code): ""},
    )


def _long_failing(streak: Streak, now: pendulum.DateTime) -> bool:
    return streak.good_at is not None and hours_between(streak.good_at, now) >= FAILING_HOURS


def _webhook_silence(facts: Facts) -> Cause | None:
    if not facts.unnoticed:
        return None
    return Cause(
        "webhook_silence",
        f"{facts.ledger} sends no webhooks",
        f"{count(len(facts.unnoticed), 'payment')} of {facts.connection} changed within a day and were found by "
        "scheduled reads: no webhook announced them, and no other webhook has come since.",
        "Payments still come back, only later. `books webhooks log --missed` lists them. Check that the receiver runs "
        "and can be reached from outside, and that the subscription is active in "
        f"{possessive(facts.vendor.words.vendor)} developer portal.",
    )


def _standstill(inbox: InboxLag) -> Cause | None:
    if not inbox.standstill_seconds:
        return None
    return Cause(
        "webhooks_stand_still",
        "Webhooks are received but not processed",
        f"Deliveries have waited for {inbox.standstill_seconds / 60:.0f} minutes to be split into notices; "
        f"{inbox.waiting:,} deliveries and notices wait.",
        "Nothing is lost, and payments still come back with the scheduled reads. Restart the receiver "
        "(`books webhooks serve`), and run `meltano run pull-payments`: the log of one of them names the cause.",
    )


def _disk(facts: Facts) -> Cause | None:
    disk = facts.disk
    if disk.free_bytes >= disk.needed_bytes:
        return None
    return Cause(
        f"disk:{disk.machine}",
        "The disk is nearly full",
        f"{disk.free_bytes / 2**20:,.0f} MiB are free on {disk.machine}, and the next reconciliation may need "
        f"{disk.needed_bytes / 2**20:,.0f} MiB.",
        "Free space: old reports in warehouse/<environment>/reports and .meltano/logs may be deleted. Never delete the "
        "store.",
    )


RULES: Mapping[str, Rule] = {
    "connection_dead": _dead,
    "idle_expiry": _idle,
    "hard_expiry": _hard,
    "rate_limited": _limited,
    "reads_running_out": _reads,
    "invoices_refused": _refused,
    "nothing_ran": _nothing_ran,
}

ONCE_A_DAY = frozenset({"reconcile"})
RUNS_OF_RUNS = frozenset({"daily"})
"""Jobs that run other jobs: reported only where none of those is, because dbt and the loader record no run."""


# Text


def hours_between(start: pendulum.DateTime, end: pendulum.DateTime) -> float:
    """Return how many hours lie between two times."""
    return (end - start).total_seconds() / 3600


def moment(at: pendulum.DateTime | None) -> str:
    """Return for example `2026-11-22 06:02 UTC`."""
    return f"{at.in_timezone('UTC'):YYYY-MM-DD HH:mm} UTC" if at else "an unknown time"


def day(at: pendulum.DateTime) -> str:
    """Return for example `2026-11-22`."""
    return at.in_timezone("UTC").to_date_string()


def count(number: int, one: str) -> str:
    """Return for example `1 invoice` or `1,200 invoices`."""
    return f"{number:,} {one if number == 1 else one + 's'}"


def listed(lines: Sequence[str], most: int) -> Iterator[str]:
    """Yield the first lines, and how many more there are."""
    yield from lines[:most]
    if len(lines) > most:
        yield f"and {len(lines) - most:,} more"
