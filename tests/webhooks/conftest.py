"""An inbox on both kinds of store, deliveries as Intuit signs them, and the receiver over real HTTP."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from books.core.clock import VirtualClock
from books.ledgers.quickbooks.webhook import QuickBooksWebhooks
from books.store import Store
from books.webhooks import Receiver, make_app
from books.webhooks.inbox import Inbox
from sandbox.quickbooks.webhooks import sign
from sandbox.server import running

sys.path.insert(0, str(Path(__file__).parent))  # so that tests here share `webhook_bodies`

from webhook_bodies import REALM, TOKEN


@dataclass(frozen=True)
class Running:
    """A receiver that answers."""

    url: str
    store: Store
    receiver: Receiver

    def post(self, body: bytes, signature: str | None = None, **headers: str) -> int:
        """POST a delivery, signed as Intuit would unless another signature is given; the status."""
        signed = sign(body, TOKEN) if signature is None else signature
        return requests.post(
            f"{self.url}/webhooks/quickbooks", data=body, headers={"intuit-signature": signed, **headers}, timeout=30
        ).status_code

    def health(self) -> dict[str, Any]:
        return requests.get(f"{self.url}/healthz", timeout=30).json()


@pytest.fixture
def dialect() -> QuickBooksWebhooks:
    return QuickBooksWebhooks((TOKEN,))


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def store(store_url: str, clock: VirtualClock) -> Iterator[Store]:
    opened = Store.open(store_url, clock)
    yield opened
    opened.close()


@pytest.fixture
def inbox(store: Store, dialect: QuickBooksWebhooks) -> Inbox:
    return Inbox(store, dialect, "sandbox")


@pytest.fixture
def receiver(tmp_path, dialect: QuickBooksWebhooks) -> Iterator[Running]:
    """The receiver on a SQLite store, without a job to start."""
    opened = Store.open(f"sqlite:///{tmp_path}/books/books.db")
    receiver = Receiver(Inbox(opened, dialect, "sandbox"), dialect, (REALM,), logging.getLogger("test"))
    with running(make_app(receiver)) as url:
        yield Running(url, opened, receiver)
    opened.close()
