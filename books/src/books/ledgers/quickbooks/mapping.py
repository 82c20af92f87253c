"""Convert between our nouns and QuickBooks' JSON: pure functions, no call.

Sources: Intuit, "Invoice", "Customer" and "Item" entities. QuickBooks computes UK VAT per rate over the whole document
and rounds half up, so `TxnTaxDetail` is never sent.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from books.core import money
from books.core.faults import Reject
from books.ledgers.contract import (
    Account,
    Address,
    Company,
    Customer,
    Invoice,
    Item,
    LedgerInvoice,
    Line,
    NewCustomer,
    Obstacle,
    References,
    TaxCode,
)

NUMBER_CHARS_MAX = 21
DESCRIPTION_CHARS_MAX = 4000
CUSTOMER_NAME_CHARS_MAX = 500
EMAIL_CHARS_MAX = 100
ADDRESS_LINE_CHARS_MAX = 500
ADDRESS_PART_CHARS_MAX = 255
POSTCODE_CHARS_MAX = 30
LINES_MAX = 750
"""On a sales form with VAT."""

DELETED_SUFFIX = " (deleted)"
"""QuickBooks appends this to the name of a customer or item that is made inactive."""

NOTE_PREFIX = "OpsMerge invoice "
_NOTE = re.compile(re.escape(NOTE_PREFIX) + r"(\S+)")
_VOIDED = "Voided"

US_CODES = frozenset({"US", "USA"})


def note(invoice_id: str) -> str:
    """Return the private note that marks an invoice as ours."""
    return NOTE_PREFIX + invoice_id


def noted_id(private_note: str | None) -> str | None:
    """Return the OpsMerge invoice id in a private note, anywhere in it: a void puts a word before it."""
    found = _NOTE.search(private_note or "")
    return found.group(1) if found else None


def invoice_body(invoice: Invoice, references: References, company: Company) -> bytes:
    """Return the exact bytes of one invoice.

    Raises:
        Reject: QuickBooks does not accept the number. It is never shortened: that would be another number.
    """
    body: dict[str, Any] = {"DocNumber": _number(invoice.number), "TxnDate": invoice.issue_date.isoformat()}
    if invoice.due_date is not None:
        body["DueDate"] = invoice.due_date.isoformat()
    body["CustomerRef"] = {"value": references.customer.id}
    if invoice.currency != company.home_currency:
        body["CurrencyRef"] = {"value": invoice.currency}
        body["ExchangeRate"] = references.exchange_rate
    body["GlobalTaxCalculation"] = "TaxExcluded"
    body["PrivateNote"] = note(invoice.id)
    body["Line"] = [
        _line(line, item, tax_code)
        for line, item, tax_code in zip(invoice.lines, references.items, references.tax_codes, strict=True)
    ]
    return money.dumps(body).encode()


def _number(number: str) -> str:
    if len(number) > NUMBER_CHARS_MAX or any(unicodedata.category(each)[0] == "C" for each in number):
        raise Reject(
            f"QuickBooks accepts numbers of at most {NUMBER_CHARS_MAX} characters, without control characters",
            code="number_not_allowed",
            field="number",
            remedy="Shorten the number format in OpsMerge.",
        )
    return number


def _line(line: Line, item: Item, tax_code: TaxCode) -> dict[str, Any]:
    detail: dict[str, Any] = {"ItemRef": {"value": item.id}, "TaxCodeRef": {"value": tax_code.id}}
    if line.quantity is not None and line.unit_price is not None and _multiplies(line):
        detail |= {"Qty": line.quantity, "UnitPrice": line.unit_price}
    body: dict[str, Any] = {"DetailType": "SalesItemLineDetail", "Amount": line.net}
    if line.description:
        body["Description"] = cut(line.description, DESCRIPTION_CHARS_MAX)
    return {**body, "SalesItemLineDetail": detail}


def _multiplies(line: Line) -> bool:
    """Return whether the amount is quantity times price, half up: else QuickBooks refuses it (fault 6070)."""
    return (
        line.quantity is not None
        and line.unit_price is not None
        and (money.half_up(line.quantity * line.unit_price) == line.net)
    )


def predict_tax(lines: Sequence[Line], tax_codes: Sequence[TaxCode]) -> Decimal:
    """Return QuickBooks' VAT: per rate over the whole document, half up, then summed."""
    nets: defaultdict[tuple[str, Decimal], Decimal] = defaultdict(Decimal)
    for line, tax_code in zip(lines, tax_codes, strict=True):
        for rate in tax_code.rates:
            nets[rate] += line.net
    return sum((money.half_up(net * percent / 100) for (_, percent), net in nets.items()), money.ZERO)


def customer_body(customer: NewCustomer) -> bytes:
    """Return the bytes that create a customer. An e-mail address that QuickBooks would refuse is left out."""
    body: dict[str, Any] = {"DisplayName": customer.name}
    if customer.email and _is_email(customer.email):
        body["PrimaryEmailAddr"] = {"Address": customer.email}
    if customer.billing_address is not None:
        body["BillAddr"] = _address(customer.billing_address)
    if customer.currency is not None:
        body["CurrencyRef"] = {"value": customer.currency}
    return money.dumps(body).encode()


def item_body(name: str, income_account_id: str, expense_account_id: str) -> bytes:
    """Return the bytes that create a service item. UK companies need both accounts (Intuit, "Item")."""
    body = {
        "Name": name,
        "Type": "Service",
        "IncomeAccountRef": {"value": income_account_id},
        "ExpenseAccountRef": {"value": expense_account_id},
    }
    return money.dumps(body).encode()


def _is_email(text: str) -> bool:
    local, _, domain = text.rpartition("@")
    return bool(local) and "." in domain and len(text) <= EMAIL_CHARS_MAX and not re.search(r"\s", text)


def _address(address: Address) -> dict[str, str]:
    parts = {
        "Line1": cut(address.line1, ADDRESS_LINE_CHARS_MAX),
        "Line2": cut(address.line2, ADDRESS_LINE_CHARS_MAX),
        "City": cut(address.city, ADDRESS_PART_CHARS_MAX),
        "PostalCode": cut(address.postcode, POSTCODE_CHARS_MAX),
        "Country": cut(address.country, ADDRESS_PART_CHARS_MAX),
    }
    return {name: part for name, part in parts.items() if part}


def tidy_name(name: str, chars_max: int = CUSTOMER_NAME_CHARS_MAX) -> str:
    """Return a name as QuickBooks accepts it: no colon, no control characters, single spaces, not too long."""
    spaced = "".join(" " if unicodedata.category(each) in ("Cc", "Zl", "Zp") else each for each in name)
    return cut(" ".join(spaced.replace(":", "-").split()), chars_max)


def cut(text: str, chars_max: int) -> str:
    """Return text without control characters (line breaks stay), shortened between two characters.

    Length is counted as QuickBooks does, in UTF-16 units: an emoji is two. A letter keeps its accents or is dropped.
    """
    clean = "".join(each for each in text if each in "\n\t" or unicodedata.category(each) not in ("Cc", "Cs")).strip()
    if _units(clean) <= chars_max:
        return clean
    kept, units = 0, 0
    while units + _units(clean[kept]) <= chars_max:
        units += _units(clean[kept])
        kept += 1
    while kept and (unicodedata.combining(clean[kept]) or clean[kept] in _JOINERS or clean[kept - 1] == _JOINER):
        kept -= 1
    return clean[:kept].rstrip()


_JOINER = "\u200d"
_JOINERS = (_JOINER, "\ufe0f")


def _units(text: str) -> int:
    return len(text) + sum(ord(each) > 0xFFFF for each in text)  # noqa: PLR2004 -- beyond it, UTF-16 takes two units


def read_invoice(row: Mapping[str, Any], vendor_request_id: str | None = None) -> LedgerInvoice:
    """Return an invoice from QuickBooks' JSON."""
    total = amount(row.get("TotalAmt"))
    tax = amount((row.get("TxnTaxDetail") or {}).get("TotalTax"))
    private_note = row.get("PrivateNote")
    return LedgerInvoice(
        id=str(row["Id"]),
        number=str(row.get("DocNumber") or ""),
        issue_date=_day(row.get("TxnDate")),
        customer_id=_reference(row, "CustomerRef") or "",
        currency=_reference(row, "CurrencyRef"),
        net=total - tax,
        tax=tax,
        total=total,
        source_id=noted_id(private_note),
        voided=total == 0 and str(private_note or "").startswith(_VOIDED),
        vendor_request_id=vendor_request_id,
    )


def read_customer(row: Mapping[str, Any]) -> Customer:
    """Return a customer, without the suffix that QuickBooks adds to an inactive one's name."""
    active = row.get("Active") is not False
    name = str(row.get("DisplayName") or "")
    return Customer(
        id=str(row["Id"]),
        name=name if active else name.removesuffix(DELETED_SUFFIX),
        active=active,
        currency=_reference(row, "CurrencyRef"),
    )


def read_item(row: Mapping[str, Any]) -> Item:
    """Return an item by its full name (`Services:Support` if it has a parent)."""
    active = row.get("Active") is not False
    name = str(row.get("FullyQualifiedName") or row.get("Name") or "")
    return Item(
        id=str(row["Id"]),
        name=name if active else name.removesuffix(DELETED_SUFFIX),
        active=active,
        sellable=row.get("Type") not in ("Category", "Group", "Bundle"),
    )


def read_account(row: Mapping[str, Any]) -> Account:
    """Return an account by its full name."""
    kind = str(row.get("AccountType") or "")
    return Account(
        id=str(row["Id"]),
        name=str(row.get("FullyQualifiedName") or row.get("Name") or ""),
        kind=kind,
        active=row.get("Active") is not False,
        takes_income=kind in ("Income", "Other Income"),
        takes_expense=kind in ("Cost of Goods Sold", "Expense", "Other Expense"),
    )


REVERSE_CHARGE = "REVERSE_CHARGE"
"""A tax rate's SpecialTaxType."""
_REVERSE_CHARGE_NAME = re.compile(r"\bRC\b")


def read_tax_code(
    row: Mapping[str, Any], percents: Mapping[str, Decimal], reverse_charge: Collection[str] = ()
) -> TaxCode | None:
    """Return a tax code; None if it is hidden, inactive or has no rate for sales.

    `reverse_charge`: ids of rates marked as reverse charge; in the UK the code's name also says so (RC).
    """
    details = (row.get("SalesTaxRateList") or {}).get("TaxRateDetail") or []
    rates = tuple(
        (rate_id, percents[rate_id])
        for rate_id in (_reference(detail, "TaxRateRef") or "" for detail in details)
        if rate_id in percents
    )
    if row.get("Active") is False or row.get("Hidden") is True or not rates:
        return None
    name = str(row.get("Name") or "")
    is_reverse = any(rate_id in reverse_charge for rate_id, _ in rates) or bool(_REVERSE_CHARGE_NAME.search(name))
    return TaxCode(str(row["Id"]), name, rates, reverse_charge=is_reverse)


def read_company(connection: str, info: Mapping[str, Any], preferences: Mapping[str, Any]) -> Company:
    """Return the company, from its `CompanyInfo` and its `Preferences`."""
    currency = preferences.get("CurrencyPrefs") or {}
    home = _reference(currency, "HomeCurrency") or "GBP"
    name, country = str(info.get("CompanyName") or ""), str(info.get("Country") or "")
    return Company(
        connection=connection,
        name=name,
        country=country,
        home_currency=home,
        currencies=None if currency.get("MultiCurrencyEnabled") is True else frozenset({home}),
        obstacles=tuple(_obstacles(name, country, preferences)),
        closed_until=_day((preferences.get("AccountingInfoPrefs") or {}).get("BookCloseDate")),
    )


def _obstacles(name: str, country: str, preferences: Mapping[str, Any]) -> Iterator[Obstacle]:
    """Yield what keeps this company from taking invoices of a UK business with their own numbers."""
    if country.upper() in US_CODES:
        yield Obstacle(
            "company_country",
            f"{name} is a US company, whose lines take TAX or NON instead of a VAT code",
            "Use the UK company: set its realm_id and a refresh token for it.",
        )
    if (preferences.get("TaxPrefs") or {}).get("UsingSalesTax") is not True:
        yield Obstacle(
            "vat_off",
            f"VAT is switched off in {name}",
            "In QuickBooks: Taxes > VAT > set up VAT. The API cannot do it.",
        )
    if (preferences.get("SalesFormsPrefs") or {}).get("CustomTxnNumbers") is not True:
        yield Obstacle(
            "custom_numbers_off",
            f"custom transaction numbers are switched off in {name}: QuickBooks would replace our numbers",
            "In QuickBooks: Account and settings > Sales > Sales form content > Custom transaction numbers: on.",
        )


def amount(value: Any) -> Decimal:
    """Return a JSON number of money as Decimal; 0.00 if missing."""
    return money.half_up(Decimal(value)) if isinstance(value, (Decimal, int)) else money.ZERO


def _reference(row: Mapping[str, Any], name: str) -> str | None:
    reference = row.get(name)
    value = reference.get("value") if isinstance(reference, Mapping) else None
    return str(value) if value is not None else None


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(value[:10]) if isinstance(value, str) else None
    except ValueError:
        return None
