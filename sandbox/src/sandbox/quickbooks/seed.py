"""Filling a company: given objects through the code of the API, or many synthetic invoices fast."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from sandbox.quickbooks import codec, operations
from sandbox.quickbooks.books import Books, Document
from sandbox.quickbooks.entities import balances
from sandbox.quickbooks.faults import ApiFault

ORDER = ("Account", "Vendor", "Employee", "Customer", "Item", "CreditMemo", "Invoice", "Payment", "Deposit")
INVOICES_MAX = 1_000_000
NAMES_BY = {"Customer": "DisplayName", "Vendor": "DisplayName", "Employee": "DisplayName"}
REFERENCES = {
    "CustomerRef": ("Customer", "DisplayName"),
    "ItemRef": ("Item", "Name"),
    "TaxCodeRef": ("TaxCode", "Name"),
    "IncomeAccountRef": ("Account", "Name"),
    "ExpenseAccountRef": ("Account", "Name"),
    "DepositToAccountRef": ("Account", "Name"),
    "PaymentMethodRef": ("PaymentMethod", "Name"),
    "SalesTermRef": ("Term", "Name"),
}


def plant(books: Books, entities: Mapping[str, list[Any]]) -> dict[str, dict[str, str]]:
    """Create every object; returns ids by entity and by name or number.

    A reference may give a name without an id, and a payment's line a DocNumber as `TxnNumber`.

    Raises:
        ValueError: an entity that cannot be seeded, or an object the API refuses; nothing is kept then.
    """
    if unknown := sorted(set(entities) - set(ORDER)):
        raise ValueError(f"cannot seed {', '.join(unknown)}; known: {', '.join(ORDER)}")
    books.quiet = True
    try:
        with books.db.transaction():
            return {name: _plant(books, name, entities[name]) for name in ORDER if name in entities}
    finally:
        books.quiet = False


def _plant(books: Books, entity: str, bodies: list[Any]) -> dict[str, str]:
    ids: dict[str, str] = {}
    for number, body in enumerate(bodies, start=1):
        try:
            created = operations.write(books, entity, "create", resolved(books, body))
        except ApiFault as fault:
            raise ValueError(f"{entity} {number}: {fault.errors[0].code} {fault.errors[0].detail}") from fault
        ids[label(entity, created)] = created["Id"]
    return ids


def label(entity: str, document: Document) -> str:
    """Return an object's name or number; its id where it has none."""
    names = (NAMES_BY.get(entity, "Name"), "DocNumber", "PaymentRefNum")
    return next((str(document[name]) for name in names if document.get(name)), document["Id"])


def resolved(books: Books, value: Any) -> Any:
    """Return references given by name only, with their ids."""
    if isinstance(value, list):
        return [resolved(books, item) for item in value]
    if not isinstance(value, dict):
        return value
    result = {name: _reference(books, name, item) for name, item in value.items()}
    number = result.pop("TxnNumber", None)
    if number is not None:
        kind = result.setdefault("TxnType", "Invoice")
        result["TxnId"] = find_id(books, kind, "DocNumber", str(number))
    return result


def _reference(books: Books, name: str, value: Any) -> Any:
    named = isinstance(value, dict) and "value" not in value and "name" in value
    if name in REFERENCES and named:
        entity, column = REFERENCES[name]
        return {"value": find_id(books, entity, column, str(value["name"]))}
    return resolved(books, value)


def find_id(books: Books, entity: str, column: str, value: str) -> str:
    """Return the id of the object with this name or number, exact spelling before another case of it.

    Raises:
        ValueError: there is none.
    """
    found = books.find(entity, column, value)
    if not found:
        raise ValueError(f"no {entity} with {column} {value!r}")
    exact = [document for document in found if document.get(column) == value]
    return str((exact or found)[0]["Id"])


def synthetic(books: Books, *, invoices: int, customers: int = 200, first_day: str | None = None) -> dict[str, int]:
    """Create many invoices of one line, 20.0% VAT, spread over customers and days; amounts follow the number.

    Each is a true document; the first of its kind goes through the API's code and the others are its copies with
    another number, date, customer and amount, so that 100,000 take seconds.

    Raises:
        ValueError: more than a million, or a company without VAT.
    """
    if not 0 < invoices <= INVOICES_MAX or not 0 < customers <= invoices:
        raise ValueError(f"invoices go from 1 to {INVOICES_MAX}, customers from 1 to that")
    books.quiet = True
    try:
        with books.db.transaction():
            return _synthetic(books, invoices, customers, first_day)
    finally:
        books.quiet = False


def _synthetic(books: Books, invoices: int, customers: int, first_day: str | None) -> dict[str, int]:
    start = books.next_number("synthetic")
    people = [
        operations.write(books, "Customer", "create", {"DisplayName": f"Synthetic {start}-{number:05d}"})
        for number in range(customers)
    ]
    accounts = {"IncomeAccountRef": {"value": "1"}, "ExpenseAccountRef": {"value": "2"}}
    item = operations.write(books, "Item", "create", {"Name": f"Synthetic item {start}", **accounts})
    model = operations.write(books, "Invoice", "create", _body(books, people[0], item, f"SYN{start}-0"))
    day = date.fromisoformat(first_day) if first_day else books.clock.now().date() - timedelta(days=90)
    for number in range(1, invoices):
        books.insert("Invoice", _copy(model, people[number % customers], number, day, start))
    _balance(books, people, invoices, customers)
    return {"customers": customers, "invoices": invoices}


def _body(books: Books, customer: Document, item: Document, number: str) -> Document:
    detail: Document = {"ItemRef": {"value": item["Id"]}, "Qty": 1, "UnitPrice": 1}
    if books.company.VAT and not books.company.united_states:
        detail["TaxCodeRef"] = {"value": find_id(books, "TaxCode", "Name", "20.0% S")}
    line = {"DetailType": "SalesItemLineDetail", "Amount": 1, "SalesItemLineDetail": detail}
    return {"CustomerRef": {"value": customer["Id"]}, "DocNumber": number, "Line": [line]}


def _net(number: int) -> int:
    """Return whole pounds from 1 to 500, so that VAT needs no rounding."""
    return number % 500 + 1


def _copy(model: Document, customer: Document, number: int, first: date, start: int) -> Document:
    net = codec.money(_net(number))
    factor = codec.money(model["TotalAmt"])  # what one pound comes to with VAT
    day = (first + timedelta(days=number % 90)).isoformat()
    sales, subtotal = model["Line"][0], model["Line"][1]
    total = net * factor
    copied = {
        **model,
        "DocNumber": f"SYN{start}-{number}",
        "TxnDate": day,
        "DueDate": day,
        "CustomerRef": {"value": customer["Id"], "name": customer["DisplayName"]},
        "Line": [
            {**sales, "Amount": net, "SalesItemLineDetail": {**sales["SalesItemLineDetail"], "UnitPrice": net}},
            {**subtotal, "Amount": net},
        ],
        "TotalAmt": codec.half_up(total),
        "Balance": codec.half_up(total),
    }
    if "TxnTaxDetail" in model:
        copied["TxnTaxDetail"] = _copied_tax(model["TxnTaxDetail"], net)
    return copied


def _copied_tax(detail: Document, net: Decimal) -> Document:
    lines = []
    for line in detail["TaxLine"]:
        inner = {**line["TaxLineDetail"], "NetAmountTaxable": net}
        lines.append({**line, "Amount": codec.half_up(line["Amount"] * net), "TaxLineDetail": inner})
    return {"TotalTax": codec.half_up(detail["TotalTax"] * net), "TaxLine": lines}


def _balance(books: Books, people: list[Document], invoices: int, customers: int) -> None:
    """Let customers and debtors owe what the copies come to."""
    factor = codec.money(books.find("Invoice", "CustomerRef", people[0]["Id"])[0]["TotalAmt"])
    for place, customer in enumerate(people):
        owed = sum(_net(number) for number in range(place, invoices, customers) if number)
        balances.shift(books, books.need("Customer", customer["Id"]), codec.half_up(owed * factor))
