"""tap-quickbooks-payments: QuickBooks' payments and documents, and each posting's result, as Singer streams."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any, ClassVar

import pendulum
from singer_sdk import Stream, Tap
from sqlalchemy import select

from books.core.clock import Clock, SystemClock
from books.ledgers.notices import fold
from books.ledgers.quickbooks import QuickBooksClient, open_client, query
from books.ledgers.quickbooks.reading import CompanyReader
from books.ledgers.quickbooks.reading_rows import Posted
from books.ledgers.quickbooks.settings import QuickBooksPullSettings
from books.ledgers.registry import vendor
from books.singer.endings import TAP_CAPABILITIES, PluginEndings
from books.store import Store
from books.store.tables_posting import posting
from books.webhooks.inbox import Inbox, NoticedObjects
from tap_quickbooks_payments.company_streams import ALL, CompanyStream
from tap_quickbooks_payments.store_streams import Postings, PushRuns


class TapQuickBooksPayments(PluginEndings, Tap):
    """Reads the company file and the state store. `clock` is for tests; everything else comes from the settings.

    Store, client and reader are made when a stream needs them: postings alone make no call to QuickBooks.
    """

    name = "tap-quickbooks-payments"
    vendor = vendor("quickbooks")
    capabilities = TAP_CAPABILITIES
    config_jsonschema: ClassVar[dict[str, Any]] = vendor.pull_settings.config_schema()

    def __init__(self, *args: Any, clock: Clock | None = None, **kwargs: Any) -> None:
        self.clock = clock or SystemClock()
        super().__init__(*args, **kwargs)

    def discover_streams(self) -> list[Stream]:
        """Return all streams; needs neither network nor store."""
        return [Postings(self), PushRuns(self), *(CompanyStream(self, objects) for objects in ALL)]

    @cached_property
    def settings(self) -> QuickBooksPullSettings:
        """Return the settings, checked."""
        return QuickBooksPullSettings.from_config(self.config)

    @cached_property
    def store(self) -> Store:
        """Open the state store."""
        return Store.open(self.settings.ledger.store_url, self.clock)

    @cached_property
    def client(self) -> QuickBooksClient:
        """Return the client, with the rate limiter and the tokens that all processes share."""
        return open_client(self.settings.ledger, self.store, self.clock)

    @cached_property
    def reader(self) -> CompanyReader:
        """Return the reader of all selected streams, so that one call reads the changes of all."""
        selected = [each for each in self.streams.values() if isinstance(each, CompanyStream) and each.selected]
        cursors = {each.objects.entity: each.cursor for each in selected}
        return CompanyReader(self.client, self.clock, cursors, overlap_seconds=self.settings.overlap_seconds)

    @cached_property
    def inbox(self) -> Inbox:
        """Return the webhook inbox, after splitting the deliveries that the receiver has not split yet."""
        inbox = Inbox(self.store)
        ledger = self.settings.ledger
        inbox.split(self.vendor.webhooks(()), ledger.environment, [ledger.company_id])
        return inbox

    def noticed(self, entity: str, after: int) -> NoticedObjects:
        """Return the objects that webhooks announced since an offset in the inbox."""
        return self.inbox.noticed(self.settings.ledger.connection, fold(entity), after)

    def mark_read(self, entity: str, seq: int) -> None:
        """Note in the inbox that the objects announced up to `seq` were read."""
        self.inbox.mark_read(self.settings.ledger.connection, fold(entity), seq)

    def record_unnoticed(self, entity: str, changed: Mapping[str, pendulum.DateTime | None]) -> None:
        """Record the changes that no webhook has announced."""
        found = self.inbox.record_unnoticed(self.settings.ledger.connection, fold(entity), changed)
        if found:
            self.logger.info("%d changes of %s were found by reading, before any webhook announced them", found, entity)

    @cached_property
    def home_currency(self) -> str:
        """Return the company's currency, read when a row names none: companies with one currency leave it out."""
        answer = self.client.get("preferences")
        currency = (answer.get("Preferences") or {}).get("CurrencyPrefs") or {}
        return str((currency.get("HomeCurrency") or {}).get("value") or "GBP")

    def posted(self, external_ids: Collection[str]) -> dict[str, Posted]:
        """Return those of these ids in the books that are invoices we posted."""
        columns = (posting.c.external_id, posting.c.opsmerge_invoice_id, posting.c.number)
        connection = self.settings.ledger.connection
        found: dict[str, Posted] = {}
        with self.store.read() as store:
            for chunk in query.chunks(sorted(external_ids)):
                statement = select(*columns).where(posting.c.connection == connection, posting.c.external_id.in_(chunk))
                found |= {row[0]: Posted(row[1], row[2]) for row in store.execute(statement)}
        return found


if __name__ == "__main__":
    TapQuickBooksPayments.cli()
