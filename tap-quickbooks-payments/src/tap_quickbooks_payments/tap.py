"""tap-quickbooks-payments: QuickBooks' payments and documents, and each posting's result, as Singer streams."""

from __future__ import annotations

from typing import Any, ClassVar

from books.ledgers.registry import vendor
from books.singer.ledger_tap import LedgerTap


class TapQuickBooksPayments(LedgerTap):
    """Reads the company file and the state store. The plugin only; the work is done in `books`."""

    name = "tap-quickbooks-payments"
    vendor = vendor("quickbooks")
    config_jsonschema: ClassVar[dict[str, Any]] = vendor.pull_settings.config_schema()


if __name__ == "__main__":
    TapQuickBooksPayments.cli()
