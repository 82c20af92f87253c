"""The tap of every ledger: its books, and from the state store each posting's result and each push."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any, ClassVar

import pendulum
from singer_sdk import Stream, Tap
from sqlalchemy import select

from books.core.batches import batched
from books.core.clock import Clock, SystemClock
from books.ledgers.contract import Books, Entity
from books.ledgers.registry import Vendor
from books.ledgers.settings import PullSettings
from books.singer.endings import TAP_CAPABILITIES, PluginEndings
from books.singer.ledger_streams import LedgerStream
from books.singer.store_streams import Postings, PushRuns
from books.store import Store
from books.store.tables_posting import posting
from books.webhooks.inbox import Inbox, NoticedObjects

IDS_IN_ONE_QUERY = 400


class LedgerTap(PluginEndings, Tap):
    """Reads the company's books and the state store. `clock` is for tests; everything else comes from the settings.

    Store and books are opened when a stream needs them: postings alone make no call to the ledger.
    """

    vendor: ClassVar[Vendor]
    capabilities = TAP_CAPABILITIES

    def __init__(self, *args: Any, clock: Clock | None = None, **kwargs: Any) -> None:
        self.clock = clock or SystemClock()
        super().__init__(*args, **kwargs)

    def discover_streams(self) -> list[Stream]:
        """Return all streams; needs neither network nor store."""
        return [Postings(self), PushRuns(self), *(LedgerStream(self, entity) for entity in self.vendor.entities)]

    @cached_property
    def settings(self) -> PullSettings:
        """Return the settings, checked."""
        return self.vendor.pull_settings.from_config(self.config)

    @property
    def connection(self) -> str:
        """Return the company's key."""
        return self.settings.ledger.connection

    @cached_property
    def store(self) -> Store:
        """Open the state store."""
        return Store.open(self.settings.ledger.store_url, self.clock)

    @cached_property
    def books(self) -> Books:
        """Open the books for all selected streams, so that one call reads the changes of all."""
        selected = [each for each in self.streams.values() if isinstance(each, LedgerStream) and each.selected]
        cursors = {each.name: each.cursor for each in selected}
        return self.vendor.open_books(self.settings, self.store, self.clock, cursors)

    @cached_property
    def inbox(self) -> Inbox:
        """Return the webhook inbox, after splitting the deliveries that the receiver has not split yet."""
        ledger = self.settings.ledger
        inbox = Inbox(self.store, self.vendor.webhooks(()), ledger.environment)
        inbox.split([ledger.company_id])
        return inbox

    def noticed(self, entity: Entity, after: int) -> NoticedObjects:
        """Return the objects that webhooks announced since an offset in the inbox."""
        return self.inbox.noticed(self.connection, entity.notices, after)

    def mark_read(self, entity: Entity, seq: int) -> None:
        """Note in the inbox that the objects announced up to `seq` were read."""
        self.inbox.mark_read(self.connection, entity.notices, seq)

    def record_unnoticed(self, entity: Entity, changed: Mapping[str, pendulum.DateTime | None]) -> None:
        """Record the changes that no webhook has announced."""
        found = self.inbox.record_unnoticed(self.connection, entity.notices, changed)
        if found:
            self.logger.info(
                "%d changes of %s were found by reading, before any webhook announced them", found, entity.name
            )

    def posted(self, external_ids: Collection[str]) -> dict[str, tuple[str, str]]:
        """Return OpsMerge's id and number of those of these documents that we posted, by the ledger's id."""
        columns = (posting.c.external_id, posting.c.opsmerge_invoice_id, posting.c.number)
        found: dict[str, tuple[str, str]] = {}
        with self.store.read() as store:
            for ids in batched(sorted(external_ids), IDS_IN_ONE_QUERY):
                ours = posting.c.connection == self.connection, posting.c.external_id.in_(ids)
                found |= {row[0]: (row[1], row[2]) for row in store.execute(select(*columns).where(*ours))}
        return found
