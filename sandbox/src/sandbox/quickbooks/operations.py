"""The one way into the books: every write, from the API, a batch, a seed or a deed, is one of these operations."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from sandbox.quickbooks import faults, rules, shape
from sandbox.quickbooks.books import Books, Document
from sandbox.quickbooks.entities import deposits, lists, names, payments, sales
from sandbox.quickbooks.schema import ENTITIES, NAME_ENTITIES

OPERATIONS = frozenset({"create", "update", "delete", "void"})
Update = Callable[[Books, Document, bool, Collection[str]], Document]
Write = Callable[[Books, Document, Collection[str]], Document]


def write(books: Books, entity: str, operation: str, body: Any, options: Collection[str] = ()) -> Document:
    """Carry out one operation; nothing is kept when it fails.

    `options` are what `include=` or a batch's `optionsData` may hold: `allowduplicatedocnum`, `void`.

    Raises:
        ApiFault: refused.
    """
    if entity not in ENTITIES or operation not in ENTITIES[entity].operations or operation not in OPERATIONS:
        raise faults.unsupported(operation)
    rules.check_subscription(books)
    sent = shape.check(entity, body, lenient=books.switches.unknown_properties == "ignore")
    changed = len(books.changed)
    try:
        with books.db.transaction():
            return _dispatch(books, entity, operation, body, sent, options)
    except BaseException:
        del books.changed[changed:]
        raise


def save(books: Books, entity: str, body: Any, options: Collection[str] = ()) -> Document:
    """Run `POST /{entity}`: create without Id, update with it.

    Raises:
        ApiFault: refused.
    """
    has_id = isinstance(body, dict) and body.get("Id") not in (None, "")
    return write(books, entity, "update" if has_id else "create", body, options)


def _dispatch(
    books: Books, entity: str, operation: str, body: Document, sent: Document, options: Collection[str]
) -> Document:
    if operation == "update":
        return UPDATES[entity](books, sent, body.get("sparse") in (True, "true"), options)
    return {"create": CREATES, "void": VOIDS, "delete": DELETES}[operation][entity](books, sent, options)


def _create_name(entity: str) -> Write:
    return lambda books, body, _options: names.create(books, entity, body)


def _update_name(entity: str) -> Update:
    return lambda books, body, sparse, _options: names.update(books, entity, body, sparse=sparse)


CREATES: dict[str, Write] = {
    **{entity: _create_name(entity) for entity in NAME_ENTITIES},
    "Item": lambda books, body, _options: lists.create_item(books, body),
    "Account": lambda books, body, _options: lists.create_account(books, body),
    "Invoice": lambda books, body, options: sales.create(books, "Invoice", body, options),
    "CreditMemo": lambda books, body, options: sales.create(books, "CreditMemo", body, options),
    "Payment": lambda books, body, _options: payments.create(books, body),
    "Deposit": lambda books, body, _options: deposits.create(books, body),
}
UPDATES: dict[str, Update] = {
    **{entity: _update_name(entity) for entity in NAME_ENTITIES},
    "Item": lambda books, body, sparse, _options: lists.update_item(books, body, sparse=sparse),
    "Account": lambda books, body, sparse, _options: lists.update_account(books, body, sparse=sparse),
    "Invoice": lambda books, body, sparse, options: sales.update(
        books, "Invoice", body, sparse=sparse, options=options
    ),
    "CreditMemo": lambda books, body, sparse, options: sales.update(
        books, "CreditMemo", body, sparse=sparse, options=options
    ),
    "Payment": lambda books, body, sparse, _options: payments.update(books, body, sparse=sparse),
    "Deposit": lambda books, body, sparse, _options: deposits.update(books, body, sparse=sparse),
}
VOIDS: dict[str, Write] = {
    "Invoice": lambda books, body, _options: sales.void(books, "Invoice", body),
    "Payment": lambda books, body, _options: payments.void(books, body),
}
DELETES: dict[str, Write] = {
    "Invoice": lambda books, body, _options: sales.delete(books, "Invoice", body),
    "CreditMemo": lambda books, body, _options: sales.delete(books, "CreditMemo", body),
    "Payment": lambda books, body, _options: payments.delete(books, body),
    "Deposit": lambda books, body, _options: deposits.delete(books, body),
}
