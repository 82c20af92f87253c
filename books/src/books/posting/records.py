"""From a record of the `invoices` stream to an `Invoice`: every wrong type is a rejection that names the field.

Also what counts as content: two records of one content ask for the same posting.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from books.core import money
from books.core.faults import Reject
from books.ledgers.contract import Address, Client, Invoice, Line, Service, SourceTaxCode
from books.opsmerge import belonging

TEXT_REMEDY = "Correct the invoice in OpsMerge; it is sent again when it changes."


def parse(record: Mapping[str, Any]) -> Invoice:
    """Read one record.

    Raises:
        Reject: a value is missing or of the wrong type; `field` says which.
    """
    lines = _list(record, "lines")
    ordered = sorted(enumerate(lines), key=lambda pair: _position(pair[1], pair[0]))
    return Invoice(
        id=_text(record, "id"),
        number=_text(record, "number"),
        status=_text(record, "status"),
        issue_date=_day(record, "issue_date"),
        due_date=_day(record, "due_date") if record.get("due_date") is not None else None,
        currency=_text(record, "currency").upper(),
        client_id=_text(record, "client_id"),
        client_name=_text(record, "client_name"),
        client_email=_optional_text(record, "client_email"),
        billing_address=address(record.get("billing_address")),
        lines=tuple(_line(line, f"lines[{index}]") for index, line in ordered),
        subtotal=_amount(record, "subtotal"),
        tax_total=_amount(record, "tax_total"),
        total=_amount(record, "total"),
        excluded=_flag(record, "accounting_excluded"),
        owner=belonging.owner_of(record.get("accounting")),
        owner_id=(belonging.link_of(record.get("accounting")) or (None, None))[1],
    )


def _position(line: Any, index: int) -> tuple[int, int]:
    position = line.get("position") if isinstance(line, Mapping) else None
    return (position if isinstance(position, int) else index, index)


def _line(value: Any, place: str) -> Line:
    if not isinstance(value, Mapping):
        raise wrong_type(place, "a line", value)
    return Line(
        description=_optional_text(value, "description", place) or "",
        quantity=_number(value, "quantity", place),
        unit_price=_number(value, "unit_price", place),
        service_id=_optional_text(value, "service_id", place),
        service_name=_optional_text(value, "service_name", place),
        tax_code_id=_optional_text(value, "tax_code_id", place),
        tax_code_name=_optional_text(value, "tax_code_name", place),
        tax_rate=_number(value, "tax_rate", place),
        net=_amount(value, "net_amount", place),
        tax=_amount(value, "tax_amount", place) if value.get("tax_amount") is not None else None,
    )


def address(value: Any) -> Address | None:
    """Return a billing address; parts that are no texts are left out, because an address never stops an invoice."""
    if not isinstance(value, Mapping):
        return None
    parts = {name: value.get(name) for name in ("line1", "line2", "city", "postcode", "country")}
    return Address(**{name: part for name, part in parts.items() if isinstance(part, str)})


def service(record: Mapping[str, Any]) -> Service | None:
    """Return the service of a record of the `services` stream; None where it has no id."""
    if not isinstance(record.get("id"), str):
        return None
    return Service(record["id"], _lenient(record, "name") or "", _lenient(record, "quickbooks_item"))


def tax_code(record: Mapping[str, Any]) -> SourceTaxCode | None:
    """Return the tax code of a record of the `tax_codes` stream; None where it has no id."""
    if not isinstance(record.get("id"), str):
        return None
    try:
        rate = _number(record, "rate")
    except Reject:
        rate = None
    return SourceTaxCode(record["id"], _lenient(record, "name") or "", rate, _lenient(record, "quickbooks_tax_code"))


def client(record: Mapping[str, Any]) -> Client | None:
    """Return the client of a record of the `clients` stream; None where it has no id or no name."""
    name = _lenient(record, "name")
    if not isinstance(record.get("id"), str) or not name:
        return None
    return Client(
        id=record["id"],
        name=name,
        email=_lenient(record, "email"),
        billing_address=address(record.get("billing_address")),
        active=record.get("active") is not False,
    )


def content_sha256(invoice: Invoice) -> str:
    """Return a hash of number, dates, currency, client id, lines, totals; never status, payments, names or mapping."""
    lines = [
        [
            line.description,
            plain(line.quantity),
            plain(line.unit_price),
            line.service_id or line.service_name,
            line.tax_code_id or line.tax_code_name,
            plain(line.tax_rate),
            plain(line.net),
            plain(line.tax),
        ]
        for line in invoice.lines
    ]
    head = [
        invoice.number,
        invoice.issue_date.isoformat(),
        invoice.due_date.isoformat() if invoice.due_date else None,
        invoice.currency,
        invoice.client_id,
        plain(invoice.subtotal),
        plain(invoice.tax_total),
        plain(invoice.total),
    ]
    return sha256(money.dumps([head, lines]))


def raw_sha256(record: Mapping[str, Any]) -> str:
    """Return a hash of a record that cannot be read, in place of its content's."""
    return sha256(to_text({key: record[key] for key in sorted(record) if key not in _NEVER_CONTENT}))


_NEVER_CONTENT = frozenset({"status", "amount_paid", "balance", "accounting", "updated_at"})

_KEPT = (
    "id", "number", "status", "issue_date", "due_date", "currency", "client_id", "client_name", "client_email",
    "billing_address", "lines", "subtotal", "tax_total", "total", "accounting_excluded", "updated_at",
)  # fmt: skip
"""What the store keeps of a record: enough to send it again without asking the tap. Whose it is comes beside it."""


def kept(record: Mapping[str, Any]) -> str:
    """Return the part of a record that the store keeps, as JSON."""
    found = {name: record[name] for name in _KEPT if name in record}
    link = belonging.link_of(record.get("accounting"))
    if link is not None:
        found["accounting"] = {"connection": link[0], "external_id": link[1]}
    return to_text(found)


def is_older(record: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Return whether a record was read before another version of it, by OpsMerge's own time of its last change."""
    try:
        times = [datetime.fromisoformat(each["updated_at"]) for each in (record, known)]
        return times[0] < times[1]
    except (AttributeError, KeyError, TypeError, ValueError):
        return False  # no such times: what came last counts


def to_text(value: Any) -> str:
    """Return any record as exact JSON; what JSON has no type for (dates, stray objects) becomes text."""
    return money.dumps(_plain_json(value))


def _plain_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain_json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain_json(each) for each in value]
    if isinstance(value, Decimal):
        return value if value.is_finite() else str(value)
    if value is None or isinstance(value, (str, bool, int)):
        return value
    return str(value)


def sha256(text: str | bytes) -> str:
    """Return the hex digest of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text).hexdigest()


def plain(value: Decimal | None) -> str | None:
    """Return one spelling per number: 3, 3.0 and 3.00 are the same content."""
    if value is None:
        return None
    return format(value.normalize(), "f") if value else "0"


def wrong_type(place: str, wanted: str, value: Any) -> Reject:
    """Return the rejection of a value of the wrong type. The value stays out of the message: it may be long."""
    return Reject(
        f"{place} must be {wanted}, and is {_kind(value)}", code="wrong_type", field=place, remedy=TEXT_REMEDY
    )


def _kind(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, str):
        return "empty" if not value.strip() else "a text"
    return f"a {type(value).__name__}"


def _place(name: str, parent: str) -> str:
    return f"{parent}.{name}" if parent else name


def _text(record: Mapping[str, Any], name: str, parent: str = "") -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value.strip():
        raise wrong_type(_place(name, parent), "a text", value)
    return value.strip()


def _optional_text(record: Mapping[str, Any], name: str, parent: str = "") -> str | None:
    value = record.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise wrong_type(_place(name, parent), "a text", value)
    return value.strip() or None


def _lenient(record: Mapping[str, Any], name: str) -> str | None:
    value = record.get(name)
    return value.strip() or None if isinstance(value, str) else None


def _list(record: Mapping[str, Any], name: str) -> list[Any]:
    value = record.get(name)
    if not isinstance(value, list):
        raise wrong_type(name, "a list", value)
    return value


def _flag(record: Mapping[str, Any], name: str) -> bool:
    """Return true or false; false where there is none."""
    value = record.get(name)
    if value is not None and not isinstance(value, bool):
        raise wrong_type(name, "true or false", value)
    return value is True


def _day(record: Mapping[str, Any], name: str) -> date:
    value = record.get(name)
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value)[:10]) if isinstance(value, str) else _refuse_day(name, value)
    except ValueError:
        raise wrong_type(name, "a date such as 2026-11-20", value) from None


def _refuse_day(name: str, value: Any) -> date:
    raise wrong_type(name, "a date such as 2026-11-20", value)


def _number(record: Mapping[str, Any], name: str, parent: str = "") -> Decimal | None:
    value = record.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (Decimal, int, float, str)):
        raise wrong_type(_place(name, parent), "a number", value)
    try:
        # repr gives a float's shortest exact spelling; our own tap never sends one.
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        raise wrong_type(_place(name, parent), "a number", value) from None
    if not number.is_finite():
        raise wrong_type(_place(name, parent), "a finite number", value)
    return number


def _amount(record: Mapping[str, Any], name: str, parent: str = "") -> Decimal:
    number = _number(record, name, parent)
    if number is None:
        raise wrong_type(_place(name, parent), "an amount", None)
    if abs(number) >= _AMOUNT_LIMIT or number != number.quantize(money.PENNY):
        raise wrong_type(_place(name, parent), "an amount in whole pennies of at most 15 digits", number)
    return number.quantize(money.PENNY)


_AMOUNT_LIMIT = Decimal(10) ** 13
