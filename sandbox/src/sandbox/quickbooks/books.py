"""The books of one company: documents in, documents out, with their indexed columns, links and notices."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sandbox.common.clock import SimClock, parse_time
from sandbox.quickbooks import codec, faults
from sandbox.quickbooks.company import Company
from sandbox.quickbooks.db import Database
from sandbox.quickbooks.schema import ENTITIES, Column, Entity, Kind
from sandbox.quickbooks.switches import Switches
from sandbox.quickbooks.times import stamp

Document = dict[str, Any]
SCALE = 10_000
ID_DIGITS_MAX = 18
TRANSACTION = "Transaction"


class Books:
    """Everything that an operation reads or writes in one company.

    `changed` collects (entity, id, verb) for the webhooks; `quiet` turns that off while seeding.
    """

    def __init__(self, database: Database, company: Company, clock: SimClock, switches: Switches) -> None:
        self.db = database
        self.company = company
        self.realm = company.realm
        self.clock = clock
        self.switches = switches
        self.changed: list[tuple[str, str, str]] = []
        self.quiet = False

    def now(self) -> int:
        """Return virtual seconds since 1970."""
        return int(self.clock.epoch())

    def today(self) -> str:
        """Return today's date in the company."""
        return self.clock.now().date().isoformat()

    # -- reading

    def raw(self, entity: str, object_id: str) -> bytes | None:
        """Return the stored JSON of a live object."""
        key = row_id(object_id)
        if key is None:
            return None
        table = ENTITIES[entity].table
        row = self.db.one(f'SELECT doc FROM "{table}" WHERE realm = ? AND id = ? AND deleted = 0', self.realm, key)
        return row[0] if row else None

    def get(self, entity: str, object_id: str) -> Document | None:
        """Return a live object; the caller may change it freely."""
        raw = self.raw(entity, object_id)
        document: Document | None = codec.decode(raw) if raw else None
        return document

    def need(self, entity: str, object_id: str) -> Document:
        """Return a live object.

        Raises:
            ApiFault: 610.
        """
        document = self.get(entity, object_id)
        if document is None:
            raise faults.not_found()
        return document

    def find(self, entity: str, column: str, value: Any) -> list[Document]:
        """Return live objects whose indexed column has this value (a text is compared case-insensitively)."""
        kind = next(item.kind for item in ENTITIES[entity].all_columns if item.name == column)
        rows = self.db.all(
            f'SELECT doc FROM "{ENTITIES[entity].table}" '
            f'WHERE realm = ? AND "{column}" = ? AND deleted = 0 ORDER BY id',
            self.realm,
            stored(kind, value),
        )
        return [codec.decode(row[0]) for row in rows]

    # -- writing

    def next_number(self, name: str) -> int:
        """Return the next value of one of the company's sequences, from 1."""
        row = self.db.one(
            "INSERT INTO counter VALUES (?, ?, 1) ON CONFLICT (realm, name) DO UPDATE SET value = value + 1 "
            "RETURNING value",
            self.realm,
            name,
        )
        return int(row[0]) if row else 1

    def next_id(self, entity: str) -> str:
        """Return a new id; transactions share one sequence, as in the product."""
        return str(self.next_number(TRANSACTION if ENTITIES[entity].money else entity))

    def insert(self, entity: str, document: Document) -> Document:
        """Store a new object: Id, SyncToken and MetaData are set here."""
        now = stamp(self.now())
        born = {
            **document,
            "domain": "QBO",
            "sparse": False,
            "Id": self.next_id(entity),
            "SyncToken": "0",
            "MetaData": {"CreateTime": now, "LastUpdatedTime": now},
        }
        self._store(entity, born)
        self._note(entity, born["Id"], "created")
        return born

    def plant(self, entity: str, document: Document) -> Document:
        """Store an object under the Id it brings, as a company's set-up does; the sequence goes on behind it."""
        now = stamp(self.now())
        meta = {"CreateTime": now, "LastUpdatedTime": now}
        planted = {"domain": "QBO", "sparse": False, "SyncToken": "0", "MetaData": meta, **document}
        self._store(entity, planted)
        self.db.run(
            "INSERT INTO counter VALUES (?, ?, ?) "
            "ON CONFLICT (realm, name) DO UPDATE SET value = max(value, excluded.value)",
            self.realm,
            TRANSACTION if ENTITIES[entity].money else entity,
            int(planted["Id"]),
        )
        return planted

    def update(self, entity: str, document: Document, verb: str = "updated") -> Document:
        """Store a changed object: SyncToken and LastUpdatedTime move on."""
        meta = {**document["MetaData"], "LastUpdatedTime": stamp(self.now())}
        grown = {**document, "SyncToken": str(int(document["SyncToken"]) + 1), "MetaData": meta}
        self._store(entity, grown)
        self._note(entity, grown["Id"], verb)
        return grown

    def amend(self, entity: str, document: Document) -> None:
        """Store a derived value (a balance) without counting it as a change of the object."""
        self._store(entity, document)

    def remove(self, entity: str, object_id: str, verb: str | None = "deleted") -> Document:
        """Delete an object; its stub stays for change data capture. Without a verb no notice is sent."""
        stub = {
            "status": "Deleted",
            "domain": "QBO",
            "Id": object_id,
            "MetaData": {"LastUpdatedTime": stamp(self.now())},
        }
        self.db.run(
            f'UPDATE "{ENTITIES[entity].table}" SET deleted = 1, doc = ?, "MetaData.LastUpdatedTime" = ? '
            "WHERE realm = ? AND id = ?",
            codec.encode(stub),
            self.now(),
            self.realm,
            row_id(object_id),
        )
        if verb:
            self._note(entity, object_id, verb)
        return {key: stub[key] for key in ("status", "domain", "Id")}

    def _store(self, entity: str, document: Document) -> None:
        statement, readers = _insertion(entity)
        values = [read(document) for read in readers]
        self.db.run(statement, self.realm, int(document["Id"]), 0, *values, codec.encode(document))

    def _note(self, entity: str, object_id: str, verb: str) -> None:
        if not self.quiet:
            self.changed.append((entity, object_id, verb))

    # -- links between transactions

    def link(self, source: tuple[str, str], target: tuple[str, str], amount: Decimal) -> None:
        """Store that `amount` of one transaction is applied to another; a second link to the same one adds to it."""
        self.db.run(
            "INSERT INTO link VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (realm, from_type, from_id, to_type, to_id) DO UPDATE SET amount = amount + excluded.amount",
            self.realm,
            source[0],
            int(source[1]),
            target[0],
            int(target[1]),
            int(amount * SCALE),
        )

    def unlink(self, source: tuple[str, str]) -> list[tuple[str, str]]:
        """Forget all links from a transaction; returns what they led to."""
        targets = [(kind, other) for kind, other, _ in self.links_from(source)]
        self.db.run(
            "DELETE FROM link WHERE realm = ? AND from_type = ? AND from_id = ?", self.realm, source[0], int(source[1])
        )
        return targets

    def links_from(self, source: tuple[str, str]) -> list[tuple[str, str, Decimal]]:
        """Return (type, id, amount) of what a transaction is applied to."""
        return self._links("to", "from", source)

    def links_to(self, target: tuple[str, str]) -> list[tuple[str, str, Decimal]]:
        """Return (type, id, amount) of what is applied to a transaction."""
        return self._links("from", "to", target)

    def _links(self, wanted: str, given: str, key: tuple[str, str]) -> list[tuple[str, str, Decimal]]:
        rows = self.db.all(
            f"SELECT {wanted}_type, {wanted}_id, amount FROM link "
            f"WHERE realm = ? AND {given}_type = ? AND {given}_id = ? ORDER BY {wanted}_id",
            self.realm,
            key[0],
            int(key[1]),
        )
        return [(row[0], str(row[1]), Decimal(row[2]) / SCALE) for row in rows]


def row_id(object_id: str) -> int | None:
    """Return an id as the database's key; None when it is not a valid one."""
    plain = object_id.isascii() and object_id.isdigit() and len(object_id) <= ID_DIGITS_MAX
    return int(object_id) if plain else None


def scaled(amount: Decimal) -> int:
    """Return money as an integer of ten-thousandths."""
    return int(amount * SCALE)


def stored(kind: Kind, value: Any) -> Any:
    """Return a value of a document, or of a query, as its column keeps it."""
    return None if value is None else _STORED[kind](value)


_STORED: dict[Kind, Callable[[Any], Any]] = {
    Kind.TEXT: lambda value: str(value).casefold(),
    Kind.EXACT: str,
    Kind.DATE: str,
    Kind.MONEY: lambda value: scaled(Decimal(value)),
    Kind.TIME: lambda value: int(parse_time(value).timestamp()),
    Kind.FLAG: lambda value: int(bool(value)),
}
_cached_time = lru_cache(maxsize=4096)(_STORED[Kind.TIME])


def _reader(column: Column) -> Callable[[Document], Any]:
    convert = _cached_time if column.kind is Kind.TIME else _STORED[column.kind]

    def read(document: Any) -> Any:
        for key in column.path:
            document = document.get(key)
            if document is None:
                return None
        return convert(document)

    return read


@lru_cache(maxsize=64)
def _insertion(name: str) -> tuple[str, list[Callable[[Document], Any]]]:
    """Return the statement that stores an object of an entity, and what reads its column values."""
    entity: Entity = ENTITIES[name]
    names = ", ".join(f'"{column.name}"' for column in entity.all_columns)
    marks = ", ".join("?" for _ in entity.all_columns)
    statement = (
        f'INSERT OR REPLACE INTO "{entity.table}" (realm, id, deleted, {names}, doc) VALUES (?, ?, ?, {marks}, ?)'
    )
    return statement, [_reader(column) for column in entity.all_columns]


def reference(document: Document, name: str) -> str | None:
    """Return the id inside a reference field, or None."""
    value = (document.get(name) or {}).get("value")
    return str(value) if value not in (None, "") else None
