"""Convert QuickBooks' JSON to flat rows: pure functions, no call. Money is Decimal, exactly as QuickBooks wrote it.

A voided document has no flag: its total is zero and its private note starts with "Voided" (Intuit, "Voiding invoice
objects"). A deleted one has only an id; its row leaves out every other column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import pendulum

from books.core.clock import text_of
from books.ledgers.quickbooks.mapping import DELETED_SUFFIX
from books.ledgers.quickbooks.reading import is_deleted

Json = Mapping[str, Any]
Row = dict[str, Any]

_SUBTOTAL, _GROUP, _DISCOUNT = "SubTotalLineDetail", "GroupLineDetail", "DiscountLineDetail"


def payment(row: Json, home_currency: str) -> Row:
    """Return a payment with its allocations."""
    total = number(row.get("TotalAmt"))
    allocations = list(_allocations(row))
    voided = _is_voided(row) and not allocations
    return {
        "txn_date": row.get("TxnDate"),
        "total_amount": total,
        "unapplied_amount": number(row.get("UnappliedAmt")),
        **_currency(row, home_currency),
        **_customer(row),
        "payment_ref_number": row.get("PaymentRefNum"),
        "payment_method": _name_or_value(row, "PaymentMethodRef"),
        "private_note": row.get("PrivateNote"),
        "status": "voided" if voided else "active",
        "allocations": allocations,
        **_versions(row),
    }


def _allocations(row: Json) -> Iterator[Row]:
    """Yield an allocation for each link of each line. If a line has several, its amount goes to the first."""
    for line in row.get("Line") or []:
        for place, link in enumerate(line.get("LinkedTxn") or []):
            yield {
                "transaction_type": link.get("TxnType"),
                "transaction_id": str(link.get("TxnId")),
                "invoice_number": _reference_number(line),
                "opsmerge_invoice_id": None,
                "amount": number(line.get("Amount")) if place == 0 else Decimal(0),
            }


def _reference_number(line: Json) -> str | None:
    """Return the number of the linked document, which QuickBooks adds to a payment's line."""
    for extra in (line.get("LineEx") or {}).get("any") or []:
        value = extra.get("value") or {}
        if value.get("Name") == "txnReferenceNumber":
            return value.get("Value")
    return None


def invoice(row: Json, home_currency: str) -> Row:
    """Return an invoice with its lines and VAT lines."""
    return {
        **_document(row, home_currency),
        "due_date": row.get("DueDate"),
        "balance": number(row.get("Balance")),
        "payment_ids": [
            str(link.get("TxnId")) for link in row.get("LinkedTxn") or [] if link.get("TxnType") == "Payment"
        ],
    }


def credit_memo(row: Json, home_currency: str) -> Row:
    """Return a credit memo; `remaining_credit` is the part not yet applied to invoices."""
    remaining = row.get("RemainingCredit", row.get("Balance"))
    return {
        **_document(row, home_currency),
        "balance": number(row.get("Balance")),
        "remaining_credit": number(remaining),
    }


def _document(row: Json, home_currency: str) -> Row:
    total = number(row.get("TotalAmt"))
    tax = number((row.get("TxnTaxDetail") or {}).get("TotalTax"))
    return {
        "doc_number": row.get("DocNumber"),
        "txn_date": row.get("TxnDate"),
        **_customer(row),
        **_currency(row, home_currency),
        "net_amount": total - tax,
        "tax_amount": tax,
        "total_amount": total,
        "status": "voided" if _is_voided(row) else "live",
        "lines": [_line(line) for line in _flat(row.get("Line") or [])],
        "tax_lines": [_tax_line(line) for line in (row.get("TxnTaxDetail") or {}).get("TaxLine") or []],
        "private_note": row.get("PrivateNote"),
        **_versions(row),
    }


def _flat(lines: Iterable[Json]) -> Iterator[Json]:
    """Yield the lines with an amount of their own: no subtotals, and the parts of a bundle instead of the bundle."""
    for line in lines:
        if line.get("DetailType") == _GROUP:
            yield from _flat((line.get(_GROUP) or {}).get("Line") or [])
        elif line.get("DetailType") != _SUBTOTAL:
            yield line


def _line(line: Json) -> Row:
    """Return a line. A discount, a positive amount in QuickBooks, is negative here, so that lines add up."""
    detail = line.get(str(line.get("DetailType"))) or {}
    sign = -1 if line.get("DetailType") == _DISCOUNT else 1
    return {
        "id": line.get("Id"),
        "item_id": _value(detail, "ItemRef"),
        "item_name": _name(detail, "ItemRef"),
        "description": line.get("Description"),
        "quantity": _optional_number(detail.get("Qty")),
        "unit_price": _optional_number(detail.get("UnitPrice")),
        "amount": sign * number(line.get("Amount")),
        "tax_code_id": _value(detail, "TaxCodeRef"),
    }


def _tax_line(line: Json) -> Row:
    detail = line.get("TaxLineDetail") or {}
    return {
        "tax_rate_id": _value(detail, "TaxRateRef"),
        "tax_percent": _optional_number(detail.get("TaxPercent")),
        "net_taxable": _optional_number(detail.get("NetAmountTaxable")),
        "amount": number(line.get("Amount")),
    }


def customer(row: Json, home_currency: str) -> Row:
    """Return a customer, without the suffix that QuickBooks adds to an inactive one's name."""
    active = row.get("Active") is not False
    name = row.get("DisplayName") or ""
    return {
        "display_name": name if active else name.removesuffix(DELETED_SUFFIX),
        "company_name": row.get("CompanyName"),
        "email": (row.get("PrimaryEmailAddr") or {}).get("Address"),
        "active": active,
        "balance": number(row.get("Balance")),
        "currency": _value(row, "CurrencyRef") or home_currency,
        "status": "active" if active else "inactive",
        **_versions(row),
    }


def account(row: Json, home_currency: str) -> Row:
    """Return an account of the chart of accounts."""
    active = row.get("Active") is not False
    return {
        "name": row.get("FullyQualifiedName") or row.get("Name"),
        "account_type": row.get("AccountType"),
        "account_sub_type": row.get("AccountSubType"),
        "classification": row.get("Classification"),
        "currency": _value(row, "CurrencyRef") or home_currency,
        "current_balance": number(row.get("CurrentBalance")),
        "active": active,
        "status": "active" if active else "inactive",
        **_versions(row),
    }


def tombstone(row: Json) -> Row:
    """Return the row of a deleted object."""
    return {"status": "deleted", "updated_at": _time(row, "LastUpdatedTime")}


def keyed(row: Json, live: Row) -> Row:
    """Return the row with its id: `live`, or a tombstone if the object was deleted."""
    return {"id": str(row["Id"]), **(tombstone(row) if is_deleted(row) else live)}


def number(value: Any) -> Decimal:
    """Return a JSON number as Decimal; 0.00 if missing."""
    return Decimal(value) if isinstance(value, (Decimal, int)) else Decimal("0.00")


def _optional_number(value: Any) -> Decimal | None:
    return Decimal(value) if isinstance(value, (Decimal, int)) else None


def _is_voided(row: Json) -> bool:
    return number(row.get("TotalAmt")) == 0 and str(row.get("PrivateNote") or "").startswith("Voided")


def _currency(row: Json, home_currency: str) -> Row:
    rate = _optional_number(row.get("ExchangeRate"))
    return {
        "currency": _value(row, "CurrencyRef") or home_currency,
        "exchange_rate": rate if rate is not None else Decimal(1),
    }


def _customer(row: Json) -> Row:
    return {"customer_id": _value(row, "CustomerRef"), "customer_name": _name(row, "CustomerRef")}


def _versions(row: Json) -> Row:
    return {
        "sync_token": row.get("SyncToken"),
        "created_at": _time(row, "CreateTime"),
        "updated_at": _time(row, "LastUpdatedTime"),
    }


def changed_at(row: Json) -> pendulum.DateTime | None:
    """Return when the object last changed; None if a deletion does not say."""
    return _moment(row, "LastUpdatedTime")


def _time(row: Json, name: str) -> str | None:
    moment = _moment(row, name)
    return None if moment is None else text_of(moment)


def _moment(row: Json, name: str) -> pendulum.DateTime | None:
    text = (row.get("MetaData") or {}).get(name)
    parsed = pendulum.parse(text) if text else None
    return parsed if isinstance(parsed, pendulum.DateTime) else None


def _reference(row: Json, name: str) -> Json:
    reference = row.get(name)
    return reference if isinstance(reference, Mapping) else {}


def _value(row: Json, name: str) -> str | None:
    value = _reference(row, name).get("value")
    return None if value is None else str(value)


def _name(row: Json, name: str) -> str | None:
    return _reference(row, name).get("name")


def _name_or_value(row: Json, name: str) -> str | None:
    return _name(row, name) or _value(row, name)
