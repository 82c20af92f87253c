"""Convert OpsMerge's JSON to records by tables of fields: one table gives both record and schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from books.opsmerge.kinds import Kind, Schema


class UnreadableError(ValueError):
    """A value in an answer that cannot be read. `field` says where, e.g. `lines[2].quantity`."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


@dataclass(frozen=True)
class Field:
    """A plain value: `name` in the record, `path` in the API's JSON (dotted), and its kind."""

    name: str
    path: str
    kind: Kind

    @property
    def schema(self) -> Schema:
        """The JSON Schema of the field in the record."""
        return self.kind.schema

    def read(self, body: Mapping[str, Any], where: str, problems: Problems) -> Any:
        """Return the exact value; None if it is missing and the field may be null."""
        value = _at(body, self.path)
        may_be_null = "null" in self.kind.schema["type"]
        if value is None and may_be_null:
            return None
        try:
            return self.kind.read(value)
        except ValueError as error:
            unreadable = UnreadableError(where + self.path, "is missing" if value is None else str(error))
            return _raise_or_keep(value, unreadable, problems if may_be_null else None)


@dataclass(frozen=True)
class ObjectOf:
    """An object, or null."""

    name: str
    path: str
    fields: Sequence[AnyField]

    @property
    def schema(self) -> Schema:
        """The JSON Schema of the object in the record."""
        return {**schema_of(self.fields), "type": ["object", "null"]}

    def read(self, body: Mapping[str, Any], where: str, problems: Problems) -> Any:
        """Return the object with the record's names; None if it is missing."""
        value = _at(body, self.path)
        if value is None:
            return None
        return record_of(self.fields, value, f"{where}{self.path}.", problems)


@dataclass(frozen=True)
class ListOf:
    """A list of objects; empty if missing."""

    name: str
    path: str
    fields: Sequence[AnyField]

    @property
    def schema(self) -> Schema:
        """The JSON Schema of the list in the record."""
        return {"type": ["array", "null"], "items": schema_of(self.fields)}

    def read(self, body: Mapping[str, Any], where: str, problems: Problems) -> Any:
        """Return the objects in the order given."""
        items = _at(body, self.path) or []
        if not isinstance(items, list):
            return _raise_or_keep(items, UnreadableError(where + self.path, "is not a list"), problems)
        places = (f"{where}{self.path}[{index}]." for index in range(len(items)))
        return [record_of(self.fields, item, place, problems) for item, place in zip(items, places, strict=True)]


AnyField = Field | ObjectOf | ListOf
Problems = list[UnreadableError] | None
"""Collects the values that cannot be read; None: the first one is raised."""


def schema_of(fields: Sequence[AnyField]) -> dict[str, Any]:
    """Return the JSON Schema of an object with these fields."""
    return {"type": "object", "properties": {field.name: dict(field.schema) for field in fields}}


def record_of(fields: Sequence[AnyField], body: Any, where: str = "", problems: Problems = None) -> Any:
    """Return the record with these fields, read from an API object.

    With `problems`, a value that cannot be read is kept unchanged and added there, except keys and times of change.

    Raises:
        UnreadableError: names the first value that cannot be read.
    """
    if not isinstance(body, Mapping):
        unreadable = UnreadableError(where.rstrip(".") or "the answer", "is not an object")
        return _raise_or_keep(body, unreadable, problems if where else None)
    return {field.name: field.read(body, where, problems) for field in fields}


def _raise_or_keep(value: Any, unreadable: UnreadableError, problems: Problems) -> Any:
    """Raise the problem, or add it to `problems` and return the value unchanged."""
    if problems is None:
        raise unreadable
    problems.append(unreadable)
    return value


def _at(body: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path; None if any step of it is missing or null."""
    value: Any = body
    for step in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value
