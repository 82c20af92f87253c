"""Mirror OpsMerge's payments in the store, read by change, so that only differences are written.

The mirror also repairs the stored allocations: it shows payments that were written just before a crash, voided by a
person, or written by a bridge whose store was lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, and_, false, or_, select

from books.core.batches import batched
from books.core.money import ZERO
from books.opsmerge import api, belonging, kinds
from books.opsmerge.client import OpsMergeClient
from books.opsmerge.payments import Entry, Settlement
from books.store import Store
from books.store.tables_opsmerge import allocation, opsmerge_payment, opsmerge_read
from books.store.tables_posting import posting
from books.store.upsert import upsert
from books.writeback.allocation_store import CHUNK, Due
from books.writeback.allocations import OpsMergeState
from books.writeback.nonproduction import company_of, nonproduction_companies

OVERLAP_SECONDS = 300
"""How far each read reaches back: a change may become visible a little after its time."""

ID_PARTS = 3
"""`<company id>:<payment>:<invoice>`"""


class Mirror:
    """The rows of `opsmerge_payment` that one connection has read of one OpsMerge."""

    def __init__(self, store: Store, client: OpsMergeClient, company: str) -> None:
        self._store = store
        self._client = client
        self._company = company
        self._key = {"connection": company, "source": client.source}

    def refresh(self) -> int:
        """Read what changed since the last time and mark its allocations as due; return the number of rows."""
        count = 0
        records = self._client.records(api.PAYMENTS, params=self._since())
        for chunk in batched(records, CHUNK):
            with self._store.begin() as connection:
                self._ingest(connection, chunk)
            count += len(chunk)
        return count

    def adopt_orphans(self) -> int:
        """After a complete read: mark our payments that no allocation explains for voiding; return how many.

        They exist where the store was lost while payments were deleted in the ledger. An id in OpsMerge names no
        environment; before one is voided, the invoice's block decides whose it is.
        """
        company_id = company_of(self._company)
        known = select(allocation.c.payment_id, allocation.c.transaction_id)
        known = known.where(allocation.c.connection == self._company)
        with self._store.begin() as connection:
            explained = {(company_id, *row) for row in connection.execute(known)}
            orphans = [each for each in self._live(connection, company_id) if _ours(each.external_id) not in explained]
            upsert(connection, allocation, [_orphan(self._company, each) for each in orphans])
        return len(orphans)

    def of_nonproduction(self) -> list[Entry]:
        """Return the live payments of companies whose money is not real, for a production connection that posts."""
        if not belonging.is_production(self._company):
            return []
        posts = select(posting.c.connection).where(posting.c.connection == self._company).limit(1)
        with self._store.read() as connection:
            if connection.execute(posts).first() is None:
                return []
            return [entry for each in nonproduction_companies(connection) for entry in self._live(connection, each)]

    def _live(self, connection: Connection, company_id: str) -> list[Entry]:
        """Return the payments in OpsMerge that a bridge wrote for a company and that are not voided."""
        query = select(opsmerge_payment).where(
            *self._of(opsmerge_payment),
            opsmerge_payment.c.external_id.startswith(f"{company_id}:", autoescape=True),
            opsmerge_payment.c.voided.is_(False),
        )
        return [_entry(row) for row in connection.execute(query).mappings() if _ours(row["external_id"])]

    def _of(self, table: Table) -> list[ColumnElement[bool]]:
        """Return the condition for this connection's rows of a table."""
        return [table.c[name] == value for name, value in self._key.items()]

    def view(self, due: Sequence[Due]) -> View:
        """Return what OpsMerge shows for these allocations."""
        view = View()
        with self._store.read() as connection:
            for column, values in (
                (opsmerge_payment.c.external_id, [each.external_id for each in due]),
                (opsmerge_payment.c.id, [each.linked_payment_id for each in due if each.linked_payment_id]),
                (opsmerge_payment.c.invoice_id, [each.invoice_id for each in due]),
            ):
                view.add(self._entries(connection, column, values))
            view.linked |= self._linked(connection, view.by_hand_ids())
        return view

    def record(self, entries: Sequence[Entry]) -> None:
        """Store what OpsMerge answered to our writes, so that the next read of them marks nothing as due."""
        with self._store.begin() as connection:
            rows = [{**self._key, **_row(entry), "updated_at": ""} for entry in entries]
            upsert(connection, opsmerge_payment, rows)

    def _since(self) -> dict[str, str]:
        query = select(opsmerge_read.c.updated_at).where(*self._of(opsmerge_read))
        with self._store.read() as connection:
            read_to = connection.execute(query).scalar()
        if read_to is None:
            return {}
        since = datetime.fromisoformat(read_to) - timedelta(seconds=OVERLAP_SECONDS)
        return {api.CHANGED_SINCE: api.zulu(since.isoformat())}

    def _ingest(self, connection: Connection, records: Sequence[Mapping[str, Any]]) -> None:
        """Store one chunk. The list is in order of change, so each chunk moves the place to continue from."""
        entries = {record["id"]: api.entry(record) for record in records}
        before = {entry.id: entry for entry in self._entries(connection, opsmerge_payment.c.id, list(entries))}
        changed = [entry for entry in entries.values() if _matters(entry, before.get(entry.id))]
        rows = {
            record["id"]: {
                **self._key,
                **_row(entries[record["id"]]),
                "updated_at": kinds.moment(record["updated_at"]),
            }
            for record in records
        }
        upsert(connection, opsmerge_payment, list(rows.values()))
        for entry in changed:
            about = allocation.update().where(allocation.c.connection == self._company, *self._about(entry))
            connection.execute(about.values(due=True, next_attempt_at=None))
        upsert(connection, opsmerge_read, [{**self._key, "updated_at": records[-1]["updated_at"]}])

    def _about(self, entry: Entry) -> tuple[ColumnElement[bool], ...]:
        """Return the condition for the allocations that a payment concerns: its own, or the one linked to it.

        A payment entered by hand may also be the reason why OpsMerge refused others of the invoice.
        """
        ours = _ours(entry.external_id)
        if not ours:
            refused = and_(allocation.c.opsmerge_invoice_id == entry.invoice_id, allocation.c.attempts > 0)
            return (or_(allocation.c.linked_payment_id == entry.id, refused),)
        company_id, payment_id, transaction_id = ours
        if company_id != company_of(self._company):
            return (false(),)
        return (allocation.c.payment_id == payment_id, allocation.c.transaction_id == transaction_id)

    def _linked(self, connection: Connection, ids: Sequence[str]) -> set[str]:
        """Return those of these payments that an allocation is linked to."""
        found: set[str] = set()
        for batch in batched(ids, CHUNK):
            query = select(allocation.c.linked_payment_id).where(
                allocation.c.connection == self._company, allocation.c.linked_payment_id.in_(batch)
            )
            found.update(str(identifier) for identifier in connection.execute(query).scalars())
        return found

    def _entries(self, connection: Connection, column: Any, values: Sequence[str]) -> Iterator[Entry]:
        for batch in batched(values, CHUNK):
            query = select(opsmerge_payment).where(*self._of(opsmerge_payment), column.in_(batch))
            for row in connection.execute(query).mappings():
                yield _entry(row)


class View:
    """What OpsMerge shows, in memory, kept up to date while allocations are settled one after the other."""

    def __init__(self) -> None:
        self._by_id: dict[str, Entry] = {}
        self._by_external_id: dict[str, Entry] = {}
        self._by_hand: dict[str, dict[str, Entry]] = {}
        self.linked: set[str] = set()

    def add(self, entries: Iterable[Entry]) -> None:
        """Add payments of OpsMerge; a newer state of one replaces the older."""
        for entry in entries:
            self._by_id[entry.id] = entry
            if entry.external_id:
                self._by_external_id[entry.external_id] = entry
            else:
                self._by_hand.setdefault(entry.invoice_id, {})[entry.id] = entry

    def by_hand_ids(self) -> list[str]:
        """Return the ids of all payments without an external id."""
        return [identifier for entries in self._by_hand.values() for identifier in entries]

    def state_of(self, due: Due) -> OpsMergeState:
        """Return what OpsMerge shows for one allocation."""
        free = (
            entry
            for entry in self._by_hand.get(due.invoice_id, {}).values()
            if not entry.voided and entry.id not in self.linked
        )
        return OpsMergeState(
            our_payment=self._by_external_id.get(due.external_id),
            linked=self._by_id.get(due.linked_payment_id) if due.linked_payment_id else None,
            by_hand=tuple(sorted(free, key=lambda entry: entry.id)),
        )


def _matters(entry: Entry, before: Entry | None) -> bool:
    """Return whether a payment changed in a way that decides what we write."""
    if before is None:
        return True
    return (entry.settlement.amount, entry.voided, entry.invoice_id) != (
        before.settlement.amount,
        before.voided,
        before.invoice_id,
    )


def _ours(external_id: str | None) -> tuple[str, ...]:
    """Return company id, payment and invoice of an external id that this bridge made; empty for any other."""
    parts = tuple((external_id or "").split(":"))
    return parts if len(parts) == ID_PARTS else ()


def _orphan(company: str, entry: Entry) -> dict[str, Any]:
    _company_id, payment_id, transaction_id = _ours(entry.external_id)
    return {
        "connection": company,
        "payment_id": payment_id,
        "transaction_id": transaction_id,
        "amount": ZERO,
        "opsmerge_invoice_id": entry.invoice_id,
        "revision": 1,
        "due": True,
    }


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "invoice_id": entry.invoice_id,
        "external_id": entry.external_id,
        "amount": entry.settlement.amount,
        "currency": entry.settlement.currency,
        "paid_on": entry.settlement.paid_on,
        "method": entry.settlement.method,
        "reference": entry.settlement.reference,
        "voided": entry.voided,
    }


def _entry(row: RowMapping) -> Entry:
    settlement = Settlement(row["amount"], row["currency"], row["paid_on"], row["method"], row["reference"])
    return Entry(row["id"], row["invoice_id"], row["external_id"], settlement, row["voided"])
