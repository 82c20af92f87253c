"""From OpsMerge's JSON to the records of the contract, by tables of fields: one table gives record and schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from books.opsmerge.kinds import Kind, Schema


class UnreadableError(ValueError):
    """A value of an answer is not what the API description says. `field` is its place, e.g. `lines[2].quantity`."""

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
        """The value, exact; None where the API has none and the field may be null."""
        value = _at(body, self.path)
        may_be_null = "null" in self.kind.schema["type"]
        if value is None and may_be_null:
            return None
        try:
            return self.kind.read(value)
        except ValueError as error:
            unreadable = UnreadableError(where + self.path, "is missing" if value is None else str(error))
            return _as_it_is(value, unreadable, problems if may_be_null else None)


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
        """The object with the contract's names, None where the API has none."""
        value = _at(body, self.path)
        if value is None:
            return None
        return record_of(self.fields, value, f"{where}{self.path}.", problems)


@dataclass(frozen=True)
class ListOf:
    """A list of objects; absent is empty."""

    name: str
    path: str
    fields: Sequence[AnyField]

    @property
    def schema(self) -> Schema:
        """The JSON Schema of the list in the record."""
        return {"type": ["array", "null"], "items": schema_of(self.fields)}

    def read(self, body: Mapping[str, Any], where: str, problems: Problems) -> Any:
        """The objects in the order given."""
        items = _at(body, self.path) or []
        if not isinstance(items, list):
            return _as_it_is(items, UnreadableError(where + self.path, "is not a list"), problems)
        places = (f"{where}{self.path}[{index}]." for index in range(len(items)))
        return [record_of(self.fields, item, place, problems) for item, place in zip(items, places, strict=True)]


AnyField = Field | ObjectOf | ListOf
Problems = list[UnreadableError] | None
"""Where what cannot be read is noted; None: it is raised."""


def schema_of(fields: Sequence[AnyField]) -> dict[str, Any]:
    """The JSON Schema of an object with these fields."""
    return {"type": "object", "properties": {field.name: dict(field.schema) for field in fields}}


def record_of(fields: Sequence[AnyField], body: Any, where: str = "", problems: Problems = None) -> Any:
    """The record with these fields, read from an API object.

    Where `problems` is given, what cannot be read is kept as it is and added there, keys and times of change excepted.

    Raises:
        UnreadableError: naming the first value that is not what it should be.
    """
    if not isinstance(body, Mapping):
        unreadable = UnreadableError(where.rstrip(".") or "the answer", "is not an object")
        return _as_it_is(body, unreadable, problems if where else None)
    return {field.name: field.read(body, where, problems) for field in fields}


def _as_it_is(value: Any, unreadable: UnreadableError, problems: Problems) -> Any:
    if problems is None:
        raise unreadable
    problems.append(unreadable)
    return value


def _at(body: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, None where any step of it is absent or null."""
    value: Any = body
    for step in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value
