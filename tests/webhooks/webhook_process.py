"""A receiver as a process: prints its port, serves until it is stopped."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from webhook_bodies import REALM, TOKEN

from books.ledgers.quickbooks.webhook import QuickBooksWebhooks
from books.store import Store
from books.webhooks import Job, Receiver, make_app, serve, server, trigger
from books.webhooks.inbox import Inbox

parser = argparse.ArgumentParser()
parser.add_argument("store_url")
parser.add_argument("--job")
parser.add_argument("--request-seconds", type=float)
options = parser.parse_args()

logger = logging.getLogger("receiver")
if options.request_seconds:
    server.REQUEST_SECONDS_MAX = options.request_seconds
trigger.RETRY_SECONDS = 0.1
trigger.QUIET_SECONDS = 0.5
lock_file = Path(tempfile.mkdtemp()) / "job.lock"
job = Job(["sh", "-c", options.job], Path.cwd(), lock_file) if options.job else None
receiver = Receiver(
    Inbox(Store.open(options.store_url)),
    QuickBooksWebhooks((TOKEN,)),
    "sandbox",
    (REALM,),
    {"payment": ()},
    logger,
    trigger.Trigger(job, logger) if job else None,
)
listening = server.bind("127.0.0.1", 0)
sys.stdout.write(f"{listening.getsockname()[1]}\n")
sys.stdout.flush()
serve(make_app(receiver), listening)
