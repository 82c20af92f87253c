"""The webhook receiver: takes deliveries in, keeps them, starts the job that reads what they point at."""

from __future__ import annotations

from books.webhooks.receiver import Receiver, make_app
from books.webhooks.server import serve
from books.webhooks.trigger import Job

__all__ = ["Job", "Receiver", "make_app", "serve"]
