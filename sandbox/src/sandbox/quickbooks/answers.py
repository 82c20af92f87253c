"""How an answer leaves: JSON when asked for, else XML; faults in either casing; `intuit_tid` on all of them."""

from __future__ import annotations

import secrets
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from starlette.responses import Response

from sandbox.quickbooks import codec
from sandbox.quickbooks.faults import ApiFault
from sandbox.quickbooks.switches import Switches
from sandbox.quickbooks.times import answer_time

NAMESPACE = "http://schema.intuit.com/finance/v3"
GATEWAY_EMPTY: dict[str, Any] = {
    "warnings": None,
    "intuitObject": None,
    "fault": None,
    "report": None,
    "queryResponse": None,
    "batchItemResponse": [],
    "attachableResponse": [],
    "syncErrorResponse": None,
    "requestId": None,
    "time": 0,
    "status": None,
    "cdcresponse": [],
}
EXTRA = {"SimulatedNewField": "a client must ignore what it does not know"}


def wants_json(accept: str) -> bool:
    """Return whether the request names JSON: without, and with `*/*`, the API answers XML."""
    return "json" in accept.lower()


def success(body: dict[str, Any], epoch: float, switches: Switches, *, json: bool) -> Response:
    """Return a 200 with its `time`."""
    return raw_success(content(body, epoch, switches), epoch, json=json)


def content(body: dict[str, Any], epoch: float, switches: Switches) -> bytes:
    """Return the JSON of an answer."""
    document: Any = {**body, "time": answer_time(epoch)}
    if switches.short_numbers or switches.extra_fields:
        document = codec.decode(codec.encode(document))
        document = codec.short_numbers(document) if switches.short_numbers else document
        document = _with_extra(document) if switches.extra_fields else document
    return codec.encode(document)


def raw_success(stored: bytes, epoch: float, *, json: bool) -> Response:
    """Return a 200 from stored JSON, byte for byte."""
    if json:
        return Response(stored, 200, tid(), "application/json")
    return Response(_xml(codec.decode(stored), epoch), 200, tid(), "application/xml")


def fault(refusal: ApiFault, epoch: float, switches: Switches, *, json: bool) -> Response:
    """Return a refusal, with the casing and the status of its kind."""
    headers = {**tid(), **refusal.headers}
    lower = refusal.gateway or switches.fault_casing == "lower"
    validation = refusal.status == 400  # noqa: PLR2004 -- HTTP's own number
    status = 200 if switches.fault_with_200 and validation else refusal.status
    if not json:
        return Response(_fault_xml(refusal, epoch), status, headers, "application/xml")
    body = _lower(refusal, epoch) if lower else {"Fault": refusal.as_json(), "time": answer_time(epoch)}
    return Response(codec.encode(body), status, headers, "application/json")


def tid() -> dict[str, str]:
    """Return headers of every answer."""
    return {"intuit_tid": f"1-{secrets.token_hex(4)}-{secrets.token_hex(12)}", "QBO-Version": "simulator"}


def _lower(refusal: ApiFault, epoch: float) -> dict[str, Any]:
    errors = [
        {"message": error.message, "detail": error.detail, "code": error.code, "element": error.element or None}
        for error in refusal.errors
    ]
    return {**GATEWAY_EMPTY, "fault": {"error": errors, "type": refusal.type}, "time": int(epoch * 1000)}


def _with_extra(document: Any) -> Any:
    """Return the answer with unknown properties in every object that has an Id."""
    if isinstance(document, dict):
        grown = {name: _with_extra(value) for name, value in document.items()}
        return {**grown, **EXTRA} if "SyncToken" in grown else grown
    return [_with_extra(item) for item in document] if isinstance(document, list) else document


# -- XML


def _fault_xml(refusal: ApiFault, epoch: float) -> str:
    errors = "".join(
        f"<Error code={quoteattr(error.code)}"
        + (f" element={quoteattr(_legal(error.element))}" if error.element else "")
        + f"><Message>{_text(error.message)}</Message><Detail>{_text(error.detail)}</Detail></Error>"
        for error in refusal.errors
    )
    return _envelope(f"<Fault type={quoteattr(refusal.type)}>{errors}</Fault>", epoch)


def _xml(body: dict[str, Any], epoch: float) -> str:
    return _envelope("".join(_element(name, value) for name, value in body.items() if name != "time"), epoch)


def _envelope(inner: str, epoch: float) -> str:
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    return f'{head}<IntuitResponse xmlns="{NAMESPACE}" time="{answer_time(epoch)}">{inner}</IntuitResponse>'


def _element(name: str, value: Any) -> str:
    """Return XML: a list repeats its element; a reference has its name as an attribute and its id as text."""
    if isinstance(value, list):
        return "".join(_element(name, item) for item in value)
    if isinstance(value, dict):
        return _object(name, value)
    return f"<{name}>{_scalar(value)}</{name}>"


def _object(name: str, value: dict[str, Any]) -> str:
    if name.endswith("Ref") and set(value) <= {"value", "name", "type"}:
        label = f" name={quoteattr(_legal(str(value['name'])))}" if "name" in value else ""
        return f"<{name}{label}>{_scalar(value.get('value', ''))}</{name}>"
    attributes = "".join(
        f" {key}={quoteattr(_legal(_plain(item)))}" for key, item in value.items() if key in _ATTRIBUTES
    )
    inner = "".join(_element(key, item) for key, item in value.items() if key not in _ATTRIBUTES)
    return f"<{name}{attributes}>{inner}</{name}>"


_ATTRIBUTES = frozenset({"domain", "sparse", "startPosition", "maxResults", "totalCount", "bId", "status"})


def _scalar(value: Any) -> str:
    return _text(_plain(value))


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if isinstance(value, Decimal) else "" if value is None else str(value)


def _text(value: str) -> str:
    return escape(_legal(value))


def _legal(value: str) -> str:
    """Return the text without what XML 1.0 does not allow: other control characters, and lone surrogates."""
    return "".join(c for c in value if c in "\t\n\r" or (c >= " " and not "\ud800" <= c <= "\udfff" and c < "\ufffe"))
