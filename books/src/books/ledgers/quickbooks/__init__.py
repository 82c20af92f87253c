"""QuickBooks Online as a ledger: settings, API, queries, batches, faults, webhooks, OAuth, and the JSON of invoices."""

from __future__ import annotations

from books.core.clock import Clock
from books.ledgers.quickbooks.client import BatchAnswer, BatchItem, QuickBooksClient
from books.ledgers.quickbooks.settings import QuickBooksSettings
from books.store import Store

__all__ = ["BatchAnswer", "BatchItem", "QuickBooksClient", "open_client"]


def open_client(settings: QuickBooksSettings, store: Store, clock: Clock) -> QuickBooksClient:
    """Return a client for one company, with the rate limiter, tokens and retry policy that all processes share."""
    from books import transport

    return QuickBooksClient(settings, *transport.build_with_turns(settings, store, clock))
