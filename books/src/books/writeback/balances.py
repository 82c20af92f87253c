"""Compare each invoice's balance in QuickBooks with its allocations.

An invoice may be settled by more than payments and credit notes: a journal entry, or a deposit on the invoice itself.
`Invoice.Balance` counts them all, so the part that the allocations do not explain is a remainder, and is reported.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import Connection, and_, delete, select, tuple_, update

from books.core.batches import batched
from books.core.money import ZERO, half_up
from books.posting import documents
from books.store import Store
from books.store.tables_opsmerge import allocation, ledger_balance
from books.store.tables_posting import posting
from books.store.upsert import upsert
from books.writeback import allocations
from books.writeback.allocations import DELETED, VOIDED, Version

ENDED = (VOIDED, DELETED)
CHUNK = 400
"""Keys in one query: below the limit of bound values of every database, two for each key."""

Key = tuple[str, str]
"""Connection and the invoice's id in the ledger."""


@dataclass(frozen=True)
class Remainder:
    """An invoice of ours whose balance its payments do not explain. Positive: more is settled than they pay."""

    number: str
    opsmerge_invoice_id: str
    external_id: str
    currency: str | None
    total: Decimal
    balance: Decimal
    remainder: Decimal


class Balances:
    """The table `ledger_balance`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def ingest(self, records: Sequence[Mapping[str, Any]]) -> list[Key]:
        """Store rows of the stream `invoices`, unless older than the known version; return the invoices' keys."""
        keys = [(str(record["connection"]), str(record["id"])) for record in records]
        for batch in batched(records, CHUNK):
            with self._store.begin() as connection:
                _ingest(connection, batch)
        return keys

    def forget_all_but(self, shown: Collection[Key], company: str) -> int:
        """Delete a company's invoices that a complete read did not show; return how many."""
        gone = sorted(set(self.of_company(company)) - set(shown))
        for batch in batched(gone, CHUNK):
            named = tuple_(ledger_balance.c.connection, ledger_balance.c.transaction_id).in_(batch)
            with self._store.begin() as connection:
                connection.execute(delete(ledger_balance).where(named))
                documents.note(connection, company, {key: DELETED for _, key in batch})
        return len(gone)

    def settled_by(self, payments: Iterable[Key]) -> list[Key]:
        """Return the invoices that these payments (connection and payment id) settle, or settled."""
        found: list[Key] = []
        wanted = sorted(set(payments))
        with self._store.read() as connection:
            for batch in batched(wanted, CHUNK):
                named = tuple_(allocation.c.connection, allocation.c.payment_id).in_(batch)
                query = select(allocation.c.connection, allocation.c.transaction_id).where(named)
                found.extend((row[0], row[1]) for row in connection.execute(query))
        return found

    def of_company(self, company: str) -> list[Key]:
        """Return every known invoice of a company."""
        query = select(ledger_balance.c.transaction_id).where(ledger_balance.c.connection == company)
        with self._store.read() as connection:
            return [(company, row[0]) for row in connection.execute(query)]

    def update_remainders(self, invoices: Iterable[Key]) -> None:
        """Compute again what the allocations do not explain of these invoices' balances."""
        wanted = sorted(set(invoices))
        for batch in batched(wanted, CHUNK):
            with self._store.begin() as connection:
                _update_remainders(connection, batch)

    def unexplained(self, company: str) -> list[Remainder]:
        """Return a company's invoices of ours with a remainder, by number."""
        ours = and_(
            posting.c.connection == ledger_balance.c.connection,
            posting.c.external_id == ledger_balance.c.transaction_id,
        )
        columns = (posting.c.number, posting.c.opsmerge_invoice_id, posting.c.external_id)
        amounts = tuple(ledger_balance.c[name] for name in ("currency", "total", "balance", "remainder"))
        query = select(*columns, *amounts).join(ledger_balance, ours)
        query = query.where(ledger_balance.c.connection == company, ledger_balance.c.remainder != ZERO)
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(posting.c.number)).mappings()
            return [Remainder(**row) for row in rows]


def _ingest(connection: Connection, records: Sequence[Mapping[str, Any]]) -> None:
    keys = [(str(record["connection"]), str(record["id"])) for record in records]
    known = _known(connection, keys)
    rows: dict[Key, dict[str, Any]] = {}
    newest: dict[Key, str] = {}
    for key, record in zip(keys, records, strict=True):
        version = allocations.read_version(record)
        if key in known and not version.supersedes(known[key]):
            continue
        known[key] = version
        newest[key] = version.status
        if version.status == DELETED:
            rows.pop(key, None)
            connection.execute(delete(ledger_balance).where(*_is(key)))
        else:
            rows[key] = _row(key, record, version)
    upsert(connection, ledger_balance, list(rows.values()))
    _note_ended(connection, newest)


def _note_ended(connection: Connection, statuses: Mapping[Key, str]) -> None:
    """Store which invoices are voided or deleted now, for the push: it asks QuickBooks only when it has to post."""
    for company in sorted({company for company, _ in statuses}):
        own = {key: status for (whose, key), status in statuses.items() if whose == company}
        documents.note_live(connection, company, [key for key, status in own.items() if status not in ENDED])
        documents.note(connection, company, {key: status for key, status in own.items() if status in ENDED})


def _known(connection: Connection, keys: Sequence[Key]) -> dict[Key, Version]:
    columns = ledger_balance.c
    query = select(columns.connection, columns.transaction_id, columns.sync_token, columns.updated_at)
    rows = connection.execute(query.where(tuple_(columns.connection, columns.transaction_id).in_(keys)))
    return {(row[0], row[1]): Version("live", row[2], row[3]) for row in rows}


def _row(key: Key, record: Mapping[str, Any], version: Version) -> dict[str, Any]:
    return {
        "connection": key[0],
        "transaction_id": key[1],
        "total": _amount(record.get("total_amount")),
        "balance": _amount(record.get("balance")),
        "currency": record.get("currency"),
        "sync_token": version.sync_token,
        "updated_at": version.updated_at,
        "remainder": ZERO,
    }


def _amount(value: Any) -> Decimal:
    """Return an amount in whole pennies; an invalid one counts as 0.00 and shows as a remainder."""
    try:
        amount = Decimal(str(value if value is not None else 0))
    except InvalidOperation:
        return ZERO
    return half_up(amount) if amount.is_finite() else ZERO


def _update_remainders(connection: Connection, keys: Sequence[Key]) -> None:
    columns = ledger_balance.c
    query = select(ledger_balance).where(tuple_(columns.connection, columns.transaction_id).in_(keys))
    paid = _paid(connection, keys)
    for row in connection.execute(query).mappings().all():
        key = (row["connection"], row["transaction_id"])
        remainder = row["total"] - row["balance"] - paid.get(key, ZERO)
        if remainder != row["remainder"]:
            connection.execute(update(ledger_balance).where(*_is(key)).values(remainder=remainder))


def _paid(connection: Connection, keys: Sequence[Key]) -> dict[Key, Decimal]:
    """Return what the payments pay of each invoice now. Summed here: SQLite would add text as floats."""
    named = tuple_(allocation.c.connection, allocation.c.transaction_id).in_(keys)
    query = select(allocation.c.connection, allocation.c.transaction_id, allocation.c.amount).where(named)
    given: dict[Key, Decimal] = {}
    for company, transaction_id, amount in connection.execute(query):
        given[company, transaction_id] = given.get((company, transaction_id), ZERO) + amount
    return given


def _is(key: Key) -> tuple[Any, ...]:
    return ledger_balance.c.connection == key[0], ledger_balance.c.transaction_id == key[1]
