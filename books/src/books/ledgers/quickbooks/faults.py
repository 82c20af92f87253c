"""Turn QuickBooks' errors into the four kinds of fault, each with a remedy.

The code decides, never the text: Intuit translates `Message` and `Detail` into the company's language
(Intuit, "Error codes" and "Handling common errors"). Errors arrive as JSON with `Fault` or, from the gateway, `fault`;
as XML; as an HTML page; and sometimes with HTTP 200.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from books.core.faults import Exit, Fault, Halt, Reject, Retry, ServerError
from books.transport.call import Response

RECONNECT = (
    "reconnect: run `books connect` (or put a new refresh token into the setting refresh_token, "
    "QUICKBOOKS_REFRESH_TOKEN)"
)
"""The remedy for a dead connection."""

REQUEST_ID_HEADER = "intuit_tid"
"""The header with the id of a call that Intuit's support asks for."""

EXPIRED = "3200"
COMPANY_LOST = "3100"
DUPLICATE_NUMBER = "6140"
DUPLICATE_NAME = "6240"
STALE_REFERENCES = frozenset({"610", "2500"})
"""A customer, item or tax code that we remember no longer exists or is inactive: look it up again."""


class Meaning(Enum):
    """What an error means; each becomes one kind of fault."""

    RECORD = "record"
    """This record is refused: Reject."""
    LATER = "later"
    """The call did not happen: Retry."""
    FAILED = "failed"
    """The call may have happened; QuickBooks failed: ServerError."""
    DEAD = "dead"
    """The connection is dead: Halt 69."""
    SETTINGS = "settings"
    """The company or the app is not set up for this: Halt 78."""


@dataclass(frozen=True)
class Rule:
    """One row of the table of codes: its meaning, our message and the remedy."""

    meaning: Meaning
    words: str
    remedy: str


CHECK_CONNECTION = f"Check that environment, realm_id and the app's keys belong together, or {RECONNECT}."
REPORT = f"This is a defect of the bridge: please report it with the invoice number and the {REQUEST_ID_HEADER}."
TAX_REMEDY = "Map the line's tax code to an active VAT code of this company under tax_codes in mappings.yml."

RULES: Mapping[str, Rule] = {
    "100": Rule(Meaning.DEAD, "QuickBooks did not accept the login (token expired)", CHECK_CONNECTION),
    "120": Rule(Meaning.DEAD, "the connected user may not use this company", CHECK_CONNECTION),
    "500": Rule(Meaning.RECORD, "QuickBooks does not support this operation", REPORT),
    "600": Rule(Meaning.FAILED, "QuickBooks has seen this request before", "Nothing is needed: it is looked up."),
    "610": Rule(
        Meaning.RECORD,
        "a customer, item or tax code was deleted or made inactive in QuickBooks",
        "Make it active again in QuickBooks, or map to another one in mappings.yml; then run `books retry`.",
    ),
    "620": Rule(Meaning.RECORD, "QuickBooks cannot link these transactions", "Link them in QuickBooks by hand."),
    "1040": Rule(Meaning.RECORD, "the batch holds too many items", "Set batch_size to 30 or less."),
    "2010": Rule(Meaning.RECORD, "QuickBooks does not know a property that was sent", REPORT),
    "2020": Rule(Meaning.RECORD, "a required value is missing", "Complete the invoice in OpsMerge."),
    "2030": Rule(Meaning.RECORD, "an id is not valid", "Check the ids in mappings.yml."),
    "2040": Rule(Meaning.RECORD, "a date is not valid", "Correct the date in OpsMerge."),
    "2050": Rule(Meaning.RECORD, "a text is too long or too short", "Shorten it in OpsMerge."),
    "2060": Rule(Meaning.RECORD, "QuickBooks does not allow a value", "Correct the value in OpsMerge."),
    "2130": Rule(Meaning.RECORD, "the request id is not valid", REPORT),
    "2280": Rule(Meaning.RECORD, "the VAT of this invoice is not valid in QuickBooks", TAX_REMEDY),
    "2290": Rule(
        Meaning.RECORD, "QuickBooks refuses the negative amount", "Raise a credit note in QuickBooks instead."
    ),
    "2500": Rule(
        Meaning.RECORD,
        "a customer, item or tax code does not exist in this company or is inactive",
        "Make it active in QuickBooks, or correct mappings.yml; then run `books retry`.",
    ),
    "3001": Rule(Meaning.LATER, "rate limited", "Nothing is needed: it is sent again after the pause."),
    "3100": Rule(
        Meaning.DEAD,
        "this login is not valid for this company: wrong realm_id, sandbox keys in production, or disconnected",
        CHECK_CONNECTION,
    ),
    "3200": Rule(Meaning.DEAD, "token expired", CHECK_CONNECTION),
    "4000": Rule(Meaning.RECORD, "QuickBooks could not read the query", REPORT),
    "4001": Rule(Meaning.RECORD, "QuickBooks refused the query", REPORT),
    "4002": Rule(Meaning.RECORD, "QuickBooks could not process the query", REPORT),
    "5010": Rule(Meaning.RECORD, "somebody changed it in QuickBooks at the same time", "Run again: it is read again."),
    "5020": Rule(
        Meaning.SETTINGS,
        "the connected user has no permission for this",
        "Connect as a user who may create invoices and customers.",
    ),
    "5030": Rule(
        Meaning.SETTINGS,
        "this QuickBooks plan or company does not have the feature",
        "Turn the feature on in QuickBooks, or choose a plan that includes it.",
    ),
    "6000": Rule(
        Meaning.RECORD,
        "QuickBooks refused the invoice (often a missing TaxCodeRef, a closed account or a second currency)",
        "Read QuickBooks' message, correct the invoice or the mapping; then run `books retry`.",
    ),
    "6070": Rule(Meaning.RECORD, "the line's amount is not quantity times price", REPORT),
    "6080": Rule(Meaning.RECORD, "the name is missing or not valid", "Give the client a name in OpsMerge."),
    "6100": Rule(
        Meaning.RECORD, "this is a US company, which knows only TAX and NON", "Connect the UK company instead."
    ),
    "6140": Rule(
        Meaning.RECORD,
        "the number is already used in QuickBooks",
        "Compare the two in QuickBooks, then renumber or void the wrong one.",
    ),
    "6160": Rule(Meaning.RECORD, "the VAT details conflict", TAX_REMEDY),
    "6170": Rule(Meaning.RECORD, "VAT details are not allowed on this invoice", TAX_REMEDY),
    "6190": Rule(
        Meaning.DEAD,
        "the company's QuickBooks subscription has ended: it is read-only",
        "Renew the subscription in QuickBooks, then run again.",
    ),
    "6200": Rule(
        Meaning.RECORD,
        "the accounting period is closed",
        "Ask the accountant to reopen the period, or date the invoice in an open one.",
    ),
    "6210": Rule(
        Meaning.RECORD,
        "the date is before the closing date",
        "Ask the accountant to reopen the period, or date the invoice in an open one.",
    ),
    "6230": Rule(Meaning.RECORD, "the VAT details conflict", TAX_REMEDY),
    "6240": Rule(
        Meaning.RECORD,
        "a customer, vendor, employee or item already has this name",
        "Name the customer of this client under clients in mappings.yml.",
    ),
    "6470": Rule(Meaning.RECORD, "this VAT rate is not allowed here", TAX_REMEDY),
    "6540": Rule(Meaning.RECORD, "the payment is in a bank deposit", "Remove it from the deposit in QuickBooks first."),
    "10000": Rule(
        Meaning.FAILED, "QuickBooks had an internal error", "Nothing is needed: it is looked up and sent again."
    ),
}

UNLISTED = Rule(
    Meaning.RECORD, "QuickBooks refused it", "Read QuickBooks' message and correct the cause; then run `books retry`."
)


@dataclass(frozen=True)
class VendorError:
    """One `Error` of a `Fault`, whatever its spelling and encoding."""

    code: str
    message: str = ""
    detail: str = ""
    element: str = ""


def errors_in(payload: Any) -> list[VendorError]:
    """Return the errors of a parsed JSON answer or batch item; empty if it has no fault."""
    if not isinstance(payload, Mapping):
        return []
    fault = payload.get("Fault") or payload.get("fault")
    if not isinstance(fault, Mapping):
        return []
    errors = fault.get("Error") or fault.get("error") or [{}]
    return [_vendor_error(error) for error in errors if isinstance(error, Mapping)]


def _vendor_error(error: Mapping[str, Any]) -> VendorError:
    lowered = {str(key).lower(): "" if value is None else str(value) for key, value in error.items()}
    return VendorError(
        code=_plain_code(lowered.get("code", "")),
        message=lowered.get("message", ""),
        detail=lowered.get("detail", ""),
        element=lowered.get("element", ""),
    )


def _plain_code(code: str) -> str:
    """Return the code without leading zeros: `003001` and `3001` are the same."""
    return code.strip().lstrip("0")


_XML_ERROR = re.compile(r"<Error\b([^>]*)>(.*?)</Error>", re.DOTALL)


def errors_in_xml(text: str) -> list[VendorError]:
    """Return the errors of an XML answer, which the gateway sometimes sends although JSON was requested."""
    return [
        VendorError(
            code=_plain_code(_attribute(attributes, "code")),
            message=_element(inner, "Message"),
            detail=_element(inner, "Detail"),
            element=_attribute(attributes, "element"),
        )
        for attributes, inner in _XML_ERROR.findall(text)
    ]


def _attribute(text: str, name: str) -> str:
    found = re.search(rf'\b{name}="([^"]*)"', text)
    return html.unescape(found.group(1)) if found else ""


def _element(text: str, name: str) -> str:
    found = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
    return html.unescape(found.group(1)).strip() if found else ""


_SEVERITY = (Meaning.DEAD, Meaning.SETTINGS, Meaning.FAILED, Meaning.LATER, Meaning.RECORD)


def classify(errors: Sequence[VendorError], vendor_request_id: str | None = None) -> Fault:
    """Return the fault for the errors of one answer: the most severe one decides."""
    error = min(errors, key=lambda each: _SEVERITY.index(_rule(each.code).meaning))
    code, rule, tid = error.code, _rule(error.code), vendor_request_id
    detail = error.detail or error.message
    text = f"{rule.words} ({code or 'no code'}: {detail[:500]})" if detail else f"{rule.words} ({code})"
    if rule.meaning is Meaning.RECORD:
        code = code or "no_code"
        return Reject(text, code=code, field=error.element, remedy=rule.remedy, vendor_request_id=tid)
    if rule.meaning is Meaning.LATER:
        return Retry(text, code=code, remedy=rule.remedy, vendor_request_id=tid)
    if rule.meaning is Meaning.FAILED:
        return ServerError(text, code=code, remedy=rule.remedy, vendor_request_id=tid)
    if rule.meaning is Meaning.DEAD:
        text = f"{rule.words} ({code})"  # without the detail: a 401's quotes the token
    exit_code = Exit.DEAD_CONNECTION if rule.meaning is Meaning.DEAD else Exit.MISCONFIGURED
    return Halt(text, exit_code=exit_code, code=code, remedy=rule.remedy, vendor_request_id=tid)


def _rule(code: str) -> Rule:
    return RULES.get(code, UNLISTED)


def read(response: Response) -> dict[str, Any]:
    """Return the JSON object of a successful answer.

    Raises:
        Fault: the answer is an error, by its status, by a fault inside, or because it cannot be read.
    """
    payload, errors = _open(response)
    tid = response.headers.get(REQUEST_ID_HEADER)
    if response.status == 429:  # noqa: PLR2004 -- Too Many Requests, whatever the body is
        raise Retry("rate limited (3001)", code="3001", remedy=RULES["3001"].remedy, vendor_request_id=tid)
    if response.status >= 500:  # noqa: PLR2004 -- whatever the body says, a 5xx does not prove that nothing happened
        raise _server_error(response.status, errors, tid)
    if errors:
        raise classify(errors, tid)
    if response.status >= 400:  # noqa: PLR2004 -- no fault inside: a gateway's page
        raise _by_status(response.status, tid)
    if payload is None:
        raise ServerError("QuickBooks' answer could not be read", code="unreadable", vendor_request_id=tid)
    return payload


def is_company_lost(response: Response) -> bool:
    """Return whether a 403 says that the login is not valid for this company; so does one that names no code."""
    _payload, errors = _open(response)
    return not errors or any(error.code == COMPANY_LOST for error in errors)


def _open(response: Response) -> tuple[dict[str, Any] | None, list[VendorError]]:
    """Return (JSON object or None, errors in JSON or XML)."""
    try:
        payload = response.json()
    except ValueError:
        return None, errors_in_xml(response.body.decode("utf-8", "replace"))
    return (payload if isinstance(payload, dict) else None), errors_in(payload)


def _server_error(status: int, errors: Sequence[VendorError], tid: str | None) -> ServerError:
    code = errors[0].code if errors else f"http_{status}"
    return ServerError(
        f"QuickBooks answered HTTP {status}", code=code, remedy=RULES["10000"].remedy, vendor_request_id=tid
    )


def _by_status(status: int, tid: str | None) -> Fault:
    if status in (401, 403):
        return classify([VendorError("3200" if status == 401 else "3100")], tid)  # noqa: PLR2004 -- Unauthorized
    if status == 404:  # noqa: PLR2004 -- a missing object is 400/610; 404 is a wrong address
        return Halt(
            "QuickBooks does not know this address (HTTP 404)",
            exit_code=Exit.MISCONFIGURED,
            code="http_404",
            remedy="Check api_url, environment and realm_id.",
            vendor_request_id=tid,
        )
    return Reject(
        f"QuickBooks refused the call (HTTP {status})", code=f"http_{status}", remedy=REPORT, vendor_request_id=tid
    )
