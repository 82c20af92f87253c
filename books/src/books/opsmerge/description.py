"""An OpenAPI 3 description as it comes, JSON or YAML, of any size: read safely, references followed, schemas merged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from referencing import Registry, Resource, Specification
from referencing.exceptions import Unresolvable

from books.faults import Exit, Halt

REFERENCES_MAX = 50
"""References in a row, or schemas within schemas: more is a circle."""

_TRUE_OR_FALSE = re.compile(r"true|True|TRUE|false|False|FALSE")

METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})

Json = Mapping[str, Any]


class NotThereError(Exception):
    """A reference leads nowhere, out of the document, or in a circle."""


@dataclass(frozen=True)
class Shape:
    """What a schema says of a value once everything it refers to is taken together. Empty: it does not say."""

    types: frozenset[str] = frozenset()
    formats: frozenset[str] = frozenset()
    enum: frozenset[str] | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    items: Any = None
    closed: bool = False
    """Whether properties that are not named are refused."""
    maximum: Any = None

    @property
    def nullable(self) -> bool:
        """Whether it may be null."""
        return "null" in self.types


class Description:
    """A description that was read. Only what is asked for is followed, so its size does not matter."""

    def __init__(self, document: Json) -> None:
        self.document = document
        resource: Resource[Any] = Specification.OPAQUE.create_resource(document)
        self._shapes: dict[int, tuple[Json, Shape]] = {}  # with its schema, so that no other gets the same id
        self._resolver = Registry().with_resource("", resource).resolver("")

    @classmethod
    def read(cls, text: bytes, place: str) -> Description:
        """Parse and check that it is one.

        Raises:
            Halt: MISCONFIGURED; it is none, and what it is instead.
        """
        document = _parse(text, place)
        if not isinstance(document, Mapping):
            raise _unusable(place, f"is {_kind(document)}, not an object")
        if "swagger" in document:
            raise _unusable(place, "describes its API in Swagger 2.0, not in OpenAPI 3")
        if not str(document.get("openapi", "")).startswith("3.") or not isinstance(document.get("paths"), Mapping):
            raise _unusable(place, "has no `openapi: 3...` and `paths`")
        return cls(document)

    @property
    def title(self) -> str:
        """What it calls itself."""
        info = document_part(self.document, "info")
        return " ".join(str(info[name]) for name in ("title", "version") if info.get(name))

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The paths of its servers: what stands before each of its own paths."""
        servers = self.document.get("servers") or [{"url": "/"}]
        urls = [str(each.get("url") or "/") for each in servers if isinstance(each, Mapping)]
        return tuple(dict.fromkeys(_path_of(url) for url in urls)) or ("",)

    def operations(self) -> Iterator[tuple[str, str, Json, Json]]:
        """(path, method, path item, operation), as far as they can be read."""
        for path, item in self.document["paths"].items():
            try:
                item = self.follow(item)  # noqa: PLW2901 -- the same thing, followed
            except NotThereError:
                continue
            for method in METHODS & set(item):
                if isinstance(item[method], Mapping):
                    yield str(path), method.upper(), item, item[method]

    def follow(self, value: Any) -> Json:
        """The object itself, where it stands elsewhere in the document.

        Raises:
            NotThereError: it stands nowhere.
        """
        for _ in range(REFERENCES_MAX):
            if not isinstance(value, Mapping):
                return {}
            if not isinstance(value.get("$ref"), str):
                return value
            value = self._look_up(value["$ref"])
        raise NotThereError("the references go round in a circle")

    def _look_up(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise NotThereError(f"{reference} is not in this document")
        try:
            return self._resolver.lookup(reference).contents
        except (Unresolvable, ValueError, TypeError, AttributeError):
            raise NotThereError(f"{reference} leads nowhere") from None

    def shape(self, schema: Any, depth: int = 0) -> Shape:
        """Everything that a schema says, its parts taken together.

        Raises:
            NotThereError: a reference leads nowhere or in a circle.
        """
        if depth > REFERENCES_MAX:
            raise NotThereError("the schemas go round in a circle")
        if not isinstance(schema, Mapping):
            return Shape()
        if id(schema) not in self._shapes:
            self._shapes[id(schema)] = (schema, self._shape(schema, depth))
        return self._shapes[id(schema)][1]

    def _shape(self, schema: Json, depth: int) -> Shape:
        parts = [_own(schema)]
        if isinstance(schema.get("$ref"), str):
            parts.append(self.shape(self.follow(schema), depth + 1))
        parts += [self.shape(each, depth + 1) for each in _schemas(schema, "allOf")]
        for word in ("oneOf", "anyOf"):
            if choices := _schemas(schema, word):
                parts.append(_either([self.shape(each, depth + 1) for each in choices]))
        whole = _both(parts)
        nullable = schema.get("nullable") is True and whole.types
        return replace(whole, types=whole.types | {"null"}) if nullable else whole

    def at(self, schema: Any, path: str) -> Any:
        """The schema of the value at a dotted path; None where the schema above does not have it.

        Raises:
            NotThereError: a reference on the way leads nowhere.
        """
        for step in path.split("."):
            schema = self.shape(schema).properties.get(step)
            if schema is None:
                return None
        return schema


def document_part(document: Json, name: str) -> Json:
    """An object in the document; empty where it is something else."""
    part = document.get(name)
    return part if isinstance(part, Mapping) else {}


def _schemas(schema: Json, word: str) -> list[Any]:
    found = schema.get(word)
    return found if isinstance(found, list) else []


def _own(schema: Json) -> Shape:
    """What a schema says by itself."""
    kinds = schema.get("type")
    types = {kinds} if isinstance(kinds, str) else {each for each in kinds or () if isinstance(each, str)}
    enum = schema.get("enum") if "const" not in schema else [schema["const"]]
    values = enum if isinstance(enum, list) else None
    if types and None in (values or ()):
        types |= {"null"}
    required = schema.get("required")
    return Shape(
        types=frozenset(types),
        formats=frozenset({schema["format"]} if isinstance(schema.get("format"), str) else ()),
        enum=None if values is None else frozenset(str(each) for each in values if each is not None),
        properties=document_part(schema, "properties"),
        required=frozenset(each for each in required if isinstance(each, str))
        if isinstance(required, list)
        else frozenset(),
        items=schema.get("items"),
        closed=schema.get("additionalProperties") is False,
        maximum=schema.get("maximum"),
    )


def _both(parts: Sequence[Shape]) -> Shape:
    """A value to which all of these apply."""
    typed = [part.types for part in parts if part.types]
    enums = [part.enum for part in parts if part.enum is not None]
    return Shape(
        types=frozenset.intersection(*typed) or typed[0] if typed else frozenset(),
        formats=frozenset().union(*(part.formats for part in parts)),
        enum=frozenset.intersection(*enums) if enums else None,
        properties=_merged([part.properties for part in parts], "allOf"),
        required=frozenset().union(*(part.required for part in parts)),
        items=next((part.items for part in parts if part.items is not None), None),
        closed=any(part.closed for part in parts),
        maximum=next((part.maximum for part in parts if part.maximum is not None), None),
    )


def _either(parts: Sequence[Shape]) -> Shape:
    """A value to which one of these applies; `null` among them says nothing of properties."""
    real = [part for part in parts if part.types != frozenset({"null"})] or list(parts)
    enums = [part.enum for part in real if part.enum is not None]
    return Shape(
        types=frozenset().union(*(part.types for part in parts)) if all(part.types for part in real) else frozenset(),
        formats=frozenset().union(*(part.formats for part in real)),
        enum=frozenset().union(*enums) if enums and len(enums) == len(real) else None,
        properties=_merged([part.properties for part in real], "anyOf"),
        required=frozenset.intersection(*(part.required for part in real)),
        items=next((part.items for part in real if part.items is not None), None),
        closed=all(part.closed for part in real),
    )


def _merged(all_properties: Sequence[Json], word: str) -> dict[str, Any]:
    """Every property once; one that several describe becomes all or any of them."""
    found: dict[str, list[Any]] = {}
    for properties in all_properties:
        for name, schema in properties.items():
            found.setdefault(str(name), []).append(schema)
    return {name: schemas[0] if len(schemas) == 1 else {word: schemas} for name, schemas in found.items()}


def _path_of(url: str) -> str:
    try:
        return urlsplit(url).path.rstrip("/")
    except ValueError:
        return ""


def _parse(text: bytes, place: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass  # not JSON, so it should be YAML
    except RecursionError:
        raise _unusable(place, "is nested too deeply to be read") from None
    return _parse_yaml(text, place)


def _parse_yaml(text: bytes, place: str) -> Any:
    import yaml

    try:
        return yaml.load(text, Loader=_loader())  # noqa: S506 -- a safe loader, see there
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise _unusable(place, f"is neither JSON nor YAML{line}") from None
    except (ValueError, RecursionError, TypeError, AttributeError):
        raise _unusable(place, "is neither JSON nor YAML that can be read") from None


def _loader() -> Any:
    """PyYAML's safe loader, in C where there is one. `no` is a word and a date is a text, as in JSON."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # chosen at run time
        pass

    unwanted = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")
    Loader.yaml_implicit_resolvers = {
        first: [each for each in resolvers if each[0] not in unwanted]
        for first, resolvers in Loader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _TRUE_OR_FALSE, list("tTfF"))
    return Loader


def _kind(document: Any) -> str:
    if document is None:
        return "empty"
    if isinstance(document, str):
        return "a plain text"
    return "a list" if isinstance(document, list) else f"a {type(document).__name__}"


def _unusable(place: str, problem: str) -> Halt:
    return Halt(
        f"{place} {problem}",
        exit_code=Exit.MISCONFIGURED,
        code="no_description",
        remedy="give OpsMerge's OpenAPI 3 document, JSON or YAML, with --file or --url; "
        "it is at /api/docs/openapi.yaml on the OpsMerge host",
    )
