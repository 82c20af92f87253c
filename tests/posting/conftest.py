"""Invoices to post, and a journal on each kind of store."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that tests here share `schedules`


def make_record(serial=1, /, **changes):
    """A record of the invoices stream: one line of 100.00 net at 20 %, unless changed."""
    lines = changes.pop("lines", None) or [make_line()]
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


def make_line(net="100.00", quantity="1", unit_price=None, rate="20", **changes):
    """A line; its VAT rounded half up by itself, as OpsMerge does."""
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


@pytest.fixture
def record():
    return make_record


@pytest.fixture
def line():
    return make_line
