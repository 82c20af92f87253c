"""What is assumed of the OpsMerge API against its live description: what differs, how bad it is, and what adapts.

`books.opsmerge.api` is the assumption, and the only place where it is written down. Nothing here calls anything.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

from books.opsmerge import api
from books.opsmerge.api import Listing, Operation
from books.opsmerge.description import Description, Json, NotThereError, Shape, document_part
from books.opsmerge.fields import AnyField, Field, ListOf, ObjectOf
from books.opsmerge.kinds import AMOUNT, CHANGED, DAY, KEY, MOMENT, TEXT, Kind


class Level(str, Enum):
    """How bad a difference is."""

    BREAKS = "breaks"
    """Something does not work, or works wrongly."""
    DEGRADES = "degrades"
    """Something stays empty or has to be watched; what is posted and paid is right."""
    HARMLESS = "harmless"
    """The live API has more than we use."""


@dataclass(frozen=True)
class Difference:
    """One difference: where, what the live API says instead, what follows, and the setting or line that adapts."""

    level: Level
    place: str
    what: str
    effect: str
    adapts: str


@dataclass(frozen=True)
class Comparison:
    """All differences, worst first, and how much was compared."""

    differences: tuple[Difference, ...]
    calls: int
    facts: int

    @property
    def breaks(self) -> bool:
        """Whether anything does not work."""
        return any(each.level is Level.BREAKS for each in self.differences)


LOST: Mapping[Operation, str] = {
    api.WHO: "the key cannot be checked beforehand",
    api.LIST_INVOICES: "no invoice can be read, so nothing is posted",
    api.LIST_PAYMENTS: "payments that people enter in OpsMerge are not seen, and would be doubled",
    api.LIST_CLIENTS: "renamed clients are not seen",
    api.LIST_SERVICES: "the item mappings made in OpsMerge are not seen",
    api.LIST_TAX_CODES: "the tax code mappings made in OpsMerge are not seen",
    api.GET_INVOICE: "it is not seen what an invoice shows already",
    api.PUT_ACCOUNTING: "OpsMerge shows neither the QuickBooks id nor the error",
    api.PUT_PAYMENT: "paid invoices do not become Paid",
    api.VOID_PAYMENT: "a payment voided in QuickBooks stays in OpsMerge",
}

PARAMETERS: Mapping[str, str] = {
    api.STATUS: "the setting invoice_status has no effect; leave it unset",
    api.CHANGED_SINCE: "changes cannot be asked for",
    api.LIMIT: "the size of pages cannot be asked for",
    api.CURSOR: "no page but the first can be read",
}

MAY_BE_MISSING = frozenset(
    {
        ("invoices", "notes"),
        ("invoices", "opened_at"),
        ("invoices", "voided_at"),
        ("invoices", "created_at"),
        ("invoices", "due_date"),
        ("invoices", "client_email"),
        ("invoices", "billing_address"),
        ("invoices", "accounting.synced_at"),
        ("invoices", "accounting.error"),
        ("invoices", "lines.id"),
        ("invoices", "lines.position"),
        ("payments", "method"),
        ("payments", "reference"),
        ("clients", "email"),
        ("clients", "billing_address"),
        ("clients", "active"),
        ("services", "active"),
    }
)
"""Without these nothing goes wrong: they stay empty."""

ANSWERS: Mapping[Operation, Listing] = {
    **{listing.operation: listing for listing in api.LISTINGS},
    api.GET_INVOICE: api.INVOICES,
    api.PUT_ACCOUNTING: api.INVOICES,
    api.PUT_PAYMENT: api.PAYMENTS,
}


@dataclass(frozen=True)
class Sent:
    """One field of a body that we send: its kind, whether we may send null, and the words we send."""

    name: str
    kind: Kind
    may_be_null: bool = False
    words: tuple[str, ...] = ()


SENT: Mapping[Operation, tuple[Sent, ...]] = {
    api.PUT_ACCOUNTING: (
        Sent("provider", TEXT, words=("quickbooks",)),
        Sent("connection", TEXT),
        Sent("external_id", TEXT, may_be_null=True),
        Sent("status", TEXT, words=api.ACCOUNTING_STATUSES),
        Sent("error", TEXT, may_be_null=True),
        Sent("synced_at", MOMENT),
    ),
    api.PUT_PAYMENT: (
        Sent("amount", AMOUNT),
        Sent("currency", TEXT),
        Sent("paid_on", DAY),
        Sent("method", TEXT, may_be_null=True),
        Sent("reference", TEXT, may_be_null=True),
    ),
}

_ORDER = (Level.BREAKS, Level.DEGRADES, Level.HARMLESS)
_CLIENT = "books/src/books/opsmerge/client.py"


def compare(description: Description, api_url_path: str) -> Comparison:
    """Hold every call, parameter, field, word and the login against the description.

    `api_url_path` is the path of the setting api_url, e.g. `/api/v1`.
    """
    comparing = _Comparing(description, api_url_path)
    found = tuple(sorted(comparing.run(), key=lambda each: _ORDER.index(each.level)))
    return Comparison(tuple(dict.fromkeys(found)), len(api.OPERATIONS), comparing.facts)


class _Comparing:
    """One comparison. Methods give the differences they find."""

    def __init__(self, description: Description, api_url_path: str) -> None:
        self.facts = 0
        self._description = description
        self._base = api_url_path.rstrip("/")
        self._there = {
            (method, _template(path)): (path, item, operation)
            for path, method, item, operation in description.operations()
        }

    def run(self) -> Iterator[Difference]:
        """Everything."""
        prefix = self._prefix()
        if prefix is not None and prefix != self._base:
            yield Difference(
                Level.BREAKS,
                "base address",
                f"the API is below {prefix or '/'}, and api_url ends with {self._base or '/'}",
                "every call fails with 404",
                f"OPSMERGE_API_URL: end it with {prefix or '/'}",
            )
        for operation in api.OPERATIONS:
            yield from self._operation(operation, prefix)

    def _prefix(self) -> str | None:
        """What stands before our paths: as api_url has it if any call is there, else where most calls are."""
        prefixes = dict.fromkeys((self._base, *self._description.prefixes, *self._path_prefixes()))
        counts = {prefix: self._calls_below(prefix) for prefix in prefixes}
        best = max(counts, key=lambda each: (counts[each], each == self._base), default=None)
        return best if best is not None and counts[best] else None

    def _calls_below(self, prefix: str) -> int:
        return sum(self._find(operation, prefix) is not None for operation in api.OPERATIONS)

    def _path_prefixes(self) -> list[str]:
        """What stands before `/auth/me`, the one path that OpsMerge publishes, and before our other paths."""
        ours = [_template(operation.path) for operation in api.OPERATIONS]
        below = [path[: -len(end)] for _, path in self._there for end in ours if path.endswith(end)]
        return [server + path for path in dict.fromkeys(below) for server in self._description.prefixes]

    def _find(self, operation: Operation, prefix: str | None) -> tuple[str, Json, Json] | None:
        """The operation in the description, whichever part of its address stands under `servers`."""
        whole = (prefix or "") + _template(operation.path)
        for server in self._description.prefixes:
            if whole.startswith(server):
                found = self._there.get((operation.method, whole[len(server) :]))
                if found is not None:
                    return found
        return None

    def _operation(self, operation: Operation, prefix: str | None) -> Iterator[Difference]:
        place = f"{operation.method} {operation.path}"
        self.facts += 1
        found = self._find(operation, prefix)
        if found is None:
            yield Difference(Level.BREAKS, place, self._absent(operation), LOST[operation], line_of(operation))
            return
        path, item, described = found
        parts = (
            self._login(place, described),
            self._scope(place, operation, described),
            self._parameters(place, operation, item, described),
            self._request(place, operation, described),
            self._answer(place, operation, described),
        )
        for part in parts:
            yield from _as_far_as_it_goes(part, place, f"not known for {path}", line_of(operation))

    def _absent(self, operation: Operation) -> str:
        """That it is not there, and what may be meant."""
        template = _template(operation.path)
        methods = sorted({method for method, path in self._there if path.endswith(template)})
        if methods:
            return f"the path has no {operation.method}; it has {', '.join(methods)}"
        paths = {path for _, path in self._there}
        near = difflib.get_close_matches(template, paths, n=1, cutoff=0.6)
        named = next((real for real, _, _ in self._there.values() if near and _template(real) == near[0]), None)
        return f"there is no such path; nearest is {named}" if named else "there is no such path"

    # The login.

    def _login(self, place: str, described: Json) -> Iterator[Difference]:
        self.facts += 1
        wanted = described.get("security", self._description.document.get("security"))
        if not isinstance(wanted, list) or not wanted:
            return
        schemes = [self._scheme(name) for each in wanted if isinstance(each, Mapping) for name in each]
        if not schemes or any(_is_bearer(scheme) for scheme in schemes) or {} in wanted:
            return
        told = " or ".join(sorted({_scheme_words(scheme) for scheme in schemes}))
        yield Difference(
            Level.BREAKS,
            place,
            f"wants {told}, not a bearer key",
            "every call is refused (401)",
            f"{_CLIENT}, _request",
        )

    def _scheme(self, name: str) -> Json:
        components = document_part(self._description.document, "components")
        return self._description.follow(document_part(components, "securitySchemes").get(name))

    def _scope(self, place: str, operation: Operation, described: Json) -> Iterator[Difference]:
        told = described.get("x-scope")
        if not isinstance(told, str) or not operation.scope:
            return
        self.facts += 1
        if told != operation.scope:
            yield Difference(
                Level.DEGRADES,
                place,
                f"needs the scope {told}, not {operation.scope}",
                "give the key this scope; our messages name the other one",
                line_of(operation),
            )

    # What we ask for.

    def _parameters(self, place: str, operation: Operation, item: Json, described: Json) -> Iterator[Difference]:
        there = self._query_parameters(item, described)
        for name in operation.parameters:
            self.facts += 1
            if name not in there:
                yield Difference(
                    Level.BREAKS,
                    f"{place}, parameter {name}",
                    f"there is none; there are {', '.join(sorted(there)) or 'none at all'}",
                    PARAMETERS[name],
                    line_with(f'"{name}"'),
                )
            else:
                yield from self._parameter(f"{place}, parameter {name}", name, there[name])
        for name, parameter in there.items():
            if name in operation.parameters:
                continue
            needed = parameter.get("required") is True
            yield Difference(
                Level.BREAKS if needed else Level.HARMLESS,
                f"{place}, parameter {name}",
                "is required, and we do not send it" if needed else "more than we use",
                LOST[operation] if needed else "none",
                line_of(operation) if needed else "",
            )

    def _query_parameters(self, item: Json, described: Json) -> dict[str, Json]:
        lists = [source.get("parameters") for source in (item, described)]
        followed = [self._description.follow(each) for some in lists if isinstance(some, list) for each in some]
        return {str(each.get("name")): each for each in followed if each.get("in") == "query"}

    def _parameter(self, place: str, name: str, parameter: Json) -> Iterator[Difference]:
        shape = self._description.shape(parameter.get("schema"))
        if name == api.LIMIT and isinstance(shape.maximum, (int, float)) and shape.maximum < api.PAGE_SIZE_MAX:
            yield Difference(
                Level.BREAKS,
                place,
                f"is at most {shape.maximum}, and we ask for {api.PAGE_SIZE_MAX}",
                "every page is refused (422)",
                f"TAP_OPSMERGE_PAGE_SIZE={shape.maximum} for the tap; {line_with('PAGE_SIZE_MAX =')} for the rest",
            )
        if name == api.STATUS:
            words = self._description.shape(shape.items) if shape.items is not None else shape
            yield from self._words(
                place, words, api.STATUSES, "no invoice of that status can be asked for", "STATUSES ="
            )
            if shape.items is not None and parameter.get("explode", True) is True:
                yield Difference(
                    Level.DEGRADES,
                    place,
                    "several statuses go as status=a&status=b, and we send status=a,b",
                    "the setting invoice_status with more than one word is misread; leave it unset",
                    "TAP_OPSMERGE_INVOICE_STATUS",
                )

    # What we send.

    def _request(self, place: str, operation: Operation, described: Json) -> Iterator[Difference]:
        fields = SENT.get(operation, ())
        if not fields:
            return
        body = self._description.follow(described.get("requestBody"))
        schema = _json_schema(self._description, body)
        shape = self._description.shape(schema)
        if schema is None or not shape.properties:
            yield _undescribed(f"{place}, body", line_of(operation))
            return
        for each in fields:
            yield from self._sent(f"{place}, body, {each.name}", each, shape)
        for name in sorted(shape.required - {each.name for each in fields}):
            yield Difference(
                Level.BREAKS,
                f"{place}, body, {name}",
                "is required, and we do not send it",
                LOST[operation],
                line_of(operation),
            )
        for name in sorted(set(shape.properties) - {each.name for each in fields} - shape.required):
            yield _extra(f"{place}, body, {name}")

    def _sent(self, place: str, sent: Sent, body: Shape) -> Iterator[Difference]:
        self.facts += 1
        line = line_with(f'"{sent.name}":')
        if sent.name not in body.properties:
            refused = "the call is refused (422)" if body.closed else "what we say is refused or not kept"
            yield Difference(Level.BREAKS, place, "there is none", refused, line)
            return
        shape = self._description.shape(body.properties[sent.name])
        yield from _types(place, sent.kind, shape, line, reads=False)
        if sent.may_be_null and shape.types and not shape.nullable:
            yield Difference(
                Level.BREAKS, place, "may not be null, and we send null", "the call is refused (422)", line
            )
        yield from self._words(place, shape, sent.words, "the call is refused (422)", "ACCOUNTING_STATUSES =")

    # What we read.

    def _answer(self, place: str, operation: Operation, described: Json) -> Iterator[Difference]:
        place = f"{place}, answer"
        if operation is api.VOID_PAYMENT:
            return
        schema = self._answer_schema(described)
        if schema is None:
            yield _undescribed(place, line_of(operation))
        elif operation is api.WHO:
            yield from self._envelope(place, schema, "scopes", "array", "the key's scopes cannot be checked beforehand")
        elif operation in {listing.operation for listing in api.LISTINGS}:
            yield from self._page(place, schema, ANSWERS[operation])
        else:
            yield from self._fields(place, schema, ANSWERS[operation], ANSWERS[operation].fields, "")

    def _answer_schema(self, described: Json) -> Any:
        answers = {str(status): each for status, each in document_part(described, "responses").items()}
        for status in ("200", "201", "2XX", "2xx", "default"):
            if status in answers:
                return _json_schema(self._description, self._description.follow(answers[status]))
        return None

    def _page(self, place: str, schema: Any, listing: Listing) -> Iterator[Difference]:
        yield from self._envelope(place, schema, api.ROWS, "array", LOST[listing.operation])
        yield from self._envelope(place, schema, api.NEXT_CURSOR, "string", "only the first page is read")
        rows = self._description.shape(schema).properties.get(api.ROWS)
        items = self._description.shape(rows).items if rows is not None else None
        if items is not None:
            yield from self._fields(place, items, listing, listing.fields, "")

    def _envelope(self, place: str, schema: Any, name: str, kind: str, effect: str) -> Iterator[Difference]:
        self.facts += 1
        properties = self._description.shape(schema).properties
        if name not in properties:
            told = f"there is none; there are {', '.join(sorted(properties)) or 'no fields'}"
            yield Difference(Level.BREAKS, f"{place}, {name}", told, effect, line_with(f'"{name}"'))
            return
        types = self._description.shape(properties[name]).types
        if types and kind not in types:
            told = f"is {_either(types)}, not {kind}"
            yield Difference(Level.BREAKS, f"{place}, {name}", told, effect, line_with(f'"{name}"'))

    def _fields(
        self, place: str, schema: Any, listing: Listing, fields: Sequence[AnyField], above: str
    ) -> Iterator[Difference]:
        for each in fields:
            yield from self._field(place, schema, listing, each, above)
        known = {each.path.split(".")[0] for each in fields}
        for name in sorted(set(self._description.shape(schema).properties) - known):
            yield _extra(f"{place}, {_inner(above, name)}")

    def _field(self, place: str, schema: Any, listing: Listing, wanted: AnyField, above: str) -> Iterator[Difference]:
        self.facts += 1
        name, where = _inner(above, wanted.name), f"{place}, {_inner(above, wanted.path)}"
        line = line_with(f'"{wanted.path}"', after=_table_of(listing, above))
        found = self._description.at(schema, wanted.path)
        if found is None:
            yield _missing(where, listing, name, line)
        elif isinstance(wanted, Field):
            shape = self._description.shape(found)
            yield from _types(where, wanted.kind, shape, line, reads=True)
            if (listing.name, name) == ("invoices", "status"):
                yield from self._words(
                    where, shape, api.STATUSES, "it is not known which invoices are due", "STATUSES ="
                )
        elif isinstance(wanted, ObjectOf):
            yield from self._inside(where, found, listing, wanted, name)
        else:
            yield from self._list(where, place, found, listing, wanted, name, line)

    def _inside(self, where: str, found: Any, listing: Listing, wanted: ObjectOf, name: str) -> Iterator[Difference]:
        """An object that may be described as just that."""
        if self._description.shape(found).properties:
            yield from self._fields(where.rpartition(", ")[0], found, listing, wanted.fields, name)

    def _list(
        self, where: str, place: str, found: Any, listing: Listing, wanted: ListOf, name: str, line: str
    ) -> Iterator[Difference]:
        shape = self._description.shape(found)
        if shape.types and "array" not in shape.types:
            told = f"is {_either(shape.types)}, not a list"
            yield Difference(Level.BREAKS, where, told, LOST[listing.operation], line)
        elif shape.items is not None:
            yield from self._fields(place, shape.items, listing, wanted.fields, name)

    def _words(self, place: str, shape: Shape, ours: Sequence[str], effect: str, symbol: str) -> Iterator[Difference]:
        """The words of an enumeration; one that is described as any text says nothing."""
        if shape.enum is None or not ours:
            return
        self.facts += 1
        missing = [word for word in ours if word not in shape.enum]
        if missing:
            told = f"knows {', '.join(sorted(shape.enum))}, not {', '.join(missing)}"
            yield Difference(Level.BREAKS, place, told, effect, line_with(symbol))
        elif more := sorted(shape.enum - set(ours) - {"xero"}):
            yield Difference(
                Level.DEGRADES, place, f"also knows {', '.join(more)}", "such a one is left alone", line_with(symbol)
            )


def _as_far_as_it_goes(part: Iterator[Difference], place: str, effect: str, line: str) -> Iterator[Difference]:
    """What could be compared; where a reference leads nowhere, that is a difference too."""
    try:
        yield from part
    except NotThereError as error:
        yield Difference(Level.BREAKS, place, f"cannot be compared: {error}", effect, line)


def _template(path: str) -> str:
    """A path whatever its placeholders are called."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def _inner(above: str, name: str) -> str:
    return f"{above}.{name}" if above else name


def _json_schema(description: Description, carrier: Json) -> Any:
    """The schema of a body or answer in JSON."""
    content = document_part(carrier, "content")
    media = next((name for name in content if "json" in str(name)), None) or ("*/*" if "*/*" in content else None)
    return description.follow(content[media]).get("schema") if media else None


def _is_bearer(scheme: Json) -> bool:
    """Whether a key in `Authorization: Bearer` is what it wants."""
    if scheme.get("type") == "http":
        return str(scheme.get("scheme", "")).lower() == "bearer"
    if scheme.get("type") == "apiKey":
        return scheme.get("in") == "header" and str(scheme.get("name", "")).lower() == "authorization"
    return scheme.get("type") in ("oauth2", "openIdConnect")


def _scheme_words(scheme: Json) -> str:
    if scheme.get("type") == "apiKey":
        return f"a key in the {scheme.get('in')} {scheme.get('name')}"
    return " ".join(str(scheme[name]) for name in ("type", "scheme") if scheme.get(name)) or "an unknown login"


READ_TOO = {"number": {"integer", "string"}, "integer": {"number", "string"}}
"""Types that we read as well: a number may come as text, exact."""


def _types(place: str, kind: Kind, shape: Shape, line: str, *, reads: bool) -> Iterator[Difference]:
    """Whether values of a described type are ones that we read, or accept the ones that we send."""
    accepted = {kind.json_type} | (READ_TOO.get(kind.json_type, set()) if reads else set())
    real = shape.types - {"null"}
    if real and not real & accepted:
        effect = "the answer cannot be read, and the run ends" if reads else "the call is refused (422)"
        yield Difference(Level.BREAKS, place, f"is {_either(real)}, not {kind.json_type}", effect, line)
    elif reads and real - accepted:
        yield Difference(
            Level.DEGRADES, place, f"may also be {_either(real - accepted)}", "such a value ends the run", line
        )
    yield from _formats(place, kind, shape, line)
    if reads and shape.nullable and kind in (KEY, AMOUNT, CHANGED):
        yield Difference(Level.DEGRADES, place, "may be null", "a row without it ends the run", line)


def _formats(place: str, kind: Kind, shape: Shape, line: str) -> Iterator[Difference]:
    wanted = kind.schema.get("format")
    told = shape.formats & {"date", "date-time"}
    if wanted and told and wanted not in told:
        yield Difference(Level.BREAKS, place, f"is a {_either(told)}, not a {wanted}", "the value cannot be read", line)


def _either(words: Iterable[str]) -> str:
    return " or ".join(sorted(words))


def _missing(where: str, listing: Listing, name: str, line: str) -> Difference:
    parts = name.split(".")
    optional = any((listing.name, ".".join(parts[: n + 1])) in MAY_BE_MISSING for n in range(len(parts)))
    return Difference(
        Level.DEGRADES if optional else Level.BREAKS,
        where,
        "there is none",
        "it stays empty" if optional else LOST[listing.operation],
        line,
    )


def _extra(place: str) -> Difference:
    return Difference(Level.HARMLESS, place, "more than we use", "none", "")


def _undescribed(place: str, line: str) -> Difference:
    return Difference(Level.DEGRADES, place, "is not described", "cannot be compared: try it on the sandbox", line)


# Where the assumption is written down.

_SOURCE = inspect.getsource(api).splitlines()
_FILE = "books/src/books/opsmerge/api.py"


@cache
def line_with(text: str, after: str = "") -> str:
    """`api.py:<line>` of the first line that holds a text, below the line that begins with another."""
    begin = next((place for place, line in enumerate(_SOURCE) if after and line.startswith(after)), 0)
    for place in range(begin, len(_SOURCE)):
        if text in _SOURCE[place]:
            return f"{_FILE}:{place + 1}"
    return _FILE


def line_of(operation: Operation) -> str:
    """The line of a call."""
    return line_with(f'"{operation.path}"', after=_symbol(operation))


def _symbol(operation: Operation) -> str:
    return next(name for name, value in vars(api).items() if value is operation) + " ="


def _table_of(listing: Listing, above: str) -> str:
    """Which table of `api` describes the fields below a name."""
    inner = {"lines": "LINE:", "accounting": "ACCOUNTING:", "billing_address": "ADDRESS:"}
    outer = {"invoices": "INVOICE:", "payments": "PAYMENT:", "clients": "CLIENT:", "services": "SERVICE:"}
    return inner.get(above.rpartition(".")[2]) or outer.get(listing.name, "TAX_CODE:")
