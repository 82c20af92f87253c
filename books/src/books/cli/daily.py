"""`books daily`: the three jobs of a day, whatever the former returned, and a look at the alerts."""

from __future__ import annotations

import subprocess
from contextlib import closing

import click

from books.cli import Context
from books.cli.output import say
from books.core.clock import SystemClock
from books.core.faults import Exit, Halt
from books.operations import runs
from books.operations.configuration import Configuration, meltano_command
from books.operations.jobs import finer
from books.operations.session import kept_run, store_of
from books.store import Store
from books.webhooks.inbox import Inbox

JOBS = ("push-invoices", "pull-payments", "reconcile")


@click.command("daily")
@click.option("--force", is_flag=True, help="Pass --force to meltano run: safe after a killed run.")
@click.pass_obj
def command(context: Context, *, force: bool) -> int:
    """Run push-invoices, pull-payments and reconcile, each whatever the former returned; then check the alerts.

    Ends with the worst exit code of the three.
    """
    configuration = Configuration(context.environment)
    try:
        return _three(configuration, force=force)
    finally:
        _check_alerts(configuration)


def _three(configuration: Configuration, *, force: bool) -> int:
    with closing(store_of(configuration)) as store, kept_run(configuration, store, "books:daily") as codes:
        codes += [_run(job, configuration, store, force=force) for job in JOBS]
        _count_missed(store)
        return int(runs.worst(codes))


def _count_missed(store: Store) -> None:
    """Say what came back although no webhook told of it; nothing where no receiver is used."""
    inbox = Inbox(store)
    if inbox.is_used():
        missed = len(inbox.missed(since=SystemClock().now().subtract(days=1)))
        say(
            f"Found by reading in the last day, with no webhook that told of it: {missed}. "
            "`books webhooks log --missed` lists them.",
            err=True,
        )


def _run(job: str, configuration: Configuration, store: Store, *, force: bool) -> int:
    """One job; its finer exit code where a plugin left one in the store."""
    started_at = SystemClock().now()
    call = meltano_command(configuration, *(["--force"] if force else []), job)
    code = subprocess.run(call, cwd=configuration.root, check=False).returncode  # noqa: S603 -- our own command
    if code == Exit.DONE:
        return code
    return finer(code, store, started_at)


def _check_alerts(configuration: Configuration) -> None:
    """What the day came to is told; that it could not be is no reason for another exit code."""
    from books.cli.alerts import look

    try:
        _addresses, checked = look(configuration)
    except Halt as halt:
        say(f"The alerts could not be checked: {halt.message}", err=True)
        return
    for each in checked.open:
        say(f"ALERT {each.title}. {each.message}", err=True)
    for failure in checked.failures:
        say(f"An alert could not be sent: {failure}", err=True)
