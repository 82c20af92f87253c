"""The arithmetic of OpsMerge's documents; nothing here stores or reads a clock.

Documents are dicts in the shape of the API. Money is Decimal with two places; quantities and unit prices keep the
places they were given.

VAT is worked out per line, half a penny up, and the totals are sums of the lines. QuickBooks works it out once per
rate and document, so the two differ by pennies now and then: that difference is real and must be seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

Document = dict[str, Any]

PENNY = Decimal("0.01")
PERCENT = Decimal("0.01")
ZERO = Decimal("0.00")


def half_up(amount: Decimal) -> Decimal:
    """Round to pennies, halves away from zero."""
    return amount.quantize(PENNY, rounding=ROUND_HALF_UP)


def priced(line: Mapping[str, Any]) -> Document:
    """Return a line with its net and tax.

    `net` is quantity x unit price, unless the line brings a net of its own (OpsMerge lets a person override it).
    """
    own = line.get("net")
    net = half_up(line["quantity"] * line["unit_price"] if own is None else own)
    rate = line["tax_code"]["rate"] if line["tax_code"] else Decimal(0)
    return {**line, "net": net, "tax": half_up(net * rate * PERCENT)}


def with_totals(invoice: Mapping[str, Any]) -> Document:
    """Return the invoice with subtotal, tax and total as sums of its lines."""
    subtotal = sum((line["net"] for line in invoice["lines"]), ZERO)
    tax = sum((line["tax"] for line in invoice["lines"]), ZERO)
    return {**invoice, "subtotal": subtotal, "tax_total": tax, "total": subtotal + tax}


def settled(invoice: Mapping[str, Any], payments: Iterable[Mapping[str, Any]], today: str) -> Document:
    """Return the invoice with amount_paid, balance and status by its payments and today's date.

    A voided invoice stays as the void left it, a draft stays a draft. Otherwise: paid when nothing is left to pay,
    overdue after the due date, open before. So a voided payment makes a paid invoice open or overdue again.
    """
    if invoice["status"] == "voided":
        return dict(invoice)
    paid = sum((payment["amount"] for payment in payments if not payment["voided"]), ZERO)
    balance = invoice["total"] - paid
    document = {**invoice, "amount_paid": paid, "balance": balance}
    if invoice["status"] != "draft":
        document["status"] = _status(balance, invoice["due_date"], today)
    return document


def _status(balance: Decimal, due_date: str, today: str) -> str:
    if balance <= 0:
        return "paid"
    return "overdue" if due_date < today else "open"


def voided(invoice: Mapping[str, Any], now: str) -> Document:
    """Return the voided invoice: its lines and totals stay, nothing is left to pay."""
    return {**invoice, "status": "voided", "voided_at": now, "balance": ZERO}
