"""`POST /batch`: up to 30 operations, each with its own outcome; not a transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.quickbooks import codec, faults, idempotency, operations, query
from sandbox.quickbooks.books import Books
from sandbox.quickbooks.faults import ApiFault
from sandbox.quickbooks.schema import ENTITIES

ITEMS_MAX = 30
OBJECTS_MAX = 1000


@dataclass
class Room:
    """How many more objects the queries of one batch may return; what is beyond is left out, as at a page's end."""

    objects: int = OBJECTS_MAX


@dataclass(frozen=True)
class Origin:
    """Whose batch it is, by its request id and app."""

    request_id: str
    app: str


def items_of(body: Any) -> list[dict[str, Any]]:
    """Return the operations of a batch.

    Raises:
        ApiFault: 2010 for another shape, 1040 for more than 30.
    """
    items = body.get("BatchItemRequest") if isinstance(body, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise faults.bad_property("BatchItemRequest", "must be a list of operations")
    if len(items) > ITEMS_MAX:
        raise faults.batch_too_large(len(items), ITEMS_MAX)
    return items


def run(books: Books, items: list[dict[str, Any]], request_id: str, app: str) -> list[Any]:
    """Return the value of `BatchItemResponse`, as JSON fragments.

    Raises:
        ApiFault: a request id or bId that is too long; nothing has run then.
    """
    if request_id:
        idempotency.check_batch(request_id)
        for item in items:
            idempotency.check_item(request_id, _bid(item))
    room = Room()
    answers = [codec.Raw(_item(books, item, Origin(request_id, app), room)) for item in items]
    return _arranged(books, answers)


def _arranged(books: Books, answers: list[Any]) -> list[Any]:
    """Return the answers, by the switches in another order than asked, or without the last ones."""
    lost = books.switches.batch_empty_answers
    if lost:
        answers = answers[: max(0, len(answers) - lost)]
    return answers[::-1] if books.switches.batch_unordered else answers


def _bid(item: dict[str, Any]) -> str:
    return str(item.get("bId") or "")


def _item(books: Books, item: dict[str, Any], origin: Origin, room: Room) -> bytes:
    """Run one operation, replayed where (requestid, bId) has been seen."""
    key = idempotency.Key(origin.request_id, _bid(item), origin.app) if origin.request_id else None
    content = codec.encode(item)
    if key:
        try:
            stored = idempotency.recall(books, key, content)
        except ApiFault as fault:
            return _refused(item, fault)
        if stored:
            return stored.body
    status, answer = _attempt(books, item, room)
    if key and "Query" not in item:
        idempotency.remember(books, key, content, idempotency.Stored(status, answer))
    return answer


def _attempt(books: Books, item: dict[str, Any], room: Room) -> tuple[int, bytes]:
    try:
        return 200, codec.encode({"bId": _bid(item), **_perform(books, item, room)})
    except ApiFault as fault:
        return fault.status, _refused(item, fault)


def _refused(item: dict[str, Any], fault: ApiFault) -> bytes:
    return codec.encode({"bId": _bid(item), "Fault": fault.as_json()})


def _perform(books: Books, item: dict[str, Any], room: Room) -> dict[str, Any]:
    if "Query" in item:
        found = query.run_query(books, str(item["Query"]), most=room.objects)
        room.objects -= found.get("maxResults", 0)
        return {"QueryResponse": found}
    entity = next((name for name in item if name in ENTITIES), None)
    if entity is None:
        unknown = next((name for name in item if name not in ("bId", "operation", "optionsData")), "BatchItemRequest")
        raise faults.bad_property(unknown[:100])
    operation = str(item.get("operation") or "").lower()
    options = frozenset(str(item.get("optionsData") or "").split(","))
    if operation == "update" and "void" in options:
        operation = "void"
    return {entity: operations.write(books, entity, operation, item[entity], options)}
