"""Change data capture: what changed since a moment, and stubs of what is gone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sandbox.common.clock import parse_time
from sandbox.quickbooks import codec, faults
from sandbox.quickbooks.books import Books
from sandbox.quickbooks.schema import BY_PATH, NONE_HERE, WITHOUT_CHANGES, Entity

DAYS_MAX = 30
OBJECTS_MAX = 1000
_EMPTY = frozenset(name.lower() for name in NONE_HERE) - WITHOUT_CHANGES


def changes(books: Books, entities: str, changed_since: str) -> dict[str, Any]:
    """Return the value of `CDCResponse[0]`: one part per entity that changed.

    Raises:
        ApiFault: 2020 without a parameter, 2040 for a time that is none, 4001 for an entity without changes or a
            moment more than 30 days ago (a switch).
    """
    if not entities.strip():
        raise faults.missing("entities")
    since = _since(books, changed_since)
    names = [name.strip() for name in entities.split(",") if name.strip()]
    asked = [_entity(name) for name in names if name.lower() not in _EMPTY]
    parts, left = [], OBJECTS_MAX
    for entity in dict.fromkeys(asked):
        rows = _rows(books, entity, since, left)
        left -= len(rows) if books.switches.cdc_limit == "response" else 0
        if rows:
            parts.append({entity.name: rows, "startPosition": 1, "maxResults": len(rows), "totalCount": len(rows)})
    return {"QueryResponse": parts or [{}]}


def _since(books: Books, text: str) -> int:
    if not text.strip():
        raise faults.missing("changedSince")
    try:
        since = parse_time(text.replace(" ", "+"))  # a + that the client forgot to encode
    except ValueError as error:
        raise faults.bad_date(text[:60], "changedSince") from error
    oldest = books.clock.now() - timedelta(days=DAYS_MAX)
    if since < oldest:
        if books.switches.cdc_too_old == "refuse":
            raise faults.query_fault("4001", f"QueryValidationError: changedSince is more than {DAYS_MAX} days ago")
        since = oldest
    return int(since.timestamp())


def _entity(name: str) -> Entity:
    entity = BY_PATH.get(name.lower())
    if entity is None or not entity.changes:
        raise faults.query_fault("4001", f"QueryValidationError: {name[:60]} is not supported by change data capture")
    return entity


def _rows(books: Books, entity: Entity, since: int, most: int) -> list[Any]:
    """Return latest states, deleted stubs after the living."""
    rows = books.db.all(
        f'SELECT doc FROM "{entity.table}" WHERE realm = ? AND "MetaData.LastUpdatedTime" >= ? '
        'ORDER BY deleted, "MetaData.LastUpdatedTime", id LIMIT ?',
        books.realm,
        since,
        most,
    )
    return [codec.Raw(row[0]) for row in rows]
