"""The three jobs of a day in order, each whatever the former returned."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import closing

from books.core.clock import SystemClock
from books.core.faults import Exit
from books.operations import runs
from books.operations.configuration import Configuration, meltano_command
from books.operations.jobs import finer_code
from books.operations.session import recorded_run, store_of
from books.store import Store
from books.webhooks.inbox import Inbox


def run_daily(configuration: Configuration, *, force: bool, on_missed: Callable[[int], None]) -> int:
    """Run the three jobs and return the worst exit code.

    `on_missed` is called with the number of changes of the last day that no webhook announced, where a receiver is
    used.
    """
    with closing(store_of(configuration)) as store, recorded_run(configuration, store, "books:daily") as codes:
        vendor = configuration.vendor()
        names = vendor.jobs
        codes += [_run(names[each], configuration, store, force=force) for each in ("push", "pull", "reconcile")]
        connection = vendor.connection_of(configuration.plugin(vendor.target))
        inbox = Inbox(store, vendor.webhooks(()), connection.partition(":")[0])
        if inbox.is_used():
            on_missed(len(inbox.missed(connection, since=SystemClock().now().subtract(days=1))))
        return int(runs.worst(codes))


def _run(job: str, configuration: Configuration, store: Store, *, force: bool) -> int:
    """Run one job; return the plugin's own exit code where it left one in the store."""
    started_at = SystemClock().now()
    call = meltano_command(configuration, *(["--force"] if force else []), job)
    code = subprocess.run(call, cwd=configuration.root, check=False).returncode  # noqa: S603 -- our own command
    return code if code == Exit.DONE else finer_code(code, store, started_at)
