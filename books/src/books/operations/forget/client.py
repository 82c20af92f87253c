"""Who is to be forgotten: from an id or a name to everything under which the client is known here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, func, select

from books.core import money
from books.core.faults import Exit, Halt
from books.store import Store
from books.store.tables_posting import learned, posting

NAME_CHARS_MIN = 4
"""A shorter name would be found in other words; it is erased where it stands as the client's, not in free text."""

ERASED_BEGINS = "[erased"


@dataclass(frozen=True)
class Erased:
    """So many rows or files, where, and what was done to them."""

    place: str
    what: str
    count: int


@dataclass(frozen=True)
class Client:
    """One client of OpsMerge. `customers` are `<realm>:<id>` in QuickBooks, `ledger_ids` invoices likewise."""

    id: str
    names: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()
    invoices: frozenset[str] = frozenset()
    ledger_ids: frozenset[str] = frozenset()
    customers: frozenset[str] = frozenset()
    shared_customers: frozenset[str] = field(default=frozenset())
    """Customers in QuickBooks that other clients are posted to as well: they are left."""

    @property
    def tag(self) -> str:
        """What stands in place of the name."""
        return f"{ERASED_BEGINS} {self.id}]"

    @property
    def texts(self) -> tuple[str, ...]:
        """What gives the client away in free text, longest first."""
        found = {each.strip() for each in (*self.names, *self.emails) if not each.startswith(ERASED_BEGINS)}
        return tuple(
            sorted((each for each in found if len(each) >= NAME_CHARS_MIN), key=lambda each: (-len(each), each))
        )

    def masked(self, text: str) -> str:
        """A free text without the client's names and e-mail addresses."""
        return _pattern(self.texts).sub(self.tag, text) if self.texts else text

    def joined(self, other: Client) -> Client:
        """What two sources know of one client."""
        return Client(
            self.id,
            self.names | other.names,
            self.emails | other.emails,
            self.invoices | other.invoices,
            self.ledger_ids | other.ledger_ids,
            (self.customers | other.customers) - other.shared_customers,
            self.shared_customers | other.shared_customers,
        )


def _pattern(texts: Iterable[str]) -> re.Pattern[str]:
    """Any of these as whole words, in whatever case."""
    return re.compile("|".join(rf"(?<!\w){re.escape(each)}(?!\w)" for each in texts), re.IGNORECASE)


def find(store: Store, wanted: str, others: Mapping[str, Client]) -> Client | None:
    """The client that an id or a name means; None where nothing is known of one.

    `others` are clients of that id or name that another source knows, by id.

    Raises:
        Halt: FAILED; several clients bear the name.
    """
    found = {**{key: Client(key) for key in _ids_in_store(store, wanted)}, **others}
    if wanted in found:
        found = {wanted: found[wanted]}
    if len(found) > 1:
        raise Halt(
            f"{len(found)} clients are called {wanted!r}: {', '.join(sorted(found))}",
            exit_code=Exit.FAILED,
            code="several_clients",
            remedy="give the id of the one that is meant",
        )
    for key, client in found.items():
        return _in_store(store, key).joined(client)
    return None


def _ids_in_store(store: Store, wanted: str) -> set[str]:
    """Ids of clients whose id or name this is, from the invoices that were seen."""
    fits = {wanted.strip().casefold()}
    documents = _documents(store, wanted)
    return {
        str(each["client_id"])
        for each in documents
        if fits & {str(each.get("client_id") or "").casefold(), str(each.get("client_name") or "").strip().casefold()}
    }


def _documents(store: Store, text: str) -> list[dict[str, Any]]:
    """Invoices as last seen that hold a text; the caller looks where."""
    spelt = money.dumps(text.strip().lower())[1:-1]
    query = select(posting.c.record, posting.c.opsmerge_invoice_id, posting.c.realm_id, posting.c.external_id)
    query = query.where(mentions(posting.c.record, spelt))
    with store.read() as conn:
        rows = conn.execute(query).all()
    return [
        {**_read(row.record), "_id": row.opsmerge_invoice_id, "_ledger": _ledger(row)}
        for row in rows
        if _read(row.record).get("client_id")
    ]


def mentions(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Whether a column holds a text in whatever case: at least wherever it does, the caller looks closer.

    SQLite knows the lower case of ASCII letters alone, so any other character stands for any.
    """
    safe = (f"\\{each}" if each in "%_\\" else each for each in text.lower())
    return func.lower(column).like("%" + "".join(each if each.isascii() else "_" for each in safe) + "%", escape="\\")


def _ledger(row: Any) -> str | None:
    return f"{row.realm_id}:{row.external_id}" if row.external_id else None


def _read(record: str) -> dict[str, Any]:
    try:
        document = money.loads(record)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _in_store(store: Store, client_id: str) -> Client:
    mine = [each for each in _documents(store, client_id) if str(each["client_id"]) == client_id]
    lessons = _lessons(store, client_id)
    names = {str(each.get("client_name") or "") for each in mine} | {name for _, name in lessons}
    return Client(
        client_id,
        names=frozenset(filter(None, names)),
        emails=frozenset(str(each["client_email"]) for each in mine if each.get("client_email")),
        invoices=frozenset(str(each["_id"]) for each in mine),
        ledger_ids=frozenset(str(each["_ledger"]) for each in mine if each["_ledger"]),
        customers=frozenset(customer for customer, _ in lessons),
    )


def _lessons(store: Store, client_id: str) -> list[tuple[str, str]]:
    """The client's customer in QuickBooks as we learned it: `<realm>:<id>` and name."""
    query = select(learned).where(learned.c.kind == "customer", learned.c.key == f"client:{client_id}")
    with store.read() as conn:
        rows = conn.execute(query).mappings().all()
    return [
        (f"{_realm(row['connection'])}:{row['ledger_id']}", str(_read(row["detail"]).get("name") or "")) for row in rows
    ]


def _realm(connection: str) -> str:
    return connection.rpartition(":")[2]
