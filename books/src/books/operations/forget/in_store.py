"""Erase a client in the state store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, Text, and_, func, or_, select

from books.core import money
from books.core.batches import batched
from books.operations.forget.client import ClientData, Erased, mentions
from books.posting.postings import DISCONNECTED, GONE, Outcome
from books.store import Store
from books.store.schema import load_tables
from books.store.tables_infra import token
from books.store.tables_opsmerge import accounting_block, allocation, opsmerge_payment, payment
from books.store.tables_posting import attempt, learned, posting

IDS_MAX = 400
"""Bound values in one query."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class StoreRule:
    """Which rows of one table are the client's, and their new values; `change` is None where the row is deleted."""

    table: Table
    what: str
    whose: Callable[[ClientData], ColumnElement[bool]]
    change: Callable[[Row, ClientData], dict[str, Any]] | None


def _in(column: Any, values: frozenset[str]) -> ColumnElement[bool]:
    """Return the condition that a column holds one of these values, in batches that every database accepts."""
    ordered = sorted(values) or [""]
    return or_(*(column.in_(batch) for batch in batched(ordered, IDS_MAX)))


def _invoices_of(table: Table) -> Callable[[ClientData], ColumnElement[bool]]:
    return lambda client: _in(table.c.opsmerge_invoice_id, client.invoices)


def _emptied(*columns: str) -> Callable[[Row, ClientData], dict[str, Any]]:
    return lambda _row, _client: dict.fromkeys(columns)


_STILL_NEEDED = or_(
    posting.c.outcome == Outcome.UNKNOWN.value,
    func.coalesce(posting.c.fault_code, "") == DISCONNECTED,
    posting.c.retry,
)
"""Postings whose record is still to be sent or compared: erasing it now could put a wrong invoice into the books."""

_IN_THE_BOOKS = or_(posting.c.external_id.is_not(None), func.coalesce(posting.c.fault_code, "") == GONE)
"""Any other posting was never in the books, and a push would send its record: an erased record must not be sent."""


KEPT_OF_A_RECORD = (
    "id", "number", "status", "issue_date", "due_date", "currency", "client_id", "subtotal", "tax_total", "total",
    "accounting_excluded", "updated_at",
)  # fmt: skip
KEPT_OF_A_LINE = (
    "id", "position", "quantity", "unit_price", "service_id", "service_name", "tax_code_id", "tax_code_name",
    "tax_rate", "net_amount", "tax_amount",
)  # fmt: skip


def _without_personal_data(row: Row, client: ClientData) -> dict[str, Any]:
    """Return the posting's columns without name, address and descriptions; numbers, dates, ids and amounts stay."""
    document = money.loads(row["record"])
    kept = {name: document[name] for name in KEPT_OF_A_RECORD if name in document}
    lines = [{name: line[name] for name in KEPT_OF_A_LINE if name in line} for line in document.get("lines") or ()]
    record = money.dumps({**kept, "client_name": client.tag, "lines": lines, "erased": True})
    return {"record": record, "body": None, "fault_message": None}


def _looked_up_customer(client: ClientData) -> ColumnElement[bool]:
    """Return the condition for the client's customer as it was looked up, under whichever key."""
    keys = {f"client:{client.id}", *(f"name:{name.casefold()}" for name in client.names)}
    theirs = [
        and_(learned.c.connection.endswith(f":{realm}"), learned.c.ledger_id == identifier)
        for realm, _, identifier in (each.partition(":") for each in client.customers)
    ]
    return and_(learned.c.kind == "customer", or_(_in(learned.c.key, frozenset(keys)), *theirs))


def _payments(client: ClientData) -> ColumnElement[bool]:
    """Return the condition for payments that settle an invoice of the client."""
    theirs = select(allocation.c.payment_id).where(
        allocation.c.connection == payment.c.connection,
        allocation.c.payment_id == payment.c.payment_id,
        _in(allocation.c.opsmerge_invoice_id, client.invoices),
    )
    return theirs.exists()


ERASED: tuple[StoreRule, ...] = (
    StoreRule(
        posting,
        "invoices in the books: name, e-mail, address, descriptions, the bytes sent; number, ids, amounts, dates stay",
        lambda client: and_(_invoices_of(posting)(client), _IN_THE_BOOKS, ~_STILL_NEEDED),
        _without_personal_data,
    ),
    StoreRule(
        posting,
        "invoices that were never in the books: the rows",
        lambda client: and_(_invoices_of(posting)(client), ~_IN_THE_BOOKS, ~_STILL_NEEDED),
        None,
    ),
    StoreRule(learned, "the customer in QuickBooks as it was looked up: the rows", _looked_up_customer, None),
    StoreRule(
        accounting_block,
        "accounting blocks of their invoices: error texts",
        _invoices_of(accounting_block),
        _emptied("error", "fault_message", "remedy"),
    ),
    StoreRule(
        allocation,
        "payments of their invoices: bank references and error texts",
        _invoices_of(allocation),
        _emptied("reference", "fault_message", "remedy"),
    ),
    StoreRule(payment, "their payments: error texts", _payments, _emptied("fault_message")),
    StoreRule(
        opsmerge_payment,
        "payments as OpsMerge shows them: references",
        lambda client: _in(opsmerge_payment.c.invoice_id, client.invoices),
        _emptied("reference"),
    ),
)
"""Everything in the store that is a client's. A new table with personal data is a new line here.

Afterwards every free text of every table, except `NOT_SEARCHED`, is searched for the client's names and e-mail
addresses, so that they are masked in other clients' error texts too.
"""

NOT_SEARCHED = frozenset({(posting.name, "record"), (posting.name, "body"), (learned.name, "detail")})
"""Other clients' own data, which is compared and sent: it must never change."""


class _DryRunError(Exception):
    """Rolls a dry run back."""


def erase(store: Store, client: ClientData, *, act: bool) -> list[Erased]:
    """Erase, or without `act` count what would be erased."""
    found: list[Erased] = []
    with suppress(_DryRunError), store.begin() as conn:
        found += [Erased(f"store, {each.table.name}", each.what, _apply(store, conn, each, client)) for each in ERASED]
        found.extend(_search(store, conn, client))
        if not act:
            raise _DryRunError
    if act and any(each.count for each in found):
        store.purge()
    return [each for each in found if each.count]


def still_needed(store: Store, client: ClientData) -> list[str]:
    """Return the numbers of the invoices that cannot be erased yet."""
    query = select(posting.c.number).where(_in(posting.c.opsmerge_invoice_id, client.invoices), _STILL_NEEDED)
    with store.read() as conn:
        return sorted(conn.execute(query).scalars())


def _apply(store: Store, conn: Connection, rule: StoreRule, client: ClientData) -> int:
    """Apply a rule to the client's rows; return how many were changed or deleted."""
    table, count = rule.table, 0
    for row in _rows(conn, table, rule.whose(client)):
        if rule.change is not None:
            count += _update(store, conn, table, row, rule.change(row, client))
            continue
        if table is posting:
            same = [attempt.c[name] == row[name] for name in ("connection", "opsmerge_invoice_id")]
            conn.execute(attempt.delete().where(*same))
        conn.execute(table.delete().where(_key(table, row)))
        count += 1
    return count


def _update(store: Store, conn: Connection, table: Table, row: Row, changes: dict[str, Any]) -> bool:
    """Write what differs from the row; return whether anything does.

    A posting also gets a new `seq`, so that a push that read the row before cannot claim it.
    """
    changes = {name: value for name, value in changes.items() if row[name] != value}
    if not changes:
        return False
    if table is posting:
        changes["seq"] = store.next_seq(conn)
    conn.execute(table.update().where(_key(table, row)).values(**changes))
    return True


def _rows(conn: Connection, table: Table, where: ColumnElement[bool]) -> list[Row]:
    return [dict(row) for row in conn.execute(select(table).where(where)).mappings()]


def _key(table: Table, row: Row) -> ColumnElement[bool]:
    return and_(*(column == row[column.name] for column in table.primary_key))


def _search(store: Store, conn: Connection, client: ClientData) -> Iterator[Erased]:
    """Mask the client's names and e-mail addresses in the free text of every table; yield the counts."""
    for table in load_tables().sorted_tables if client.texts else ():
        columns = [column for column in table.c if _is_free_text(table, column)]
        if not columns:
            continue
        hits = or_(*(mentions(column, text) for column in columns for text in client.texts))
        count = 0
        for row in _rows(conn, table, hits):
            masked = {column.name: client.masked(row[column.name]) for column in columns if row[column.name]}
            count += _update(store, conn, table, row, masked)
        yield Erased(f"store, {table.name}", "the name or e-mail address in free text", count)


def _is_free_text(table: Table, column: Any) -> bool:
    is_searched = (table.name, column.name) not in NOT_SEARCHED and table is not token
    return is_searched and isinstance(column.type, Text) and not column.primary_key
