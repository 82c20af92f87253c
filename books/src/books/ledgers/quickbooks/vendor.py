"""QuickBooks Online for the registry: its words, settings, plugins and jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast
from urllib.parse import quote

import pendulum

from books.core.clock import Clock
from books.ledgers.quickbooks import open_client
from books.ledgers.quickbooks.books import QuickBooksBooks
from books.ledgers.quickbooks.ledger import QuickBooksLedger
from books.ledgers.quickbooks.settings import QuickBooksPullSettings, QuickBooksPushSettings, QuickBooksSettings
from books.ledgers.quickbooks.webhook import QuickBooksWebhooks
from books.ledgers.registry import Vendor, Words
from books.ledgers.settings import PullSettings
from books.store import Store
from books.transport.settings import LedgerSettings

APP = {
    "sandbox": "https://sandbox.qbo.intuit.com/app",
    "production": "https://qbo.intuit.com/app",
}
"""Where a person opens a company in the browser."""

PAGES = {"payment": "recvpayment"}
"""The pages of documents whose page is not called like their kind."""


def open_ledger(settings: LedgerSettings, store: Store, clock: Clock) -> QuickBooksLedger:
    """Return one company's books."""
    client = open_client(cast("QuickBooksSettings", settings), store, clock)
    return QuickBooksLedger(client, settings.connection)


def open_books(
    settings: PullSettings, store: Store, clock: Clock, cursors: Mapping[str, pendulum.DateTime | None]
) -> QuickBooksBooks:
    """Return one company's books, to be read back."""
    client = open_client(cast("QuickBooksSettings", settings.ledger), store, clock)
    return QuickBooksBooks(client, clock, cursors, overlap_seconds=settings.overlap_seconds)


def link(environment: str, kind: str, document_id: str) -> str | None:
    """Return a document's address in QuickBooks; None outside Intuit's own environments (the demo)."""
    base = APP.get(environment)
    return base and f"{base}/{PAGES.get(kind, kind)}?txnId={quote(document_id, safe='')}"


VENDOR = Vendor(
    provider="quickbooks",
    words=Words(
        ledger="QuickBooks",
        vendor="Intuit",
        company_id="realm",
        company_setting="realm_id",
        company_variable="QUICKBOOKS_REALM_ID",
        refresh_token_variable="QUICKBOOKS_REFRESH_TOKEN",  # noqa: S106 -- a variable's name
        webhook_secret_variable="QUICKBOOKS_WEBHOOK_VERIFIER_TOKEN",  # noqa: S106 -- a variable's name
        webhook_remedy="Copy the verifier token from Intuit's developer portal (Webhooks) into "
        "QUICKBOOKS_WEBHOOK_VERIFIER_TOKEN.",
        other_environment="use Development keys with QUICKBOOKS_ENVIRONMENT=sandbox and a sandbox company, Production "
        "keys with production and a real one: set the other keys, or run `books --environment={other} connect`",
        end_access="in QuickBooks under Apps",
    ),
    settings=QuickBooksSettings,
    push_settings=QuickBooksPushSettings,
    pull_settings=QuickBooksPullSettings,
    open_ledger=open_ledger,
    open_books=open_books,
    entities=QuickBooksBooks.entities,
    webhooks=QuickBooksWebhooks,
    target="target-quickbooks",
    tap="tap-quickbooks-payments",
    jobs={"push": "push-invoices", "pull": "pull-payments", "reconcile": "reconcile"},
    link=link,
)
