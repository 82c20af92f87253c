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

    def read(self, body: Mapping[str, Any], where: str) -> Any:
        """The value, exact; None where the API has none and the field may be null."""
        value = _at(body, self.path)
        if value is None and "null" in self.kind.schema["type"]:
            return None
        try:
            return self.kind.read(value)
        except ValueError as error:
            raise UnreadableError(where + self.path, "is missing" if value is None else str(error)) from None


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

    def read(self, body: Mapping[str, Any], where: str) -> Any:
        """The object with the contract's names, None where the API has none."""
        value = _at(body, self.path)
        if value is None:
            return None
        return record_of(self.fields, value, f"{where}{self.path}.")


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

    def read(self, body: Mapping[str, Any], where: str) -> Any:
        """The objects in the order given."""
        items = _at(body, self.path) or []
        if not isinstance(items, list):
            raise UnreadableError(where + self.path, "is not a list")
        return [record_of(self.fields, item, f"{where}{self.path}[{index}].") for index, item in enumerate(items)]


AnyField = Field | ObjectOf | ListOf


def schema_of(fields: Sequence[AnyField]) -> dict[str, Any]:
    """The JSON Schema of an object with these fields."""
    return {"type": "object", "properties": {field.name: dict(field.schema) for field in fields}}


def record_of(fields: Sequence[AnyField], body: Any, where: str = "") -> dict[str, Any]:
    """The record with these fields, read from an API object.

    Raises:
        UnreadableError: naming the first value that is not what it should be.
    """
    if not isinstance(body, Mapping):
        raise UnreadableError(where.rstrip(".") or "the answer", "is not an object")
    return {field.name: field.read(body, where) for field in fields}


def _at(body: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, None where any step of it is absent or null."""
    value: Any = body
    for step in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value
