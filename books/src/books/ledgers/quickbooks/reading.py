"""Read a QuickBooks company completely, or what changed in it.

Two ways:

*Changes.* Change data capture (CDC) returns what changed or was deleted since a time: at most 30 days back, at most
1,000 objects in one answer, without pages and without an upper limit of time. One call serves all entities. An answer
of 1,000 may be truncated, so each entity is then requested alone; if that is full too, the entity is read completely.
Halving the time would not help: only the newer half can be requested alone, so deletions in the older half are lost.

*Everything.* QuickBooks no longer orders by Id, and pages by position shift when rows are deleted. Rows are therefore
read by the time of their creation, which never changes: each page asks for what was created at or after the end of
the page before, and rows already seen are left out. No row can be skipped or move; new rows come last. Then the rows
are counted. If the count differs, the changes since the start are added and it is counted again. A read whose count
still differs fails, because the missing rows would be taken for deleted.

Sources: Intuit, "Change data capture" and "Data queries".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pendulum

from books.core.clock import Clock
from books.core.faults import Exit, Fault, Halt, Reject
from books.ledgers.contract import Extract, Row
from books.ledgers.quickbooks import faults, query
from books.ledgers.quickbooks.client import QuickBooksClient, server_time

CDC_OBJECTS_MAX = 1000
CDC_AGE_DAYS_MAX = 25
"""Intuit keeps changes for 30 days; five days are a margin for clocks and week-ends."""

PAGES_MAX = 10_000
STALE_PAGES_MAX = 10
"""Pages beyond twice what the rows fill, after which the read is given up as endless."""

COUNTS_MAX = 3
OBJECT_NOT_FOUND = "610"
"""QuickBooks' code for an id that was deleted or never existed."""

CREATED = "MetaData.CreateTime"
ACTIVE_OR_NOT = "Active IN (true, false)"
"""Lists leave out inactive rows unless they are requested."""


@dataclass(frozen=True)
class Entity:
    """A kind of object: its name, the condition by which it is read, and whether CDC covers it."""

    name: str
    where: str = ""
    has_changes: bool = True


class CompanyReader:
    """Reads the entities of one run. `cursors` holds per entity the time to read from; None: from the beginning.

    Raises, while reading: Halt, or another fault of `books.core.faults`. An incomplete read never passes as complete.
    """

    def __init__(
        self,
        client: QuickBooksClient,
        clock: Clock,
        cursors: Mapping[Entity, pendulum.DateTime | None],
        *,
        overlap_seconds: int,
    ) -> None:
        self._client = client
        self._clock = clock
        self._overlap_seconds = overlap_seconds
        self._since = {
            entity: since for entity, since in cursors.items() if since is not None and self._is_recent(entity, since)
        }
        self._changes: CdcChanges | None = None

    def _is_recent(self, entity: Entity, since: pendulum.DateTime) -> bool:
        """Return whether CDC still covers this time, including the overlap."""
        reach = self._clock.now().subtract(days=CDC_AGE_DAYS_MAX)
        return entity.has_changes and since.subtract(seconds=self._overlap_seconds) > reach

    def extract(self, entity: Entity) -> Extract:
        """Return what changed in an entity, or all its rows if CDC cannot say."""
        started_at = self._clock.now()
        changes = self._changes_of(entity)
        if changes is None:
            return self.everything(entity)
        return Extract(
            iter(changes.rows[entity.name]),
            is_complete=False,
            started_at=changes.started_at or started_at,
            cursor=lambda: changes.time,
        )

    def everything(self, entity: Entity) -> Extract:
        """Return all rows of an entity, each with its newest state last."""
        read = CompleteRead(self._client, entity)
        return Extract(read.rows(), is_complete=True, started_at=self._clock.now(), cursor=read.cursor)

    def objects(self, entity: Entity, ids: Iterable[str]) -> Iterator[Row]:
        """Yield objects by id as they are now, a missing one as a deletion. One call for up to 400 that exist."""
        for some in query.chunks(ids):
            where = " AND ".join(filter(None, [query.in_list("Id", some), entity.where]))
            found = _listed(self._client.query(query.page(entity.name, where)), entity.name)
            yield from found
            for missing in sorted(set(some) - {str(row["Id"]) for row in found}):
                yield self._object(entity, missing)

    def _object(self, entity: Entity, key: str) -> Row:
        """Return one object that a query did not return: it is read alone, because lists may lag behind."""
        try:
            answer = self._client.get(f"{entity.name.lower()}/{key}")
        except Reject as refused:
            if refused.code == OBJECT_NOT_FOUND:
                return {"Id": key, "status": "Deleted"}
            raise
        row = answer.get(entity.name)
        if not isinstance(row, dict) or not row.get("Id"):
            raise _unreadable(entity.name)
        return row

    def _changes_of(self, entity: Entity) -> CdcChanges | None:
        """Return the changes of an entity: from the call for all entities, else from its own call, else None."""
        if entity not in self._since:
            return None
        if self._changes is None:
            self._changes = self._ask(list(self._since))
        if not self._changes.is_truncated:
            return self._changes
        alone = self._ask([entity]) if len(self._since) > 1 else self._changes
        return None if alone.is_truncated else alone

    def _ask(self, entities: Sequence[Entity]) -> CdcChanges:
        since = min(self._since[entity] for entity in entities).subtract(seconds=self._overlap_seconds)
        return read_changes(self._client, entities, since, self._clock.now())


@dataclass(frozen=True)
class CdcChanges:
    """A CDC answer: rows by entity name, the server's time, and when the call was made."""

    rows: Mapping[str, Sequence[Row]]
    time: pendulum.DateTime
    started_at: pendulum.DateTime | None = None

    @property
    def is_truncated(self) -> bool:
        """Whether there may be more changes than the answer has."""
        return sum(map(len, self.rows.values())) >= CDC_OBJECTS_MAX


def read_changes(
    client: QuickBooksClient,
    entities: Sequence[Entity],
    since: pendulum.DateTime,
    now: pendulum.DateTime | None = None,
) -> CdcChanges:
    """Make one CDC call; deletions are rows with `status: Deleted`.

    Raises:
        Halt: a fault in any part of the answer, or a part that cannot be read.
    """
    moment = since.in_timezone("UTC").format("YYYY-MM-DDTHH:mm:ssZ")
    names = [entity.name for entity in entities]
    answer = client.get("cdc", {"entities": ",".join(names), "changedSince": moment})
    rows: dict[str, list[Row]] = {name: [] for name in names}
    for part in _cdc_parts(answer):
        for name in names:
            rows[name].extend(_listed(part, name))
    return CdcChanges(rows, _time_of(answer), now)


def _cdc_parts(answer: Row) -> Iterator[Row]:
    """Yield every `QueryResponse` of an answer; one fault among them fails the whole."""
    for response in _objects(answer.get("CDCResponse"), "CDCResponse"):
        yield from _objects(response.get("QueryResponse"), "QueryResponse")


def _objects(value: Any, name: str) -> Iterator[Row]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise _unreadable(name)
    for each in value:
        _refuse_fault(each)
        yield each


def _refuse_fault(part: Row) -> None:
    if errors := faults.errors_in(part):
        fault: Fault = faults.classify(errors)
        if isinstance(fault, Halt):
            raise fault
        raise Halt(
            f"QuickBooks answered part of a read with a fault: {fault.message}",
            exit_code=Exit.TRY_LATER,
            code=fault.code,
            remedy=fault.remedy or "Run again later.",
        ) from fault


def _listed(part: Row, name: str) -> list[Row]:
    rows = part.get(name, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.get("Id") for row in rows):
        raise _unreadable(name)
    return rows


def _time_of(answer: Row) -> pendulum.DateTime:
    time = server_time(answer)
    if time is None:
        raise _unreadable("time")
    return time


def _unreadable(name: str) -> Halt:
    return Halt(
        f"QuickBooks' answer cannot be read: {name} is missing or not as documented",
        exit_code=Exit.TRY_LATER,
        code="unreadable",
        remedy="Run again later. If it happens again, give the request id to Intuit's support.",
    )


class CompleteRead:
    """One complete read of an entity."""

    def __init__(self, client: QuickBooksClient, entity: Entity) -> None:
        self._client = client
        self._entity = entity
        self._seen: set[str] = set()
        self._server_time: pendulum.DateTime | None = None

    def rows(self) -> Iterator[Row]:
        """Yield every row; rows that changed meanwhile are yielded again, last.

        Raises:
            Halt: the number of rows differs from QuickBooks' own count.
        """
        yield from self._pages()
        yield from self._add_until_counted()

    def cursor(self) -> pendulum.DateTime:
        """Return the server's time of the first page: the next read starts there."""
        if self._server_time is None:
            raise _unreadable("time")
        return self._server_time

    def _pages(self) -> Iterator[Row]:
        position = Position()
        for number in range(PAGES_MAX):
            page = self._page(position)
            fresh = [row for row in page if row["Id"] not in self._seen]
            self._seen.update(row["Id"] for row in fresh)
            yield from fresh
            if len(page) < query.PAGE_ROWS_MAX:
                return
            if number > STALE_PAGES_MAX + 2 * len(self._seen) // query.PAGE_ROWS_MAX:
                break  # the same rows again and again, and each call is metered
            position = position.after(page)
        raise Halt(
            f"{self._entity.name}: QuickBooks' pages do not end; {len(self._seen)} different rows were read",
            exit_code=Exit.FAILED,
            code="too_many_pages",
        )

    def _page(self, position: Position) -> list[Row]:
        conditions = [self._entity.where, f"{CREATED} >= {query.literal(position.created)}" if position.created else ""]
        statement = query.page(
            self._entity.name,
            " AND ".join(filter(None, conditions)),
            start_position=position.offset,
            order_by=CREATED,
        )
        answer = self._client.get("query", {"query": statement})
        response = answer.get("QueryResponse")
        if not isinstance(response, dict):
            raise _unreadable("QueryResponse")
        _refuse_fault(response)
        self._server_time = self._server_time or _time_of(answer)
        return _listed(response, self._entity.name)

    def _add_until_counted(self) -> Iterator[Row]:
        for _ in range(COUNTS_MAX):
            counted = self._client.count(self._entity.name, self._entity.where)
            if counted == len(self._seen):
                return
            yield from self._changed_meanwhile(self.cursor())
        raise Halt(
            f"{self._entity.name}: read {len(self._seen)} rows, but QuickBooks counts {counted}",
            exit_code=Exit.TRY_LATER,
            code="count_differs",
            remedy="Run again later: the company is changing, or QuickBooks answers from an older copy.",
        )

    def _changed_meanwhile(self, since: pendulum.DateTime) -> Iterable[Row]:
        """Return what was created, changed or deleted while the pages were read."""
        if not self._entity.has_changes:
            self._seen.clear()
            return self._pages()
        changed = read_changes(self._client, [self._entity], since)
        if changed.is_truncated:
            return self._pages()
        for row in changed.rows[self._entity.name]:
            (self._seen.discard if is_deleted(row) else self._seen.add)(row["Id"])
        return changed.rows[self._entity.name]


def is_deleted(row: Mapping[str, Any]) -> bool:
    """Return whether a row of CDC is a deletion."""
    return str(row.get("status", "")).lower() == "deleted"


@dataclass(frozen=True)
class Position:
    """Where the next page starts: at a time of creation, and at an offset among the rows of that time.

    A second is subtracted each time, in case QuickBooks rounds the times that it shows.
    """

    created: str = ""
    offset: int = 1

    def after(self, page: Sequence[Row]) -> Position:
        """Return the position after a full page: later in time, or, within the same second, further by the offset.

        Never earlier: a full page of one second, before rows of the next, would otherwise be read again and again.
        """
        created = _parsed(str((page[-1].get("MetaData") or {}).get("CreateTime", ""))).subtract(seconds=1)
        if self.created and created <= _parsed(self.created):
            return Position(self.created, self.offset + len(page))
        return Position(created.to_iso8601_string())


def _parsed(text: str) -> pendulum.DateTime:
    parsed = pendulum.parse(text) if text else None
    if not isinstance(parsed, pendulum.DateTime):
        raise _unreadable(CREATED)
    return parsed
