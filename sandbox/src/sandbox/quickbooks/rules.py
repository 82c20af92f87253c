"""Rules for every entity: required values, references, sync tokens, closed periods, full and sparse update."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sandbox.quickbooks import faults
from sandbox.quickbooks.books import Books, Document, reference, row_id

IDENTITY = ("Id", "SyncToken", "MetaData", "domain")


def required(body: Document, name: str) -> Any:
    """Return the value of a property that must be there.

    Raises:
        ApiFault: 2020.
    """
    if body.get(name) in (None, "", []):
        raise faults.missing(name)
    return body[name]


def required_reference(body: Document, name: str) -> str:
    """Return the id of a reference that must be there.

    Raises:
        ApiFault: 2020.
    """
    value = reference(body, name)
    if value is None:
        raise faults.missing(name)
    return value


def referred(books: Books, entity: str, object_id: str, element: str) -> Document:
    """Return the live, active object that a reference names.

    Raises:
        ApiFault: 2500 where there is none; 2500 or 610 (a switch) where it is inactive.
    """
    document = books.get(entity, object_id)
    if document is None:
        raise faults.bad_reference(entity, object_id, element)
    if document.get("Active") is False:
        inactive = books.switches.inactive_reference
        raise faults.not_found() if inactive == "610" else faults.bad_reference(entity, object_id, element)
    return document


def current(books: Books, entity: str, body: Document) -> Document:
    """Return the stored object that an update, void or delete refers to, after checking its sync token.

    Raises:
        ApiFault: 2020 without Id or SyncToken, 2030 for an Id that is none, 610 unknown, 5010 stale.
    """
    object_id = str(required(body, "Id"))
    token = str(required(body, "SyncToken"))
    if row_id(object_id) is None:
        raise faults.bad_id(object_id[:60])
    document = books.need(entity, object_id)
    if token != document["SyncToken"]:
        raise faults.stale()
    return document


def merged(stored: Document, body: Document, *, sparse: bool, kept: Collection[str]) -> Document:
    """Return the new object: sent properties over all stored ones (sparse), or only over the read-only `kept`."""
    base = stored if sparse else {name: stored[name] for name in (*IDENTITY, *kept) if name in stored}
    sent = {name: value for name, value in body.items() if name not in (*IDENTITY, *kept)}
    return {**base, **sent, "sparse": False}


def check_period(books: Books, day: str, *, changing: bool = False) -> None:
    """Refuse what lies on or before the closing date.

    Raises:
        ApiFault: 6210 for something new, 6200 for a change.
    """
    closed = books.company.BookCloseDate
    if closed and day <= closed:
        raise faults.closed_period(closed) if changing else faults.closed_books(closed)


def check_subscription(books: Books) -> None:
    """Refuse writes once the subscription has ended.

    Raises:
        ApiFault: 6190.
    """
    if not books.company.Subscribed:
        raise faults.subscription_ended()
