"""Compare what `books.opsmerge.api` assumes with OpsMerge's own OpenAPI document.

Compared are path, method, parameters, fields and types.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from books.core.faults import Exit, Halt
from books.opsmerge import api
from books.opsmerge.api import Listing, Operation
from books.opsmerge.client import OpsMergeClient
from books.opsmerge.description import Description, Json, UnresolvedError
from books.opsmerge.fields import AnyField, Field, ListOf
from books.opsmerge.kinds import AMOUNT, DAY, MOMENT, TEXT, Kind

LOST: Mapping[Operation, str] = {
    api.WHO: "the key cannot be checked beforehand",
    api.LIST_INVOICES: "no invoice can be read, so nothing is posted",
    api.LIST_PAYMENTS: "payments entered by hand in OpsMerge cannot be read, and would be duplicated",
    api.LIST_CLIENTS: "renamed clients are not noticed",
    api.LIST_SERVICES: "item mappings set in OpsMerge cannot be read",
    api.LIST_TAX_CODES: "tax code mappings set in OpsMerge cannot be read",
    api.GET_INVOICE: "an invoice cannot be read before it is written",
    api.PUT_ACCOUNTING: "OpsMerge shows neither the ledger's id nor the error",
    api.PUT_PAYMENT: "paid invoices do not become Paid",
    api.VOID_PAYMENT: "a payment voided in the ledger stays in OpsMerge",
}

OPTIONAL: Mapping[str, frozenset[str]] = {
    "invoices": frozenset(
        {"notes", "opened_at", "voided_at", "created_at", "due_date", "client_email", "billing_address"}
        | {"accounting.synced_at", "accounting.error", "lines.id", "lines.position"}
    ),
    "payments": frozenset({"method", "reference"}),
    "clients": frozenset({"email", "billing_address", "active"}),
    "services": frozenset({"active"}),
}
"""Fields per list that may be missing: they stay empty."""

SENT: Mapping[Operation, Mapping[str, Kind]] = {
    api.PUT_ACCOUNTING: {
        **dict.fromkeys(("provider", "connection", "external_id", "status", "error"), TEXT),
        "synced_at": MOMENT,
    },
    api.PUT_PAYMENT: {"amount": AMOUNT, "paid_on": DAY, **dict.fromkeys(("currency", "method", "reference"), TEXT)},
}
"""The fields of the request bodies."""

READ_TOO = {"number": {"integer", "string"}, "integer": {"number", "string"}}
"""Types that are also accepted: a number may be sent as text."""

LISTS = {listing.operation: listing for listing in api.LISTINGS}
ANSWERS = {**LISTS, api.GET_INVOICE: api.INVOICES, api.PUT_ACCOUNTING: api.INVOICES, api.PUT_PAYMENT: api.PAYMENTS}


@dataclass(frozen=True)
class Difference:
    """One difference: where, what the live API has instead, the effect, and whether something stops working."""

    place: str
    what: str
    effect: str
    breaks: bool = True


def compare(description: Description, api_url_path: str) -> list[Difference]:
    """Return every difference, breaking ones first. `api_url_path` is the path of api_url, e.g. `/api/v1`."""
    described = {
        (method, prefix + _template(path)): (item, operation)
        for method, path, item, operation in description.operations()
        for prefix in description.prefixes
    }
    base = api_url_path.rstrip("/")
    if not any(path.startswith(f"{base}/") for _, path in described):
        below = " or ".join(description.prefixes)
        what = f"the API's path is {below or '/'}, but api_url ends with {base or '/'}"
        return [Difference("base address", what, f"every call fails: make OPSMERGE_API_URL end with {below or '/'}")]
    found = [each for operation in api.OPERATIONS for each in _operation(description, described, base, operation)]
    return sorted(dict.fromkeys(found), key=lambda each: not each.breaks)


def read_pages(client: OpsMergeClient) -> list[Difference]:
    """Read the first page of each list from the live API; report the first row of each that cannot be read.

    Raises:
        Halt: OpsMerge cannot be used now, or refuses the key.
    """
    return [each for listing in api.LISTINGS if (each := _read_page(client, listing)) is not None]


def _read_page(client: OpsMergeClient, listing: Listing) -> Difference | None:
    try:
        for _ in islice(client.records(listing), api.PAGE_SIZE_MAX):
            pass
    except Halt as halt:
        if halt.exit_code is not Exit.FAILED:
            raise
        return Difference(f"GET {listing.operation.path}, a real page", halt.message, LOST[listing.operation])
    return None


def _operation(
    description: Description, described: Mapping[tuple[str, str], tuple[Json, Json]], base: str, operation: Operation
) -> Iterator[Difference]:
    place = f"{operation.method} {operation.path}"
    path = base + _template(operation.path)
    if (operation.method, path) not in described:
        yield Difference(place, _absent(operation.method, path, described), LOST[operation])
        return
    item, there = described[operation.method, path]
    for part in (
        _parameters(description, place, operation, item, there),
        _body(description, place, operation, there),
        _answer(description, place, operation, there),
    ):
        yield from _until_unresolved(part, place, LOST[operation])


def _until_unresolved(part: Iterator[Difference], place: str, effect: str) -> Iterator[Difference]:
    try:
        yield from part
    except UnresolvedError as error:
        yield Difference(place, f"cannot be compared: {error}", effect)


def _absent(method: str, path: str, described: Mapping[tuple[str, str], object]) -> str:
    """Return that a call is missing, and the nearest one there is."""
    methods = sorted(other for other, there in described if there == path)
    if methods:
        return f"the path has no {method}; it has {', '.join(methods)}"
    near = difflib.get_close_matches(path, {there for _, there in described}, n=1)
    return f"there is no such path{f'; the nearest is {near[0]}' if near else ''}"


def _parameters(
    description: Description, place: str, operation: Operation, item: Json, there: Json
) -> Iterator[Difference]:
    lists = [source.get("parameters") for source in (item, there)]
    followed = [description.follow(each) for some in lists if isinstance(some, list) for each in some]
    names = {str(each.get("name")) for each in followed if each.get("in") == "query"}
    for name in operation.parameters:
        if name not in names:
            yield Difference(f"{place}, parameter {name}", _instead(names), LOST[operation])


def _body(description: Description, place: str, operation: Operation, there: Json) -> Iterator[Difference]:
    """Compare the fields that we send: each must exist with our type, and nothing else may be required."""
    if operation not in SENT:
        return
    schema = description.body_schema(there.get("requestBody"))
    for name, kind in SENT[operation].items():
        found = description.property_of(schema, name)
        if found is None:
            yield Difference(f"{place}, body, {name}", _instead(description.names(schema)), "the call is refused")
        elif (types := description.types(found)) and kind.json_type not in types:
            yield Difference(f"{place}, body, {name}", _is_not(types, kind), "the call is refused")
    for name in sorted(set(description.required(schema)) - set(SENT[operation])):
        yield Difference(f"{place}, body, {name}", "is required, and we do not send it", LOST[operation])


def _answer(description: Description, place: str, operation: Operation, there: Json) -> Iterator[Difference]:
    if operation not in ANSWERS:
        return
    answers = {str(status): each for status, each in (there.get("responses") or {}).items()}
    known = next((answers[status] for status in ("200", "201", "2XX", "default") if status in answers), None)
    schema, listing = description.body_schema(known), ANSWERS[operation]
    if operation in LISTS:
        for name in (api.ROWS, api.NEXT_CURSOR):
            if description.property_of(schema, name) is None:
                lost = "only the first page is read" if name == api.NEXT_CURSOR else LOST[operation]
                yield Difference(f"{place}, answer, {name}", _instead(description.names(schema)), lost)
        schema = description.items(description.property_of(schema, api.ROWS))
    if schema is None:
        yield Difference(f"{place}, answer", "is not described", "its fields cannot be compared", breaks=False)
        return
    optional = OPTIONAL.get(listing.name, frozenset())
    yield from _fields(description, f"{place}, answer", schema, listing.fields, optional, LOST[listing.operation])


def _fields(
    description: Description,
    place: str,
    schema: Any,
    fields: Sequence[AnyField],
    optional: frozenset[str],
    lost: str,
    above: str = "",
) -> Iterator[Difference]:
    """Compare each field that we read: it must exist, with a type that we accept."""
    for each in fields:
        name, where = above + each.name, f"{place}, {above}{each.path}"
        found = description.property_of(schema, each.path)
        missing_is_harmless = name in optional or above.removesuffix(".") in optional
        if found is None:
            effect = "it stays empty" if missing_is_harmless else lost
            yield Difference(where, "is missing", effect, breaks=not missing_is_harmless)
        elif isinstance(each, Field):
            types = description.types(found)
            if types and not types & ({each.kind.json_type} | READ_TOO.get(each.kind.json_type, set())):
                yield Difference(where, _is_not(types, each.kind), "the answer cannot be read")
        else:
            wanted = "array" if isinstance(each, ListOf) else "object"
            types, inner = description.types(found), description.items(found) if wanted == "array" else found
            if types and wanted not in types:
                yield Difference(where, f"is {_either(types)}, not {wanted}", "the answer cannot be read")
            elif description.names(inner):  # an object may be described as just that
                yield from _fields(description, place, inner, each.fields, optional, lost, f"{name}.")


def _template(path: str) -> str:
    """Return a path with its placeholders' names removed."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def _instead(names: Sequence[str] | set[str]) -> str:
    return f"is missing; the document has: {', '.join(sorted(names)) or 'none'}"


def _is_not(types: frozenset[str], kind: Kind) -> str:
    return f"is {_either(types)}, not {kind.json_type}"


def _either(words: frozenset[str]) -> str:
    return " or ".join(sorted(words))
