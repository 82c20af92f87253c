"""From QuickBooks' JSON to flat rows: pure functions, no call. Money is Decimal, exactly as QuickBooks wrote it.

A voided document has no flag of its own: its total is nothing and its private note begins with "Voided" (facts: Intuit,
"Voiding invoice objects"). A deleted one is a bare id; its row leaves every other column out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pendulum

from books.ledgers.quickbooks.mapping import DELETED_SUFFIX
from books.ledgers.quickbooks.reading import is_deleted

Json = Mapping[str, Any]
Row = dict[str, Any]

INVOICE = "Invoice"
_SUBTOTAL, _GROUP, _DISCOUNT = "SubTotalLineDetail", "GroupLineDetail", "DiscountLineDetail"


@dataclass(frozen=True)
class Posted:
    """What we know of an invoice in the books that we posted."""

    opsmerge_invoice_id: str
    number: str


def payment(row: Json, home_currency: str, posted: Mapping[str, Posted]) -> Row:
    """A payment with its allocations: which document got how much. `posted` is by the id of the invoice."""
    total = number(row.get("TotalAmt"))
    allocations = list(_allocations(row, posted))
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


def _allocations(row: Json, posted: Mapping[str, Posted]) -> Iterator[Row]:
    """One for each link of each line. A line that names several links has one amount: it goes to the first."""
    for line in row.get("Line") or []:
        for place, link in enumerate(line.get("LinkedTxn") or []):
            kind, transaction_id = link.get("TxnType"), str(link.get("TxnId"))
            ours = posted.get(transaction_id) if kind == INVOICE else None
            yield {
                "transaction_type": kind,
                "transaction_id": transaction_id,
                "invoice_number": ours.number if ours else _reference_number(line),
                "opsmerge_invoice_id": ours.opsmerge_invoice_id if ours else None,
                "amount": number(line.get("Amount")) if place == 0 else Decimal(0),
            }


def linked_invoices(rows: Iterable[Json]) -> set[str]:
    """The ids of all invoices that payments are applied to."""
    return {
        str(link.get("TxnId"))
        for row in rows
        for line in row.get("Line") or []
        for link in line.get("LinkedTxn") or []
        if link.get("TxnType") == INVOICE
    }


def _reference_number(line: Json) -> str | None:
    """The number of the linked document, as QuickBooks adds it to a payment's line."""
    for extra in (line.get("LineEx") or {}).get("any") or []:
        value = extra.get("value") or {}
        if value.get("Name") == "txnReferenceNumber":
            return value.get("Value")
    return None


def invoice(row: Json, home_currency: str) -> Row:
    """An invoice, with its lines and VAT lines."""
    return {
        **_document(row, home_currency),
        "due_date": row.get("DueDate"),
        "balance": number(row.get("Balance")),
        "payment_ids": [
            str(link.get("TxnId")) for link in row.get("LinkedTxn") or [] if link.get("TxnType") == "Payment"
        ],
    }


def credit_memo(row: Json, home_currency: str) -> Row:
    """A credit memo; `remaining_credit` is what no invoice has used up yet."""
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
    """Lines that carry money of their own: no subtotals, and the parts of a bundle instead of the bundle."""
    for line in lines:
        if line.get("DetailType") == _GROUP:
            yield from _flat((line.get(_GROUP) or {}).get("Line") or [])
        elif line.get("DetailType") != _SUBTOTAL:
            yield line


def _line(line: Json) -> Row:
    """A line; a discount, which QuickBooks shows as a positive amount, is negative here, so that lines add up."""
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
    """A customer; the mark that QuickBooks sets on an inactive one's name is taken off."""
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
    """An account of the chart of accounts."""
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
    """A deletion: what QuickBooks still tells of the object."""
    return {"status": "deleted", "updated_at": _time(row, "LastUpdatedTime")}


def keyed(realm_id: str, row: Json, live: Row) -> Row:
    """The row with its key; a deletion instead of what `live` says, where it is one."""
    return {"realm_id": realm_id, "id": str(row["Id"]), **(tombstone(row) if is_deleted(row) else live)}


def number(value: Any) -> Decimal:
    """A JSON number as Decimal; absent counts as nothing."""
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
    """When the object changed last; a deletion may not say."""
    return _moment(row, "LastUpdatedTime")


def _time(row: Json, name: str) -> str | None:
    moment = _moment(row, name)
    return None if moment is None else text_of(moment)


def _moment(row: Json, name: str) -> pendulum.DateTime | None:
    told = (row.get("MetaData") or {}).get(name)
    parsed = pendulum.parse(told) if told else None
    return parsed if isinstance(parsed, pendulum.DateTime) else None


def text_of(at: pendulum.DateTime) -> str:
    """A moment as text of one width in UTC, so that it sorts."""
    return at.in_timezone("UTC").strftime("%Y-%m-%dT%H:%M:%S.%fZ")


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
