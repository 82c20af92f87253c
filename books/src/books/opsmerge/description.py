"""Read an OpenAPI 3 document, JSON or YAML. References are followed only inside it, and nothing in it is executed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from referencing import Registry, Resource, Specification
from referencing.exceptions import Unresolvable

from books.core.faults import Exit, Halt

DEPTH_MAX = 50
"""References in a row, or schemas within schemas; more is a cycle."""

Json = Mapping[str, Any]


class UnresolvedError(Exception):
    """A reference that is missing, leaves the document, or is part of a cycle."""


class Description:
    """A parsed document. Only what is asked for is followed, so its size does not matter."""

    def __init__(self, document: Json) -> None:
        self.document = document
        resource: Resource[Any] = Specification.OPAQUE.create_resource(document)
        self._resolver = Registry().with_resource("", resource).resolver("")

    @classmethod
    def read(cls, text: bytes, place: str) -> Description:
        """Parse a document and check that it describes an API.

        Raises:
            Halt: MISCONFIGURED; it does not. The message says what it is instead.
        """
        document = _parse(text, place)
        if not isinstance(document, Mapping):
            raise _unusable(place, f"is {'empty' if document is None else 'not a JSON or YAML object'}")
        if not str(document.get("openapi", "")).startswith("3.") or not isinstance(document.get("paths"), Mapping):
            raise _unusable(place, "is not an OpenAPI 3 document: `openapi: 3...` or `paths` is missing")
        return cls(document)

    @property
    def title(self) -> str:
        """Title and version of the API."""
        info = _part(self.document, "info")
        return " ".join(str(info[name]) for name in ("title", "version") if info.get(name))

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The paths of its servers, which precede each of its own paths."""
        servers = self.document.get("servers") or [{"url": "/"}]
        urls = [str(each.get("url") or "/") for each in servers if isinstance(each, Mapping)]
        return tuple(dict.fromkeys(urlsplit(url).path.rstrip("/") for url in urls))

    def operations(self) -> Iterator[tuple[str, str, Json, Json]]:
        """Yield each (method, path, path item, operation) that can be read."""
        for path, item in self.document["paths"].items():
            try:
                item = self.follow(item)  # noqa: PLW2901 -- the same thing, followed
            except UnresolvedError:
                continue
            for method, operation in item.items():
                if isinstance(operation, Mapping):
                    yield str(method).upper(), str(path), item, operation

    def follow(self, value: Any) -> Json:
        """Return the object that a `$ref` refers to, or the object itself; empty if it is not an object.

        Raises:
            UnresolvedError: the reference cannot be resolved in this document.
        """
        for _ in range(DEPTH_MAX):
            if not isinstance(value, Mapping) or not isinstance(value.get("$ref"), str):
                return value if isinstance(value, Mapping) else {}
            reference = value["$ref"]
            if not reference.startswith("#"):
                raise UnresolvedError(f"{reference} is not in this document")
            try:
                value = self._resolver.lookup(reference).contents
            except (Unresolvable, ValueError, TypeError, AttributeError):
                raise UnresolvedError(f"{reference} does not exist") from None
        raise UnresolvedError("the references form a cycle")

    def body_schema(self, carrier: Any) -> Any:
        """Return the schema of a JSON request body or answer; None if there is none."""
        content = _part(self.follow(carrier), "content")
        media = next((name for name in content if "json" in str(name)), None)
        return self.follow(content[media]).get("schema") if media else None

    def property_of(self, schema: Any, path: str) -> Any:
        """Return the schema of the value at a dotted path; None if there is none."""
        for step in path.split("."):
            found = [part["properties"][step] for part in self._parts(schema) if step in _part(part, "properties")]
            if not found:
                return None
            schema = found[0] if len(found) == 1 else {"allOf": found}
        return schema

    def names(self, schema: Any) -> list[str]:
        """Return the names of all properties."""
        return sorted({str(name) for part in self._parts(schema) for name in _part(part, "properties")})

    def required(self, schema: Any) -> list[str]:
        """Return the names of all required properties."""
        parts = [each for each in self._parts(schema) if isinstance(each.get("required"), list)]
        return sorted({str(name) for part in parts for name in part["required"]})

    def items(self, schema: Any) -> Any:
        """Return the schema of a list's items; None if there is none."""
        return next((part["items"] for part in self._parts(schema) if "items" in part), None)

    def types(self, schema: Any) -> frozenset[str]:
        """Return the types that a value may have, without null; empty if the schema does not say."""
        found: set[str] = set()
        for part in self._parts(schema):
            kinds = part.get("type")
            found |= {kinds} if isinstance(kinds, str) else {str(each) for each in kinds or ()}
        return frozenset(found - {"null"})

    def _parts(self, schema: Any, depth: int = 0) -> Iterator[Json]:
        """Yield the schema and all its parts; alternatives are merged, since any of them may occur."""
        if depth > DEPTH_MAX:
            raise UnresolvedError("the schemas form a cycle")
        if not isinstance(schema, Mapping):
            return
        yield schema
        inner = [self.follow(schema)] if "$ref" in schema else []
        for word in ("allOf", "oneOf", "anyOf"):
            inner += schema[word] if isinstance(schema.get(word), list) else []
        for each in inner:
            yield from self._parts(each, depth + 1)


def _part(document: Json, name: str) -> Json:
    """Return an object in the document; empty if it is something else."""
    part = document.get(name)
    return part if isinstance(part, Mapping) else {}


def _parse(text: bytes, place: str) -> Any:
    import yaml

    try:
        return json.loads(text)
    except ValueError:
        pass  # not JSON, so it may be YAML
    except RecursionError:
        raise _unusable(place, "is nested too deeply to be read") from None
    try:
        # The base loader returns every value as text, so `no` stays a word and an invalid date is accepted.
        return yaml.load(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))  # noqa: S506 -- builds texts only
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise _unusable(place, f"is neither JSON nor YAML{line}") from None
    except (ValueError, RecursionError):
        raise _unusable(place, "is neither JSON nor YAML") from None


def _unusable(place: str, problem: str) -> Halt:
    return Halt(
        f"{place} {problem}",
        exit_code=Exit.MISCONFIGURED,
        code="no_description",
        remedy="pass OpsMerge's OpenAPI 3 document, JSON or YAML, with --file or --url; "
        "it is at /api/docs/openapi.yaml on the OpsMerge host",
    )
