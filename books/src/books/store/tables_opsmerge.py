"""Tables of the write-back: what OpsMerge should show, and what it showed when it was last read."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text, false

from books.store.schema import connection_column, metadata
from books.store.types import Money, Timestamp

ID_LENGTH = 255
MOMENT_LENGTH = 32


def _fault_columns() -> tuple[Column[Any], ...]:
    """Return columns for why the last try was refused, and when the next one is due."""
    return (
        Column("attempts", Integer, nullable=False, server_default="0", doc="refused tries since the last change"),
        Column("next_attempt_at", Timestamp),
        Column("fault_code", String(64)),
        Column("fault_message", Text),
        Column("remedy", Text),
    )


payment = Table(
    "payment",
    metadata,
    connection_column(),
    Column("payment_id", String(ID_LENGTH), primary_key=True),
    Column("status", String(8), nullable=False, doc="active, voided, deleted, or missing from a complete read"),
    Column("sync_token", BigInteger, nullable=False, doc="of the newest row seen; -1 if it had none"),
    Column(
        "updated_at",
        String(MOMENT_LENGTH),
        nullable=False,
        doc="of the newest row seen, UTC text; empty if it had none",
    ),
    Column("seen_run", String(36), nullable=False, doc="the run that saw it last, for complete reads"),
    Column("fault_message", Text, doc="why its newest row could not be read"),
)
"""Payments of the ledger: the newest version of each that was processed."""

allocation = Table(
    "allocation",
    metadata,
    connection_column(),
    Column("payment_id", String(ID_LENGTH), primary_key=True),
    Column("transaction_id", String(ID_LENGTH), primary_key=True, doc="the invoice's id in the ledger"),
    Column(
        "amount", Money, nullable=False, doc="what the payment pays of this invoice now; 0.00 once it no longer does"
    ),
    Column("currency", String(3)),
    Column("paid_on", String(10)),
    Column("method", Text),
    Column("reference", Text),
    Column("invoice_number", Text),
    Column("opsmerge_invoice_id", String(ID_LENGTH), doc="null until a posting says which invoice it is"),
    Column("invoice_currency", String(3), doc="the posting's"),
    Column("revision", BigInteger, nullable=False, doc="incremented with every change of the columns above"),
    Column("written_sha256", String(64), doc="of the content that was last written to OpsMerge"),
    Column("linked_payment_id", String(ID_LENGTH), doc="the payment entered by hand in OpsMerge that is this one"),
    Column("due", Boolean, nullable=False, server_default=false(), doc="OpsMerge may have to be updated"),
    *_fault_columns(),
    Index("ix_allocation_due", "due"),
    Index("ix_allocation_transaction", "connection", "transaction_id"),
    Index("ix_allocation_linked", "linked_payment_id"),
)
"""How much of which invoice each payment settles now."""

ledger_balance = Table(
    "ledger_balance",
    metadata,
    connection_column(),
    Column("transaction_id", String(ID_LENGTH), primary_key=True, doc="the invoice's id in the ledger"),
    Column("total", Money, nullable=False),
    Column("balance", Money, nullable=False),
    Column("currency", String(3)),
    Column("sync_token", BigInteger, nullable=False, doc="of the newest row seen; -1 if it had none"),
    Column("updated_at", String(MOMENT_LENGTH), nullable=False, doc="of the newest row seen, UTC text"),
    Column("remainder", Money, nullable=False, doc="total - balance - its allocations: should be zero"),
    Index("ix_ledger_balance_remainder", "remainder"),
)
"""The balance of each invoice in the ledger, which the allocations must explain."""

opsmerge_payment = Table(
    "opsmerge_payment",
    metadata,
    connection_column(),
    Column("source", String(ID_LENGTH), primary_key=True, doc="base URL of the OpsMerge API"),
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("invoice_id", String(ID_LENGTH), nullable=False),
    Column("external_id", String(ID_LENGTH)),
    Column("amount", Money, nullable=False),
    Column("currency", String(3)),
    Column("paid_on", String(10)),
    Column("method", Text),
    Column("reference", Text),
    Column("voided", Boolean, nullable=False),
    Column("updated_at", String(MOMENT_LENGTH), nullable=False),
    Index("ix_opsmerge_payment_external", "connection", "source", "external_id"),
    Index("ix_opsmerge_payment_invoice", "connection", "source", "invoice_id"),
)
"""OpsMerge's payments as last read for a connection, or as answered to it, whoever entered them.

Each connection reads for itself: two may use different accounts at one address.
"""

opsmerge_read = Table(
    "opsmerge_read",
    metadata,
    connection_column(),
    Column("source", String(ID_LENGTH), primary_key=True),
    Column("updated_at", String(MOMENT_LENGTH), nullable=False, doc="how far opsmerge_payment has been read"),
)

accounting_block = Table(
    "accounting_block",
    metadata,
    connection_column(),
    Column("opsmerge_invoice_id", String(ID_LENGTH), primary_key=True),
    Column("number", Text),
    Column("outcome", String(16), nullable=False),
    Column("provider", String(32), nullable=False),
    Column("external_id", String(ID_LENGTH)),
    Column("status", String(16), nullable=False),
    Column("error", Text),
    Column("synced_at", String(MOMENT_LENGTH)),
    Column("seq", BigInteger, nullable=False, doc="of the newest posting row seen; older rows are ignored"),
    Column("written_sha256", String(64), doc="of the content that OpsMerge is known to show"),
    Column("due", Boolean, nullable=False, server_default=false()),
    *_fault_columns(),
    Index("ix_accounting_block_due", "due"),
)
"""What each invoice's accounting block in OpsMerge should contain."""

nonproduction_company = Table(
    "nonproduction_company",
    metadata,
    connection_column(),  # as an accounting block in OpsMerge names it
    Column("seen_at", Timestamp, nullable=False),
)
"""Companies of non-production connections that OpsMerge's blocks name: their payments are not real money."""
