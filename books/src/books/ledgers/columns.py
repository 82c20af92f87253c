"""The columns of what is read back, as JSON schema, for every ledger alike. Money is a number in whole pennies."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": ["string", "null"]}
KEY: Schema = {"type": "string"}
DAY: Schema = {"type": ["string", "null"], "format": "date"}
MOMENT: Schema = {"type": ["string", "null"], "format": "date-time"}
FLAG: Schema = {"type": ["boolean", "null"]}
INTEGER: Schema = {"type": ["integer", "null"]}
MONEY: Schema = {"type": ["number", "null"], "multipleOf": 0.01}
RATE: Schema = {"type": ["number", "null"], "multipleOf": 0.000001}
"""Quantities, unit prices, percentages and exchange rates. A ledger may give more digits; none is dropped."""


def table(**columns: Schema) -> Schema:
    """Return a stream's schema."""
    return {"type": "object", "properties": columns}


def rows_of(**columns: Schema) -> Schema:
    """Return the schema of a list of objects inside a row."""
    return {"type": ["array", "null"], "items": table(**columns)}


POSTINGS = table(
    connection=KEY,
    opsmerge_invoice_id=KEY,
    provider=TEXT,
    company_id=TEXT,
    number=TEXT,
    outcome=TEXT,
    external_id=TEXT,
    fault_code=TEXT,
    fault_message=TEXT,
    remedy=TEXT,
    currency=TEXT,
    net=MONEY,
    tax=MONEY,
    total=MONEY,
    ledger_total=MONEY,
    ledger_tax=MONEY,
    payload_sha256=TEXT,
    request_id=TEXT,
    vendor_request_id=TEXT,
    attempts=INTEGER,
    first_attempted_at=MOMENT,
    attempted_at=MOMENT,
    finished_at=MOMENT,
    seq={"type": "integer"},
    written_to_opsmerge=FLAG,
)

PUSH_RUNS = table(
    connection=KEY,
    id=KEY,
    started_at=MOMENT,
    finished_at={"type": "string", "format": "date-time"},
    complete=FLAG,
    seen=INTEGER,
    created=INTEGER,
    adopted=INTEGER,
    existing=INTEGER,
    rejected=INTEGER,
    conflict=INTEGER,
    held=INTEGER,
    unknown=INTEGER,
    left_out=INTEGER,
    calls=INTEGER,
    metered=INTEGER,
)

OBJECT = {"connection": KEY, "realm_id": KEY, "id": KEY, "status": TEXT}
"""The columns of every object; a deletion has only these and `updated_at`."""

CUSTOMER = {"customer_id": TEXT, "customer_name": TEXT}
CURRENCY = {"currency": TEXT, "exchange_rate": RATE}
VERSIONS = {"sync_token": TEXT, "created_at": MOMENT, "updated_at": MOMENT}

PAYMENTS = table(
    **OBJECT,
    txn_date=DAY,
    total_amount=MONEY,
    unapplied_amount=MONEY,
    **CURRENCY,
    **CUSTOMER,
    payment_ref_number=TEXT,
    payment_method=TEXT,
    private_note=TEXT,
    allocations=rows_of(
        transaction_type=TEXT,
        transaction_id=TEXT,
        invoice_number=TEXT,
        opsmerge_invoice_id=TEXT,
        amount=MONEY,
    ),
    **VERSIONS,
)

DOCUMENT = {
    **OBJECT,
    "doc_number": TEXT,
    "txn_date": DAY,
    **CUSTOMER,
    **CURRENCY,
    "net_amount": MONEY,
    "tax_amount": MONEY,
    "total_amount": MONEY,
    "balance": MONEY,
    "lines": rows_of(
        id=TEXT,
        item_id=TEXT,
        item_name=TEXT,
        description=TEXT,
        quantity=RATE,
        unit_price=RATE,
        amount=MONEY,
        tax_code_id=TEXT,
    ),
    "tax_lines": rows_of(tax_rate_id=TEXT, tax_percent=RATE, net_taxable=MONEY, amount=MONEY),
    "private_note": TEXT,
    **VERSIONS,
}

INVOICES = table(**DOCUMENT, due_date=DAY, payment_ids={"type": ["array", "null"], "items": KEY})
CREDIT_MEMOS = table(**DOCUMENT, remaining_credit=MONEY)

CUSTOMERS = table(
    **OBJECT,
    display_name=TEXT,
    company_name=TEXT,
    email=TEXT,
    active=FLAG,
    balance=MONEY,
    currency=TEXT,
    **VERSIONS,
)

ACCOUNTS = table(
    **OBJECT,
    name=TEXT,
    account_type=TEXT,
    account_sub_type=TEXT,
    classification=TEXT,
    currency=TEXT,
    current_balance=MONEY,
    active=FLAG,
    **VERSIONS,
)

STREAMS = {
    "payments": PAYMENTS,
    "invoices": INVOICES,
    "credit_memos": CREDIT_MEMOS,
    "customers": CUSTOMERS,
    "accounts": ACCOUNTS,
}
"""What `Books` reads, by stream."""
