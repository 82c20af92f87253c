"""What QuickBooks refuses, with the code, HTTP status and wording of its answers.

Source: Intuit's error code pages and field captures; the wording of texts is ours where none was captured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

VALIDATION = "ValidationFault"


@dataclass(frozen=True)
class Error:
    """One entry of `Fault.Error`."""

    code: str
    message: str
    detail: str
    element: str | None = ""

    def as_json(self) -> dict[str, Any]:
        """Return the fault as JSON."""
        return {"Message": self.message, "Detail": self.detail, "code": self.code, "element": self.element}


class ApiFault(Exception):  # noqa: N818 -- QuickBooks calls it a Fault
    """A refusal. `gateway` asks for the lower-case envelope with time in epoch milliseconds."""

    def __init__(
        self,
        *errors: Error,
        type_: str = VALIDATION,
        status: int = 400,
        gateway: bool = False,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(errors[0].detail if errors else type_)
        self.errors = errors
        self.type = type_
        self.status = status
        self.gateway = gateway
        self.headers = headers or {}

    def as_json(self) -> dict[str, Any]:
        """Return the value of `Fault`."""
        return {"Error": [error.as_json() for error in self.errors], "type": self.type}


def _fault(code: str, message: str, detail: str, element: str | None = "") -> ApiFault:
    return ApiFault(Error(code, message, detail, element))


def business(text: str, element: str = "") -> ApiFault:
    """Return fault 6000, the catch-all; clients must not rely on its text."""
    message = "A business validation error has occurred while processing your request"
    return _fault("6000", message, f"Business Validation Error: {text}", element)


def vat_rate_missing() -> ApiFault:
    """Return the fault for a line without a usable VAT code in a company that charges VAT."""
    return business("Make sure all your transactions have a VAT rate before you save.")


def us_tax_code(value: str) -> ApiFault:
    """Return fault 6100: US companies know TAX and NON only."""
    return _fault(
        "6100", "Invalid Line TaxCode", f"Valid line TaxCodes for US should be TAX or NON. Supplied value: {value}"
    )


def unsupported(operation: str) -> ApiFault:
    """Return fault 500: this entity has no such operation."""
    return _fault("500", "Unsupported Operation", f"Operation {operation} is not supported.", None)


def system_fault(status: int = 500) -> ApiFault:
    """Return fault 10000: something broke inside."""
    text = "An application error has occurred while processing your request"
    return ApiFault(Error("10000", text, f"System Failure Error: {text}", None), type_="SystemFault", status=status)


def missing(parameter: str) -> ApiFault:
    """Return fault 2020: a required parameter is absent."""
    return _fault(
        "2020",
        "Required param missing, need to supply the required value for the API",
        f"Required parameter {parameter} is missing in the request",
        parameter,
    )


def bad_property(name: str, why: str = "is unsupported or invalid") -> ApiFault:
    """Return fault 2010: a property that does not exist, or whose value has the wrong shape."""
    return _fault("2010", "Request has invalid or unsupported property", f"Property Name:{name} {why}", name)


def bad_id(value: str, element: str = "Id") -> ApiFault:
    """Return fault 2030: not an id at all."""
    return _fault("2030", "Invalid ID", f"Invalid ID : Id should be a valid number. Supplied value:{value}", element)


def bad_date(value: str, element: str) -> ApiFault:
    """Return fault 2040: not a date."""
    return _fault("2040", "Invalid Date", f"Invalid Date : use YYYY-MM-DD. Supplied value:{value}", element)


def bad_enum(value: str, element: str) -> ApiFault:
    """Return fault 2060: not one of the values allowed."""
    return _fault("2060", "Invalid Enumeration", f"Invalid Enumeration : {value} is not a value of {element}", element)


def bad_length(element: str, length: int, longest: int, shortest: int = 0) -> ApiFault:
    """Return fault 2050: a text is too long or too short."""
    return _fault(
        "2050",
        "String length is either shorter or longer than supported by specification",
        f"String length specified does not match the supported length. "
        f"Min:{shortest} Max:{longest} supported. Supplied length:{length}",
        element,
    )


def bad_name(element: str, why: str) -> ApiFault:
    """Return fault 6080: a name that cannot be one."""
    return _fault("6080", "Invalid Name", f"The name is invalid : {why}", element)


def not_found() -> ApiFault:
    """Return fault 610: no such object, or it was deleted. HTTP status 400, never 404."""
    return _fault(
        "610",
        "Object Not Found",
        "Object Not Found : Something you're trying to use has been made inactive. "
        "Check the fields with accounts, customers, items, vendors or employees.",
    )


def bad_reference(kind: str, value: str, element: str = "") -> ApiFault:
    """Return fault 2500: a reference leads nowhere, or to something inactive."""
    return _fault(
        "2500", "Invalid Reference Id", f"Invalid Reference Id : {kind} element id {value} not found", element
    )


def cannot_link(why: str) -> ApiFault:
    """Return fault 620: these transactions cannot be linked."""
    return _fault("620", "Transaction Link Error", f"Transaction can't be linked : {why}", "LinkedTxn")


def negative_amount(element: str = "Line.Amount") -> ApiFault:
    """Return fault 2290: negative amounts are refused (a switch; in practice they are accepted)."""
    return _fault("2290", "Negative amount", "Negative amounts are not supported on transaction lines", element)


def stale() -> ApiFault:
    """Return fault 5010: the SyncToken is not the newest."""
    return _fault(
        "5010",
        "Stale Object Error",
        "Stale Object Error : You and root were working on this at the same time. "
        "root finished before you did, so your work was not saved.",
    )


def amount_mismatch(supplied: str) -> ApiFault:
    """Return fault 6070: Amount is not Qty x UnitPrice, half up."""
    return _fault(
        "6070",
        "Amount calculation incorrect in the request.",
        f"Amount is not equal to UnitPrice * Qty. Supplied value:{supplied}",
        "Line.Amount",
    )


def duplicate_number(number: str, kind: str, txn_id: str) -> ApiFault:
    """Return fault 6140: the number is taken; the detail names by what."""
    return _fault(
        "6140",
        "Duplicate Document Number Error",
        "Duplicate Document Number Error : You must specify a different number. This number has already been used. "
        f"DocNumber={number} is assigned to TxnType={kind} with TxnId={txn_id}",
    )


def duplicate_name(detail: str) -> ApiFault:
    """Return fault 6240: the name is taken by a customer, vendor, employee, item or account."""
    return _fault("6240", "Duplicate Name Exists Error", f"The name supplied already exists. : {detail}")


def tax_details_conflict() -> ApiFault:
    """Return fault 6170: tax details together with GlobalTaxCalculation NotApplicable."""
    return _fault(
        "6170", "Invalid Tax Calculation", "TxnTaxDetail cannot be given when GlobalTaxCalculation is NotApplicable"
    )


def closed_books(date: str) -> ApiFault:
    """Return fault 6210: a new transaction on or before the closing date."""
    return _fault(
        "6210",
        "Account Period Closed, Cannot Update Through Services API",
        f"The account period has closed and the account books cannot be updated through the API. Closing date: {date}",
    )


def closed_period(date: str) -> ApiFault:
    """Return fault 6200: a change to a transaction on or before the closing date."""
    return _fault("6200", "Account Period Closed", f"The transaction lies before the closing date {date}")


def deposited() -> ApiFault:
    """Return fault 6540: the payment lies in a bank deposit."""
    return _fault(
        "6540",
        "Deposited Transaction cannot be changed",
        "Deposited Transaction cannot be changed : remove it from the deposit first",
    )


def subscription_ended() -> ApiFault:
    """Return fault 6190: the company can be read, but no longer written."""
    return _fault(
        "6190", "Invalid Company Status", "Subscription period has ended or canceled or there was a billing problem"
    )


def feature(name: str) -> ApiFault:
    """Return fault 5030: the plan or a preference does not have it."""
    return _fault("5030", "Feature Not Supported Error", f"Feature Not Supported : {name}")


def permission_denied(what: str) -> ApiFault:
    """Return fault 5020: this user may not."""
    return _fault("5020", "Permission Denied Error", f"Permission Denied Error : {what}")


def _auth(code: str, message: str, detail: str, type_: str, status: int) -> ApiFault:
    return ApiFault(Error(code, message, detail, None), type_=type_, status=status)


PLANNED: dict[str, Callable[[], ApiFault]] = {
    "100": lambda: _auth("100", "General Authentication Error", "Sign in again", "AuthenticationFault", 401),
    "120": lambda: _auth("120", "Authorization Failure", "-11014 no access to this company", "AuthorizationFault", 403),
    "2280": lambda: _fault("2280", "Invalid tax code", "The tax code cannot be used on this transaction"),
    "4002": lambda: query_fault("4002", "QueryProcessingError: a stored value is not valid"),
    "5020": lambda: permission_denied("this user may not do that"),
    "6160": lambda: _fault("6160", "Invalid Tax Detail", "The tax details conflict with the lines"),
    "6230": lambda: _fault("6230", "Tax Detail Not Allowed", "Tax details are not allowed here"),
    "6470": lambda: _fault("6470", "Tax Not Allowed", "Tax is not allowed, or its rate is not specified"),
    "10000": system_fault,
}
"""Codes of the vendor's table whose cause is not published or not simulated: they come when planned, `kind` `code`."""


def bad_request_id(why: str) -> ApiFault:
    """Return fault 2130: the request id has a wrong format."""
    return _fault("2130", "Invalid Request Id Format", f"Invalid Request Id Format : {why}", "requestid")


def request_id_too_long(value: str) -> ApiFault:
    """Return fault 6000 of the joined check of requestid and bId."""
    return business(
        "You cannot enter more than 50 characters in the request_id field. "
        f"You tried entering {value[:200]}, which is {len(value)} characters"
    )


def duplicate_request_id() -> ApiFault:
    """Return fault 600: the id was used with other content (a switch)."""
    return _fault("600", "Duplicate Request ID", "Duplicate Request ID : this request id was used for another request")


def batch_too_large(count: int, most: int) -> ApiFault:
    """Return fault 1040: more than 30 items."""
    return _fault("1040", "Batch size exceeded", f"Maximum batch size is {most}. Supplied {count}", "BatchItemRequest")


def query_fault(code: str, detail: str) -> ApiFault:
    """Return fault 4000 parse, 4001 validation, 4002 processing."""
    message = {"4000": "Error parsing query", "4001": "Invalid query", "4002": "Error processing query"}[code]
    return _fault(code, message, detail, None)


def throttled(headers: dict[str, str] | None = None) -> ApiFault:
    """Return fault 3001 with HTTP 429."""
    message = "message=ThrottleExceeded; errorCode=003001; statusCode=429"
    error = Error("3001", message, "The request limit was reached.  Try again later", None)
    return ApiFault(error, type_="SERVICE", status=429, headers=headers)


def authentication_failed(detail: str) -> ApiFault:
    """Return fault 3200 with HTTP 401, in the gateway's envelope."""
    message = "message=AuthenticationFailed; errorCode=003200; statusCode=401"
    return ApiFault(Error("3200", message, detail, None), type_="AUTHENTICATION", status=401, gateway=True)


def authorization_failed(detail: str) -> ApiFault:
    """Return fault 3100 with HTTP 403: another realm or environment, or disconnected."""
    message = "message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403"
    return ApiFault(Error("3100", message, detail, None), type_="SERVICE", status=403, gateway=True)
