"""`books daily`: the three jobs of a day, each whatever the former returned, and a check of the alerts."""

from __future__ import annotations

import click

from books.cli import Context
from books.cli.output import say
from books.core.faults import Halt
from books.operations.alerts.check import check_environment
from books.operations.configuration import Configuration
from books.operations.daily import run_daily


@click.command("daily")
@click.option("--force", is_flag=True, help="Pass --force to meltano run: safe after a killed run.")
@click.pass_obj
def command(context: Context, *, force: bool) -> int:
    """Run push-invoices, pull-payments and reconcile, each whatever the former returned; then check the alerts.

    Ends with the worst exit code of the three.
    """
    configuration = Configuration(context.environment)
    try:
        return run_daily(configuration, force=force, on_missed=_say_missed)
    finally:
        _check_alerts(configuration)


def _say_missed(count: int) -> None:
    say(
        f"Changes of the last day that no webhook announced: {count}. `books webhooks log --missed` lists them.",
        err=True,
    )


def _check_alerts(configuration: Configuration) -> None:
    """Check the alerts and send what is due; a check that fails does not change the exit code."""
    try:
        _addresses, checked = check_environment(configuration, _say_unsent)
    except Halt as halt:
        say(f"The alerts could not be checked: {halt.message}. What to do: {halt.remedy}", err=True)
        return
    for each in checked.open:
        say(f"ALERT {each.title}. {each.message}", err=True)
    for failure in checked.failures:
        say(f"An alert could not be sent: {failure}", err=True)


def _say_unsent(failure: str) -> None:
    say(f"not sent: {failure}", err=True)
