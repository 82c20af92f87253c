"""Find a client from an id or a name, with everything under which the client is known here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select

from books.core import money
from books.core.faults import Exit, Halt
from books.store import Store
from books.store.tables_posting import learned, posting

NAME_CHARS_MIN = 4
"""A shorter name would be found in other words; it is erased in the client's own columns, not in free text."""

ERASED_BEGINS = "[erased"


@dataclass(frozen=True)
class Erased:
    """How many rows or files, where, and what was done to them."""

    place: str
    what: str
    count: int


@dataclass(frozen=True)
class ClientData:
    """What identifies a client in our data. `customers` and `ledger_ids` (of invoices) are `<realm>:<id>`."""

    id: str
    names: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()
    invoices: frozenset[str] = frozenset()
    ledger_ids: frozenset[str] = frozenset()
    customers: frozenset[str] = frozenset()
    shared_customers: frozenset[str] = frozenset()
    """Customers in QuickBooks that other clients' invoices are posted to as well: they are not erased."""

    @property
    def tag(self) -> str:
        """Return what replaces the name."""
        return f"{ERASED_BEGINS} {self.id}]"

    @property
    def texts(self) -> tuple[str, ...]:
        """Return the names and e-mail addresses to search free text for, longest first."""
        found = {each.strip() for each in (*self.names, *self.emails) if not each.startswith(ERASED_BEGINS)}
        return tuple(
            sorted((each for each in found if len(each) >= NAME_CHARS_MIN), key=lambda each: (-len(each), each))
        )

    def masked(self, text: str) -> str:
        """Return a text with the client's names and e-mail addresses replaced, as whole words, in any case."""
        if not self.texts:
            return text
        pattern = "|".join(rf"(?<!\w){re.escape(each)}(?!\w)" for each in self.texts)
        return re.sub(pattern, self.tag, text, flags=re.IGNORECASE)

    def joined(self, other: ClientData) -> ClientData:
        """Return what two sources know of one client."""
        return ClientData(
            self.id,
            self.names | other.names,
            self.emails | other.emails,
            self.invoices | other.invoices,
            self.ledger_ids | other.ledger_ids,
            (self.customers | other.customers) - other.shared_customers,
            self.shared_customers | other.shared_customers,
        )


def find(store: Store, wanted: str, others: Mapping[str, ClientData]) -> ClientData | None:
    """Return the client that an id or a name means; None where nothing is known of one.

    `others` are clients of that id or name that another source knows, by id.

    Raises:
        Halt: FAILED; several clients have the name.
    """
    text = wanted.strip().casefold()
    found = dict(others)
    for each in _invoices(store, wanted):
        key = str(each["client_id"])
        if text in (key.casefold(), str(each.get("client_name") or "").strip().casefold()):
            found.setdefault(key, ClientData(key))
    if wanted in found:
        found = {wanted: found[wanted]}
    if len(found) > 1:
        raise Halt(
            f"{len(found)} clients are called {wanted!r}: {', '.join(sorted(found))}",
            exit_code=Exit.FAILED,
            code="several_clients",
            remedy="give the id of the one you mean: `books forget --client ID`",
        )
    return next((_in_store(store, key).joined(client) for key, client in found.items()), None)


def _in_store(store: Store, client_id: str) -> ClientData:
    """Return what the store knows of a client: from its invoices as last seen, and its customer as looked up."""
    mine = [each for each in _invoices(store, client_id) if str(each["client_id"]) == client_id]
    query = select(learned).where(learned.c.kind == "customer", learned.c.key == f"client:{client_id}")
    with store.read() as conn:
        customers = {
            f"{row['connection'].rpartition(':')[2]}:{row['ledger_id']}": str(_read(row["detail"]).get("name") or "")
            for row in conn.execute(query).mappings()
        }
    names = {str(each.get("client_name") or "") for each in mine} | set(customers.values())
    return ClientData(
        client_id,
        names=frozenset(filter(None, names)),
        emails=frozenset(str(each["client_email"]) for each in mine if each.get("client_email")),
        invoices=frozenset(str(each["_id"]) for each in mine),
        ledger_ids=frozenset(each["_ledger"] for each in mine if each["_ledger"]),
        customers=frozenset(customers),
    )


def _invoices(store: Store, text: str) -> list[dict[str, Any]]:
    """Return the invoices as last seen whose record contains a text; the caller checks in which field."""
    escaped = money.dumps(text.strip().lower())[1:-1]
    query = select(posting.c.record, posting.c.opsmerge_invoice_id, posting.c.company_id, posting.c.external_id)
    with store.read() as conn:
        rows = conn.execute(query.where(mentions(posting.c.record, escaped))).all()
    found = []
    for row in rows:
        ledger_id = f"{row.company_id}:{row.external_id}" if row.external_id else None
        invoice = {**_read(row.record), "_id": row.opsmerge_invoice_id, "_ledger": ledger_id}
        if invoice.get("client_id"):
            found.append(invoice)
    return found


def mentions(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Return a condition that holds at least wherever a column contains a text in any case; the caller checks.

    SQLite knows the lower case of ASCII letters only, so any other character matches any character.
    """
    safe = (f"\\{each}" if each in "%_\\" else each for each in text.lower())
    return func.lower(column).like("%" + "".join(each if each.isascii() else "_" for each in safe) + "%", escape="\\")


def _read(record: str) -> dict[str, Any]:
    try:
        document = money.loads(record)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
