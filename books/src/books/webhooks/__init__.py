"""No acknowledged notice is lost: the receiver stores deliveries and starts the job that reads them.

May import ledgers, store and core. Start with `receiver`; `inbox` stores deliveries and splits them into notices.
"""

from __future__ import annotations

from books.webhooks.receiver import Receiver, make_app
from books.webhooks.server import serve
from books.webhooks.trigger import Job

__all__ = ["Job", "Receiver", "make_app", "serve"]
