"""`books daily`: the three jobs of a day, whatever the former returned."""

from __future__ import annotations

import subprocess

import click

from books import runs
from books.cli import Context
from books.cli.jobs import finer
from books.cli.meltano import Configuration, meltano_command
from books.clock import SystemClock
from books.faults import Exit
from books.store import Store

JOBS = ("push-invoices", "pull-payments", "reconcile")


@click.command("daily")
@click.option("--force", is_flag=True, help="Pass --force to meltano run: safe after a killed run.")
@click.pass_obj
def command(context: Context, *, force: bool) -> int:
    """Run push-invoices, pull-payments and reconcile, each whatever the former returned.

    Ends with the worst exit code of the three.
    """
    configuration = Configuration(context.environment)
    store = Store.open(configuration.plugin("target-quickbooks").get("store_url", "sqlite:///.books/books.db"))
    codes = [_run(job, configuration, store, force=force) for job in JOBS]
    return int(runs.worst(codes))


def _run(job: str, configuration: Configuration, store: Store, *, force: bool) -> int:
    """One job; its finer exit code where a plugin left one in the store."""
    started_at = SystemClock().now()
    call = meltano_command(configuration, *(["--force"] if force else []), job)
    code = subprocess.run(call, cwd=configuration.root, check=False).returncode  # noqa: S603 -- our own command
    if code == Exit.DONE:
        return code
    return finer(code, store, started_at)
