"""The dialect of QuickBooks Online: addresses, queries, batches, faults, and the mapping of an invoice."""

from __future__ import annotations

from books.core.clock import Clock
from books.core.settings import QuickBooksSettings
from books.ledgers.quickbooks.client import BatchAnswer, BatchItem, CdcAnswer, QuickBooksClient
from books.store import Store

__all__ = ["BatchAnswer", "BatchItem", "CdcAnswer", "QuickBooksClient", "open_client"]


def open_client(settings: QuickBooksSettings, store: Store, clock: Clock) -> QuickBooksClient:
    """A client for one company, through the governor, the token store and the retry policy that all processes share."""
    from books import transport

    return QuickBooksClient(settings, *transport.build_with_turns(settings, store, clock))
