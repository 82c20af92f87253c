"""A receiver as a process: tells its port, serves until it is stopped.

Forked from a process that has imported everything: one test alone starts it twenty times.
"""

from __future__ import annotations

import logging
import multiprocessing
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

from webhook_bodies import REALM, TOKEN

from books.ledgers.quickbooks.webhook import QuickBooksWebhooks
from books.store import Store
from books.webhooks import Job, Receiver, make_app, serve, server, trigger
from books.webhooks.inbox import Inbox

FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(["alembic.command", "books.ledgers.quickbooks.webhook", "books.store", "books.webhooks"])


def receive(port: Connection, store_url: str, job_words: str | None, request_seconds: float | None) -> None:
    """Send the port, then serve; `job_words` are for a shell."""
    logger = logging.getLogger("receiver")
    if request_seconds:
        server.REQUEST_SECONDS_MAX = request_seconds
    trigger.RETRY_SECONDS = 0.1
    trigger.QUIET_SECONDS = 0.5
    lock_file = Path(tempfile.mkdtemp()) / "job.lock"
    job = Job(["sh", "-c", job_words], Path.cwd(), lock_file) if job_words else None
    dialect = QuickBooksWebhooks((TOKEN,))
    receiver = Receiver(
        Inbox(Store.open(store_url), dialect, "sandbox"),
        dialect,
        (REALM,),
        logger,
        trigger.Trigger(job, logger) if job else None,
    )
    listening = server.bind("127.0.0.1", 0)
    port.send(listening.getsockname()[1])
    serve(make_app(receiver), listening)
