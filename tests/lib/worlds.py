"""What many tests set up alike: settings for the simulators, records of invoices, rows of the store."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

REALM = "9341453000000001"


def opsmerge_settings(url: str) -> dict[str, str]:
    """Return the settings of a plugin that speaks to OpsMerge's simulator."""
    return {"api_url": f"{url}/api/v1", "api_key": "om_sandbox_key"}


def quickbooks_settings(url: str, store_url: str, **more: Any) -> dict[str, Any]:
    """Return the settings of a plugin that speaks to QuickBooks' simulator, with budgets that no test waits for."""
    return {
        "realm_id": REALM,
        "client_id": "sandbox-client",
        "client_secret": "sandbox-secret",
        "refresh_token": "RT-sandbox-0001",
        "store_url": store_url,
        "api_url": url,
        "token_url": url,
        "requests_per_second": 1000,
        "requests_per_minute": 100_000,
        "batches_per_minute": 10_000,
        **more,
    }


def posting_row(opsmerge_invoice_id: str, external_id: str | None, **more: Any) -> dict[str, Any]:
    """Return a row of the table `posting`: an invoice that target-quickbooks created."""
    return {
        "connection": f"sandbox:{REALM}",
        "opsmerge_invoice_id": opsmerge_invoice_id,
        "provider": "quickbooks",
        "company_id": REALM,
        "number": "INV-2026-0001",
        "outcome": "created",
        "external_id": external_id,
        "currency": "GBP",
        "attempts": 1,
        "seq": 1,
        "generation": 0,
        "content_sha256": "x",
        "seen_sha256": "x",
        "mapping_sha256": "x",
        "record": "{}",
        "retry": False,
        **more,
    }


def make_record(serial: int = 1, /, **changes: Any) -> dict[str, Any]:
    """Return a record of the invoices stream: one line of 100.00 net at 20 %, unless changed."""
    lines = changes.pop("lines", None)
    lines = [make_line()] if lines is None else lines
    net = sum((line["net_amount"] for line in lines), Decimal("0.00"))
    tax = sum((line["tax_amount"] for line in lines), Decimal("0.00"))
    record = {
        "id": f"inv_{serial}",
        "number": f"INV-2026-{serial:04}",
        "status": "open",
        "issue_date": "2026-11-02",
        "due_date": "2026-12-02",
        "currency": "GBP",
        "client_id": f"cl_{serial % 3}",
        "client_name": f"Client {serial % 3}",
        "client_email": None,
        "billing_address": None,
        "lines": lines,
        "subtotal": net,
        "tax_total": tax,
        "total": net + tax,
        "accounting_excluded": False,
        "updated_at": "2026-11-02T00:01:00Z",
    }
    return {**record, **changes}


def make_line(
    net: str = "100.00", quantity: str = "1", unit_price: str | None = None, rate: str = "20", **changes: Any
) -> dict[str, Any]:
    """Return a line of an invoice; its VAT rounded half up by itself, as OpsMerge does."""
    amount = Decimal(net)
    line = {
        "id": "li_1",
        "position": 1,
        "description": "Support",
        "quantity": Decimal(quantity),
        "unit_price": Decimal(unit_price or net),
        "service_id": "svc_1",
        "service_name": "Managed Support",
        "tax_code_id": "tx_1",
        "tax_code_name": "20.0% S",
        "tax_rate": Decimal(rate),
        "net_amount": amount,
        "tax_amount": (amount * Decimal(rate) / 100).quantize(Decimal("0.01"), "ROUND_HALF_UP"),
    }
    return {**line, **changes}
