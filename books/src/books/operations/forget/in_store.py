"""Erasing in the state store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, Text, and_, func, or_, select

from books.core import money
from books.core.batches import batched
from books.operations.forget.client import Client, Erased, mentions
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
class Erasure:
    """Rows of one table that are the client's, and what becomes of them: other values, or None where the row goes."""

    table: Table
    what: str
    whose: Callable[[Client], ColumnElement[bool]]
    change: Callable[[Row, Client], dict[str, Any]] | None


def _in(column: Any, values: frozenset[str]) -> ColumnElement[bool]:
    """Membership, in slices that every database takes."""
    ordered = sorted(values) or [""]
    return or_(*(column.in_(batch) for batch in batched(ordered, IDS_MAX)))


def _invoices_of(table: Table) -> Callable[[Client], ColumnElement[bool]]:
    return lambda client: _in(table.c.opsmerge_invoice_id, client.invoices)


def _emptied(*columns: str) -> Callable[[Row, Client], dict[str, Any]]:
    return lambda _row, _client: dict.fromkeys(columns)


_STILL_NEEDED = or_(
    posting.c.outcome == Outcome.UNKNOWN.value,
    func.coalesce(posting.c.fault_code, "") == DISCONNECTED,
    posting.c.retry,
)
"""Postings whose record has yet to be sent or compared: erasing it now could put a wrong invoice into the books."""

_IN_THE_BOOKS = or_(posting.c.external_id.is_not(None), func.coalesce(posting.c.fault_code, "") == GONE)
"""Anything else was never there, and a push would send it from its record: an erased record must not be sent."""


def _never_posted(client: Client) -> ColumnElement[bool]:
    return and_(_in(posting.c.opsmerge_invoice_id, client.invoices), ~_IN_THE_BOOKS, ~_STILL_NEEDED)


def _posted(client: Client) -> ColumnElement[bool]:
    return and_(_in(posting.c.opsmerge_invoice_id, client.invoices), _IN_THE_BOOKS, ~_STILL_NEEDED)


def _without_the_person(row: Row, client: Client) -> dict[str, Any]:
    """The posting without name, address and descriptions; numbers, dates, ids and amounts stay."""
    return {"record": _bare(row["record"], client), "body": None, "fault_message": None}


KEPT_OF_A_RECORD = (
    "id", "number", "status", "issue_date", "due_date", "currency", "client_id", "subtotal", "tax_total", "total",
    "accounting_excluded", "updated_at",
)  # fmt: skip
KEPT_OF_A_LINE = (
    "id", "position", "quantity", "unit_price", "service_id", "service_name", "tax_code_id", "tax_code_name",
    "tax_rate", "net_amount", "tax_amount",
)  # fmt: skip


def _bare(record: str, client: Client) -> str:
    document = money.loads(record)
    lines = document.get("lines")
    kept = {name: document[name] for name in KEPT_OF_A_RECORD if name in document}
    bare = [{name: line[name] for name in KEPT_OF_A_LINE if name in line} for line in lines] if lines else []
    return money.dumps({**kept, "client_name": client.tag, "lines": bare, "erased": True})


def _customer_lessons(client: Client) -> ColumnElement[bool]:
    """What was learned of the client's customer, under whichever key."""
    keys = {f"client:{client.id}", *(f"name:{name.casefold()}" for name in client.names)}
    theirs = [
        and_(learned.c.connection.endswith(f":{realm}"), learned.c.ledger_id == identifier)
        for realm, _, identifier in (each.partition(":") for each in client.customers)
    ]
    return and_(learned.c.kind == "customer", or_(_in(learned.c.key, frozenset(keys)), *theirs))


def _payments(client: Client) -> ColumnElement[bool]:
    """Payments that settle an invoice of the client."""
    theirs = select(allocation.c.payment_id).where(
        allocation.c.realm_id == payment.c.realm_id,
        allocation.c.payment_id == payment.c.payment_id,
        _in(allocation.c.opsmerge_invoice_id, client.invoices),
    )
    return theirs.exists()


ERASED: tuple[Erasure, ...] = (
    Erasure(
        posting,
        "invoices in the books: name, e-mail, address, descriptions, the bytes sent; number, ids, amounts, dates stay",
        _posted,
        _without_the_person,
    ),
    Erasure(posting, "invoices that never got into the books: the rows", _never_posted, None),
    Erasure(learned, "the customer in QuickBooks as it was looked up: the rows", _customer_lessons, None),
    Erasure(
        accounting_block,
        "what OpsMerge was told of them: error texts",
        _invoices_of(accounting_block),
        _emptied("error", "fault_message", "remedy"),
    ),
    Erasure(
        allocation,
        "payments of their invoices: bank references and error texts",
        _invoices_of(allocation),
        _emptied("reference", "fault_message", "remedy"),
    ),
    Erasure(payment, "their payments: error texts", _payments, _emptied("fault_message")),
    Erasure(
        opsmerge_payment,
        "payments as OpsMerge shows them: references",
        lambda client: _in(opsmerge_payment.c.invoice_id, client.invoices),
        _emptied("reference"),
    ),
)
"""Everything in the store that is a client's. A new table with personal data is a new line here.

After these, every free text of every table is searched for the client's names and e-mail addresses (`NOT_SEARCHED`
apart), so that what others say of them is masked too.
"""

NOT_SEARCHED = frozenset({(posting.name, "record"), (posting.name, "body"), (learned.name, "detail")})
"""Other clients' own data, which is compared and sent: a word in it must never change."""


class _DryRunError(Exception):
    """Takes back what a dry run did."""


def erase(store: Store, client: Client, *, act: bool) -> list[Erased]:
    """Erase, or count what would be."""
    found: list[Erased] = []
    with suppress(_DryRunError), store.begin() as conn:
        for erasure in ERASED:
            count = sum(1 for _ in _apply(store, conn, erasure, client))
            found.append(Erased(f"store, {erasure.table.name}", erasure.what, count))
        found.extend(_search(store, conn, client))
        if not act:
            raise _DryRunError
    if act and any(each.count for each in found):
        store.purge()
    return [each for each in found if each.count]


def still_needed(store: Store, client: Client) -> list[str]:
    """Numbers of invoices that cannot be erased yet."""
    query = select(posting.c.number).where(_in(posting.c.opsmerge_invoice_id, client.invoices), _STILL_NEEDED)
    with store.read() as conn:
        return sorted(conn.execute(query).scalars())


def _apply(store: Store, conn: Connection, erasure: Erasure, client: Client) -> Iterator[Row]:
    table = erasure.table
    for row in _rows(conn, table, erasure.whose(client)):
        key = _key(table, row)
        if erasure.change is None:
            if table is posting:
                conn.execute(attempt.delete().where(*_same_invoice(row)))
            conn.execute(table.delete().where(key))
            yield row
        elif changes := {name: value for name, value in erasure.change(row, client).items() if row[name] != value}:
            conn.execute(table.update().where(key).values(**_numbered(store, conn, table, changes)))
            yield row


def _numbered(store: Store, conn: Connection, table: Table, changes: dict[str, Any]) -> dict[str, Any]:
    """A posting's change gets a number: a push that read the row before finds its claim refused."""
    return {**changes, "seq": store.next_seq(conn)} if table is posting else changes


def _same_invoice(row: Row) -> tuple[ColumnElement[bool], ...]:
    return (
        attempt.c.connection == row["connection"],
        attempt.c.opsmerge_invoice_id == row["opsmerge_invoice_id"],
    )


def _rows(conn: Connection, table: Table, where: ColumnElement[bool]) -> list[Row]:
    return [dict(row) for row in conn.execute(select(table).where(where)).mappings()]


def _key(table: Table, row: Row) -> ColumnElement[bool]:
    return and_(*(column == row[column.name] for column in table.primary_key))


def _search(store: Store, conn: Connection, client: Client) -> Iterator[Erased]:
    """The client's names and addresses in free text, wherever it is."""
    for table in load_tables().sorted_tables:
        columns = [column for column in table.c if _is_free_text(table, column)]
        if not columns or not client.texts:
            continue
        count = sum(
            _mask(store, conn, table, row, columns, client) for row in _mentioning(conn, table, columns, client)
        )
        yield Erased(f"store, {table.name}", "the name or e-mail address in free text", count)


def _is_free_text(table: Table, column: Any) -> bool:
    searched = (table.name, column.name) not in NOT_SEARCHED and table is not token
    return searched and isinstance(column.type, Text) and not column.primary_key


def _mentioning(conn: Connection, table: Table, columns: list[Any], client: Client) -> list[Row]:
    hits = [mentions(column, text) for column in columns for text in client.texts]
    return _rows(conn, table, or_(*hits))


def _mask(store: Store, conn: Connection, table: Table, row: Row, columns: list[Any], client: Client) -> bool:
    masked = {column.name: client.masked(row[column.name]) for column in columns if row[column.name]}
    changes = {name: text for name, text in masked.items() if text != row[name]}
    if changes:
        conn.execute(table.update().where(_key(table, row)).values(**_numbered(store, conn, table, changes)))
    return bool(changes)
