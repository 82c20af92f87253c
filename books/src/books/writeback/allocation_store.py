"""The allocations in the state store: what each QuickBooks payment pays of each invoice, and what OpsMerge shows.

Only the newest version of each payment counts, in whatever order and however often versions arrive.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pendulum
from sqlalchemy import Connection, RowMapping, and_, case, func, select

from books.core.backoff import backoff_seconds
from books.core.batches import batched
from books.core.faults import Fault, Reject
from books.core.money import ZERO
from books.opsmerge.belonging import Ruling
from books.opsmerge.payments import Settlement
from books.store import Store
from books.store.tables_opsmerge import allocation, payment
from books.store.tables_posting import posting
from books.store.upsert import upsert
from books.writeback import allocations
from books.writeback.allocations import DELETED, GONE, Allocation, Payment, Version

CHUNK = 400
"""Keys in one query: below the limit of bound values of every database."""

LEFT = "belongs_to_another"
"""Fault code where nothing was written because the invoice belongs to another connection in OpsMerge."""

RETRY_SECONDS = 300
RETRY_SECONDS_MAX = 3600

Key = tuple[str, str]
"""Connection and payment."""


@dataclass(frozen=True)
class Due:
    """An allocation that may have to be written to OpsMerge. `revision` is of the content read here."""

    connection: str
    """Whose payment it is."""
    payment_id: str
    transaction_id: str
    revision: int
    invoice_id: str
    invoice_number: str | None
    invoice_currency: str | None
    settlement: Settlement
    written_sha256: str | None
    linked_payment_id: str | None
    attempts: int

    @property
    def external_id(self) -> str:
        """Return the external id of the allocation's payment in OpsMerge."""
        return allocations.external_id(self.connection, self.payment_id, self.transaction_id)

    @property
    def wanted(self) -> Settlement | None:
        """Return what OpsMerge is to show; None where the payment pays nothing of the invoice.

        Raises:
            Reject: the payment's currency differs from the invoice's, or neither is known.
        """
        if not self.settlement.amount:
            return None
        currency = self.invoice_currency or self.settlement.currency
        if currency is None or (self.settlement.currency or currency) != currency:
            raise Reject(
                f"payment {self.payment_id} has the currency {self.settlement.currency or '(none)'}, but invoice "
                f"{self.invoice_number or self.invoice_id} has {self.invoice_currency or 'no known currency'}",
                code="currency_differs",
                field="currency",
                remedy="correct the payment in QuickBooks: it settles an invoice in another currency",
            )
        return Settlement(
            self.settlement.amount,
            currency,
            self.settlement.paid_on,
            self.settlement.method,
            self.settlement.reference,
        )


@dataclass(frozen=True)
class WriteResult:
    """The result for one allocation: what OpsMerge shows now, or why it was refused or left."""

    due: Due
    written_sha256: str | None = None
    linked_payment_id: str | None = None
    fault: Fault | None = None
    ruling: Ruling | None = None
    """Why it was left: the invoice belongs to another connection."""


@dataclass
class IntakeResult:
    """The result of storing rows of the payments stream."""

    changed: int = 0
    stale: int = 0
    refused: list[Reject] = field(default_factory=list)


class AllocationStore:
    """The tables `payment` and `allocation`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def ingest(self, records: Sequence[Mapping[str, Any]], run: str) -> IntakeResult:
        """Store rows of the payments stream; versions older than the known one are only marked as seen by this run."""
        result = IntakeResult()
        for part in batched(records, CHUNK):
            with self._store.begin() as connection:
                _Intake(connection, part, run, result).write()
        return result

    def mark_gone(self, company: str, run: str) -> int:
        """Mark payments as gone that a complete read did not show; return how many."""
        with self._store.begin() as connection:
            missing = and_(
                payment.c.connection == company,
                payment.c.seen_run != run,
                payment.c.status.notin_((DELETED, GONE)),
            )
            gone = list(connection.execute(select(payment.c.payment_id).where(missing)).scalars())
            connection.execute(payment.update().where(missing).values(status=GONE))
            for part in batched(gone, CHUNK):
                connection.execute(
                    allocation.update()
                    .where(allocation.c.connection == company, allocation.c.payment_id.in_(part))
                    .where(allocation.c.amount != ZERO)
                    .values(amount=ZERO, revision=allocation.c.revision + 1, **_NEW_TRY)
                )
        return len(gone)

    def resolve(self, company: str) -> int:
        """Find the OpsMerge invoices of allocations that arrived before their posting was known; return how many."""
        found = (
            select(
                allocation, posting.c.opsmerge_invoice_id.label("found_id"), posting.c.currency.label("found_currency")
            )
            .join(
                posting,
                and_(
                    posting.c.connection == allocation.c.connection,
                    posting.c.external_id == allocation.c.transaction_id,
                ),
            )
            .where(allocation.c.connection == company, allocation.c.invoice_currency.is_(None))
        )
        with self._store.begin() as connection:
            rows = connection.execute(found).mappings().all()
            for row in rows:
                connection.execute(_resolved(row))
        return len(rows)

    def has_due(self, company: str) -> bool:
        """Return whether any allocation of a company is to be written, now or later."""
        query = select(allocation.c.due).where(
            allocation.c.connection == company, allocation.c.due, allocation.c.opsmerge_invoice_id.is_not(None)
        )
        with self._store.read() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def due(self, company: str) -> list[Due]:
        """Return a company's allocations to write now, in a fixed order.

        One that was refused lately waits, unless another one of the same invoice is due: that may free its amount.
        """
        with self._store.read() as connection:
            ripe = _ripe(allocation, self._store.now(connection))
            ours = allocation.c.connection == company
            touched = select(allocation.c.opsmerge_invoice_id).where(ours, allocation.c.due, ripe)
            query = (
                select(allocation)
                .where(ours, allocation.c.due, allocation.c.opsmerge_invoice_id.in_(touched))
                .order_by(allocation.c.payment_id, allocation.c.transaction_id)
            )
            rows = connection.execute(query).mappings().all()
        return [_due(row) for row in rows]

    def record(self, results: Sequence[WriteResult]) -> None:
        """Record the results of allocations. One that changed meanwhile stays due."""
        if not results:
            return
        with self._store.begin() as connection:
            now = self._store.now(connection)
            for each in results:
                connection.execute(_recorded(each, now))

    def count_unknown_invoices(self, company: str) -> int:
        """Return how many allocations are to invoices that this bridge did not post: stored, but never written."""
        query = (
            select(func.count())
            .select_from(allocation)
            .where(allocation.c.connection == company)
            .where(allocation.c.opsmerge_invoice_id.is_(None), allocation.c.amount != ZERO)
        )
        with self._store.read() as connection:
            return int(connection.execute(query).scalar_one())


class _Intake:
    """One chunk of rows, compared with what is stored, in one transaction."""

    def __init__(
        self, connection: Connection, records: Sequence[Mapping[str, Any]], run: str, result: IntakeResult
    ) -> None:
        self._connection = connection
        self._run = run
        self._result = result
        keys = {(str(record["connection"]), str(record["id"])) for record in records}
        self._versions = _versions(connection, keys)
        self._rows = _allocation_rows(connection, keys)
        self._payments: dict[Key, dict[str, Any]] = {}
        self._changed: dict[tuple[str, str, str], dict[str, Any]] = {}
        for record in records:
            self._ingest(record)

    def write(self) -> None:
        """Write the rows that changed."""
        upsert(self._connection, payment, list(self._payments.values()))
        upsert(self._connection, allocation, list(self._changed.values()))

    def _ingest(self, record: Mapping[str, Any]) -> None:
        key = (str(record["connection"]), str(record["id"]))
        version = allocations.read_version(record)
        known = self._versions.get(key)
        if known and not version.supersedes(known):
            self._result.stale += 1
            self._note(key, known, None)
            return
        try:
            self._apply(key, allocations.read_payment(record))
            self._note(key, _with_token(version, known), None)
        except Reject as fault:
            self._result.refused.append(fault)
            self._note(key, version, fault.message)

    def _note(self, key: Key, version: Version, fault: str | None) -> None:
        self._versions[key] = version
        self._payments[key] = {
            "connection": key[0],
            "payment_id": key[1],
            "status": version.status,
            "sync_token": version.sync_token,
            "updated_at": version.updated_at,
            "seen_run": self._run,
            "fault_message": fault,
        }

    def _apply(self, key: Key, read: Payment) -> None:
        rows = self._rows[key]
        wanted = {each.transaction_id: each for each in read.allocations}
        changed = False
        for transaction_id in {**rows, **wanted}:
            row = rows.get(transaction_id)
            content = _content(wanted.get(transaction_id), row)
            if row is None or any(row[name] != value for name, value in content.items()):
                rows[transaction_id] = self._change(key, transaction_id, row, content)
                changed = True
        self._result.changed += changed

    def _change(
        self, key: Key, transaction_id: str, row: Mapping[str, Any] | None, content: Mapping[str, Any]
    ) -> dict[str, Any]:
        changed = {
            "connection": key[0],
            "payment_id": key[1],
            "transaction_id": transaction_id,
            **content,
            "revision": 1 if row is None else row["revision"] + 1,
            **_NEW_TRY,
        }
        self._changed[(*key, transaction_id)] = changed
        return changed


_NEW_TRY: Mapping[str, Any] = {
    "due": True,
    "attempts": 0,
    "next_attempt_at": None,
    "fault_code": None,
    "fault_message": None,
    "remedy": None,
}
"""The columns that a change of content resets: the next run tries again."""


def _with_token(version: Version, known: Version | None) -> Version:
    """Return the version; a deletion comes without one, so it keeps the last known."""
    if version.sync_token >= 0 or known is None:
        return version
    return Version(version.status, known.sync_token, version.updated_at or known.updated_at)


def _content(wanted: Allocation | None, row: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the columns that a payment's row decides. An invoice that was found once is kept."""
    if wanted is None:
        assert row is not None  # noqa: S101 -- the key came from one of the two
        return {name: row[name] for name in _CONTENT} | {"amount": ZERO}
    settlement = wanted.settlement
    return {
        "amount": settlement.amount,
        "currency": settlement.currency,
        "paid_on": settlement.paid_on,
        "method": settlement.method,
        "reference": settlement.reference,
        "invoice_number": wanted.invoice_number or (row["invoice_number"] if row else None),
        "opsmerge_invoice_id": wanted.opsmerge_invoice_id or (row["opsmerge_invoice_id"] if row else None),
    }


_CONTENT = ("amount", "currency", "paid_on", "method", "reference", "invoice_number", "opsmerge_invoice_id")


def _versions(connection: Connection, keys: Iterable[Key]) -> dict[Key, Version]:
    found: dict[Key, Version] = {}
    for company, ids in _by_company(keys):
        query = select(payment).where(payment.c.connection == company, payment.c.payment_id.in_(ids)).with_for_update()
        for row in connection.execute(query).mappings():
            found[company, row["payment_id"]] = Version(row["status"], row["sync_token"], row["updated_at"])
    return found


def _allocation_rows(connection: Connection, keys: Iterable[Key]) -> dict[Key, dict[str, Mapping[str, Any]]]:
    found: dict[Key, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for company, ids in _by_company(keys):
        query = select(allocation).where(allocation.c.connection == company, allocation.c.payment_id.in_(ids))
        for row in connection.execute(query.with_for_update()).mappings():
            found[company, row["payment_id"]][row["transaction_id"]] = dict(row)
    return found


def _by_company(keys: Iterable[Key]) -> Iterator[tuple[str, Sequence[str]]]:
    companies: dict[str, list[str]] = defaultdict(list)
    for company, payment_id in sorted(keys):
        companies[company].append(payment_id)
    for company, ids in companies.items():
        for part in batched(ids, CHUNK):
            yield company, part


def _ripe(table: Any, now: pendulum.DateTime) -> Any:
    """Return the condition that a row was not refused lately."""
    return table.c.next_attempt_at.is_(None) | (table.c.next_attempt_at <= now)


def _resolved(row: RowMapping) -> Any:
    """Return the update of an allocation whose posting is known now; it is due if its amount is not 0.00."""
    return (
        allocation.update()
        .where(*_is(row["connection"], row["payment_id"], row["transaction_id"]))
        .values(
            opsmerge_invoice_id=row["opsmerge_invoice_id"] or row["found_id"],
            invoice_currency=row["found_currency"],
            revision=allocation.c.revision + 1,
            due=allocation.c.due | (allocation.c.amount != ZERO),
        )
    )


def _is(company: str, payment_id: str, transaction_id: str) -> tuple[Any, ...]:
    return (
        allocation.c.connection == company,
        allocation.c.payment_id == payment_id,
        allocation.c.transaction_id == transaction_id,
    )


def _due(row: RowMapping) -> Due:
    return Due(
        connection=row["connection"],
        payment_id=row["payment_id"],
        transaction_id=row["transaction_id"],
        revision=row["revision"],
        invoice_id=row["opsmerge_invoice_id"],
        invoice_number=row["invoice_number"],
        invoice_currency=row["invoice_currency"],
        settlement=Settlement(row["amount"], row["currency"], row["paid_on"], row["method"], row["reference"]),
        written_sha256=row["written_sha256"],
        linked_payment_id=row["linked_payment_id"],
        attempts=row["attempts"],
    )


def _recorded(result: WriteResult, now: pendulum.DateTime) -> Any:
    due = result.due
    unchanged = allocation.c.revision == due.revision
    update = allocation.update().where(*_is(due.connection, due.payment_id, due.transaction_id))
    if result.fault:
        return update.values(**refusal(result.fault, due.attempts + 1, now))
    if result.ruling:
        left = {"fault_code": LEFT, "fault_message": result.ruling.why, "remedy": result.ruling.remedy}
        return update.values(**{**_NEW_TRY, **left, "due": case((unchanged, False), else_=True)})
    return update.values(
        written_sha256=result.written_sha256,
        linked_payment_id=result.linked_payment_id,
        **{**_NEW_TRY, "due": case((unchanged, False), else_=True)},
    )


def refusal(fault: Fault, attempts: int, now: pendulum.DateTime) -> dict[str, Any]:
    """Return the columns of a refused try: why, what to do, and when to try again (after 5 minutes up to 1 hour)."""
    wait_seconds = backoff_seconds(attempts, first=RETRY_SECONDS, seconds_max=RETRY_SECONDS_MAX)
    return {
        "attempts": attempts,
        "next_attempt_at": now.add(seconds=wait_seconds),
        "fault_code": fault.code[:64],
        "fault_message": fault.message,
        "remedy": fault.remedy,
    }
