"""Everything this project assumes about the OpsMerge HTTP API: if the API differs, change it here and nowhere else.

Known from OpsMerge's public help pages (admin/api-access, psa/billing, integrations/qbo): the base URL, the bearer
key `om_...`, scopes of the form `family:level`, `GET /auth/me`, the five statuses, the address of the OpenAPI
document. Everything else is an assumption until that document confirms it. `books contract-check` compares them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from books.opsmerge import kinds
from books.opsmerge.fields import AnyField, Field, ListOf, ObjectOf, Problems, record_of, schema_of
from books.opsmerge.kinds import AMOUNT, CHANGED, DAY, FLAG, INTEGER, KEY, MOMENT, MONEY, NUMBER, TEXT
from books.opsmerge.payments import Entry, Settlement

BASE_URL = "https://app.opsmerge.cloud/api/v1"
STATUSES = ("draft", "open", "paid", "overdue", "voided")
PAGE_SIZE_MAX = 200

# The list envelope, and the parameters of a list.
ROWS = "data"
NEXT_CURSOR = "next_cursor"
CURSOR = "cursor"
LIMIT = "limit"
CHANGED_SINCE = "updated_since"
STATUS = "status"


@dataclass(frozen=True)
class Operation:
    """One call: method, path template, the scope that a key needs for it, and its parameters."""

    method: str
    path: str
    scope: str = ""
    parameters: tuple[str, ...] = ()

    def at(self, **values: str) -> str:
        """Return the path with its placeholders filled in, each quoted as one segment."""
        return self.path.format(**{name: quote(value, safe="") for name, value in values.items()})


WHO = Operation("GET", "/auth/me")
LIST_INVOICES = Operation(
    "GET", "/psa/invoices", "psa_invoices:read", parameters=(STATUS, CHANGED_SINCE, LIMIT, CURSOR)
)
LIST_PAYMENTS = Operation("GET", "/psa/payments", "psa_payments:read", parameters=(CHANGED_SINCE, LIMIT, CURSOR))
LIST_CLIENTS = Operation("GET", "/clients", "clients:read", parameters=(LIMIT, CURSOR))
LIST_SERVICES = Operation("GET", "/psa/services", "psa_services:read", parameters=(LIMIT, CURSOR))
LIST_TAX_CODES = Operation("GET", "/psa/tax-codes", "psa_tax_codes:read", parameters=(LIMIT, CURSOR))
GET_INVOICE = Operation("GET", "/psa/invoices/{id}", "psa_invoices:read")
PUT_ACCOUNTING = Operation("PUT", "/psa/invoices/{id}/accounting", "psa_invoices:write")
PUT_PAYMENT = Operation("PUT", "/psa/invoices/{id}/payments/{external_id}", "psa_payments:write")
VOID_PAYMENT = Operation("DELETE", "/psa/invoices/{id}/payments/{external_id}", "psa_payments:write")

OPERATIONS = (
    WHO,
    LIST_INVOICES,
    LIST_PAYMENTS,
    LIST_CLIENTS,
    LIST_SERVICES,
    LIST_TAX_CODES,
    GET_INVOICE,
    PUT_ACCOUNTING,
    PUT_PAYMENT,
    VOID_PAYMENT,
)

ADDRESS: tuple[AnyField, ...] = (
    Field("line1", "line1", TEXT),
    Field("line2", "line2", TEXT),
    Field("city", "city", TEXT),
    Field("postcode", "postcode", TEXT),
    Field("country", "country", TEXT),
)
LINE: tuple[AnyField, ...] = (
    Field("id", "id", TEXT),
    Field("position", "position", INTEGER),
    Field("description", "description", TEXT),
    Field("quantity", "quantity", NUMBER),
    Field("unit_price", "unit_price", NUMBER),
    Field("service_id", "service.id", TEXT),
    Field("service_name", "service.name", TEXT),
    Field("tax_code_id", "tax_code.id", TEXT),
    Field("tax_code_name", "tax_code.name", TEXT),
    Field("tax_rate", "tax_code.rate", NUMBER),  # percent: 20 is 20 %
    Field("net_amount", "net", MONEY),
    Field("tax_amount", "tax", MONEY),
)
ACCOUNTING: tuple[AnyField, ...] = (
    Field("provider", "provider", TEXT),
    Field("connection", "connection", TEXT),
    Field("external_id", "external_id", TEXT),
    Field("status", "status", TEXT),
    Field("error", "error", TEXT),
    Field("synced_at", "synced_at", MOMENT),
)
INVOICE: tuple[AnyField, ...] = (
    Field("id", "id", KEY),
    Field("number", "number", TEXT),
    Field("status", "status", TEXT),
    Field("issue_date", "issue_date", DAY),
    Field("due_date", "due_date", DAY),
    Field("currency", "currency", TEXT),
    Field("client_id", "client.id", TEXT),
    Field("client_name", "client.name", TEXT),
    Field("client_email", "client.email", TEXT),
    ObjectOf("billing_address", "client.billing_address", ADDRESS),
    ListOf("lines", "lines", LINE),
    Field("subtotal", "subtotal", MONEY),
    Field("tax_total", "tax_total", MONEY),
    Field("total", "total", MONEY),
    Field("amount_paid", "amount_paid", MONEY),
    Field("balance", "balance", MONEY),
    Field("notes", "notes", TEXT),
    Field("accounting_excluded", "accounting_excluded", FLAG),
    ObjectOf("accounting", "accounting", ACCOUNTING),
    Field("opened_at", "opened_at", MOMENT),
    Field("voided_at", "voided_at", MOMENT),
    Field("created_at", "created_at", MOMENT),
    Field("updated_at", "updated_at", CHANGED),
)
PAYMENT: tuple[AnyField, ...] = (
    Field("id", "id", KEY),
    Field("invoice_id", "invoice_id", KEY),
    Field("amount", "amount", AMOUNT),
    Field("currency", "currency", TEXT),
    Field("paid_on", "paid_on", DAY),
    Field("method", "method", TEXT),
    Field("reference", "reference", TEXT),
    Field("external_id", "external_id", TEXT),
    Field("voided", "voided", FLAG),
    Field("updated_at", "updated_at", CHANGED),
)
CLIENT: tuple[AnyField, ...] = (
    Field("id", "id", KEY),
    Field("name", "name", TEXT),
    Field("email", "email", TEXT),
    ObjectOf("billing_address", "billing_address", ADDRESS),
    Field("active", "active", FLAG),
)
SERVICE: tuple[AnyField, ...] = (
    Field("id", "id", KEY),
    Field("name", "name", TEXT),
    Field("active", "active", FLAG),
    Field("quickbooks_item", "quickbooks_item", TEXT),
)
TAX_CODE: tuple[AnyField, ...] = (
    Field("id", "id", KEY),
    Field("name", "name", TEXT),
    Field("rate", "rate", NUMBER),
    Field("quickbooks_tax_code", "quickbooks_tax_code", TEXT),
)


@dataclass(frozen=True)
class Listing:
    """A list of the API as a stream of records: name, call, fields, and whether it can be read incrementally.

    `incremental` lists take `updated_since` (inclusive) and are sorted by (updated_at, id).
    """

    name: str
    operation: Operation
    fields: Sequence[AnyField]
    incremental: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the stream's records."""
        return schema_of(self.fields)

    def record(self, body: Any, problems: Problems = None) -> dict[str, Any]:
        """Return one API object as a record of the stream; see `fields.record_of` for `problems`.

        Raises:
            UnreadableError: names the first field that cannot be read.
        """
        record: dict[str, Any] = record_of(self.fields, body, problems=problems)
        return record


INVOICES = Listing("invoices", LIST_INVOICES, INVOICE, incremental=True)
PAYMENTS = Listing("payments", LIST_PAYMENTS, PAYMENT, incremental=True)
CLIENTS = Listing("clients", LIST_CLIENTS, CLIENT)
SERVICES = Listing("services", LIST_SERVICES, SERVICE)
TAX_CODES = Listing("tax_codes", LIST_TAX_CODES, TAX_CODE)
LISTINGS = (INVOICES, PAYMENTS, CLIENTS, SERVICES, TAX_CODES)


@dataclass(frozen=True)
class Accounting:
    """An invoice's accounting block in OpsMerge: `synced_at` is as `kinds.moment` returns it."""

    provider: str
    connection: str
    external_id: str | None
    status: str
    error: str | None
    synced_at: str | None

    def body(self) -> dict[str, Any]:
        """Return the body of PUT_ACCOUNTING."""
        return {
            "provider": self.provider,
            "connection": self.connection,
            "external_id": self.external_id,
            "status": self.status,
            "error": self.error,
            "synced_at": None if self.synced_at is None else zulu(self.synced_at),
        }


def payment_body(payment: Settlement) -> dict[str, Any]:
    """Return the body of PUT_PAYMENT."""
    return {
        "amount": payment.amount,
        "currency": payment.currency,
        "paid_on": payment.paid_on,
        "method": payment.method,
        "reference": payment.reference,
    }


def entry(record: Mapping[str, Any]) -> Entry:
    """Return a record of PAYMENTS as an `Entry`."""
    return Entry(
        id=record["id"],
        invoice_id=record["invoice_id"],
        external_id=record["external_id"],
        settlement=Settlement(
            amount=record["amount"],
            currency=record["currency"],
            paid_on=record["paid_on"],
            method=record["method"],
            reference=record["reference"],
        ),
        voided=bool(record["voided"]),
    )


@dataclass(frozen=True)
class ErrorBody:
    """The content of an error answer."""

    code: str = ""
    message: str = ""
    request_id: str | None = None


def error_body(answer: Any) -> ErrorBody:
    """Return the content of `{"error": {"code", "message", "request_id"}}`; empty if the answer is something else."""
    error = answer.get("error") if isinstance(answer, Mapping) else None
    if not isinstance(error, Mapping):
        return ErrorBody()
    request_id = error.get("request_id")
    return ErrorBody(
        code=str(error.get("code") or ""),
        message=str(error.get("message") or ""),
        request_id=None if request_id is None else str(request_id),
    )


def zulu(value: str) -> str:
    """Return a time for parameters and bodies: UTC with a Z, because a `+` in a query is easily lost."""
    return kinds.moment(value).replace("+00:00", "Z")
