"""Tables of posting: what was sent to the ledger, with what outcome, and the references found on the way."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Date, Index, Integer, String, Table, Text

from books.store.schema import connection_column, metadata
from books.store.types import Money, Timestamp

posting = Table(
    "posting",
    metadata,
    connection_column(),
    Column("opsmerge_invoice_id", String(255), primary_key=True),
    Column("provider", String(32), nullable=False),
    Column("company_id", String(64), nullable=False),
    Column("number", Text, nullable=False, doc="as sent; as seen if nothing was sent yet"),
    Column("outcome", String(16), nullable=False, doc="created, adopted, rejected, conflict, held or unknown"),
    Column("external_id", String(64), doc="the ledger's id; never removed once known"),
    Column("fault_code", String(64)),
    Column("fault_field", Text, doc="where, e.g. lines[3].service"),
    Column("fault_message", Text),
    Column("remedy", Text),
    Column("currency", String(8)),
    Column("net", Money, doc="as sent, like tax and total"),
    Column("tax", Money),
    Column("total", Money),
    Column("ledger_total", Money, doc="as the ledger answered, like ledger_tax"),
    Column("ledger_tax", Money),
    Column("payload_sha256", String(64)),
    Column("request_id", String(64)),
    Column("vendor_request_id", String(128)),
    Column("attempts", Integer, nullable=False, doc="calls that carried this invoice"),
    Column("first_attempted_at", Timestamp),
    Column("attempted_at", Timestamp),
    Column("finished_at", Timestamp),
    Column("seq", BigInteger, nullable=False, doc="a new, higher number with every change of the row"),
    # Internal to posting.
    Column("bid", String(10), doc="the place in the batch that request_id names"),
    Column("generation", Integer, nullable=False, doc="incremented when the invoice may be created again"),
    Column("body", Text, doc="the exact bytes of the last sending"),
    Column("content_sha256", String(64), nullable=False, doc="of the content that the outcome is about"),
    Column("seen_sha256", String(64), nullable=False, doc="of the content last seen"),
    Column("mapping_sha256", String(64), nullable=False, doc="of the mappings that the outcome is about"),
    Column("settled_outcome", String(16), doc="created or adopted, while outcome says conflict"),
    Column("record", Text, nullable=False, doc="the invoice as last seen, JSON, so that it can be sent from here"),
    Column("issue_date", Date),
    Column("retry", Boolean, nullable=False, doc="a person asked to post it again"),
    Column("mapped", Text, doc="JSON: which customer, items and tax codes it was sent with, and how each was found"),
    Index("ix_posting_connection_seq", "connection", "seq"),
    Index("ix_posting_connection_outcome", "connection", "outcome"),
    Index("ix_posting_connection_number", "connection", "number"),
)

attempt = Table(
    "attempt",
    metadata,
    connection_column(),
    Column("opsmerge_invoice_id", String(255), primary_key=True),
    Column("number", Integer, primary_key=True, doc="first, second, ... time that this invoice was sent"),
    Column("generation", Integer, nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("bid", String(10), nullable=False),
    Column("payload_sha256", String(64), nullable=False),
    Column("at", Timestamp, nullable=False),
    Column("finished_at", Timestamp),
    Column("outcome", String(16), doc="empty until the answer arrives"),
    Column("fault_code", String(64)),
    Column("vendor_request_id", String(128)),
)
"""One row per time that an invoice was sent: the evidence behind `books why`."""

learned = Table(
    "learned",
    metadata,
    connection_column(),
    Column(
        "kind", String(16), primary_key=True, doc="customer, item, tax_codes, company, replaced, posted or former_id"
    ),
    Column("key", String(600), primary_key=True, doc="client:<id>, name:<folded name>, id:<id> or an invoice's id"),
    Column("ledger_id", String(64), nullable=False),
    Column("detail", Text, nullable=False, doc="JSON: name, currency, rates"),
    Column("learned_at", Timestamp, nullable=False),
)
"""Results of look-ups and creations, so that the ledger is not asked again."""

left_alone = Table(
    "left_alone",
    metadata,
    connection_column(),
    Column("opsmerge_invoice_id", String(255), primary_key=True),
    Column("content_sha256", String(64), nullable=False),
)
"""Invoices from before the go-live date that were not found in the ledger: not looked up again."""

ended_document = Table(
    "ended_document",
    metadata,
    connection_column(),
    Column("transaction_id", String(64), primary_key=True, doc="the invoice's id in the ledger"),
    Column("status", String(8), nullable=False, doc="voided or deleted"),
)
"""Invoices that were seen voided or deleted in the ledger: a void in OpsMerge is then no conflict."""

push_run = Table(
    "push_run",
    metadata,
    connection_column(),
    Column("id", String(36), primary_key=True),
    Column("started_at", Timestamp, nullable=False),
    Column("finished_at", Timestamp),
    Column("complete", Boolean, nullable=False, doc="ran to its end, so every invoice seen has an outcome"),
    Column("seen", Integer, nullable=False),
    Column("created", Integer, nullable=False),
    Column("adopted", Integer, nullable=False),
    Column("existing", Integer, nullable=False),
    Column("rejected", Integer, nullable=False),
    Column("conflict", Integer, nullable=False),
    Column("held", Integer, nullable=False),
    Column("unknown", Integer, nullable=False),
    Column("left_out", Integer, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("metered", Integer, nullable=False),
    Index("ix_push_run_connection_started_at", "connection", "started_at"),
)

push_plan = Table(
    "push_plan",
    metadata,
    connection_column(),
    Column("id", String(64), primary_key=True, doc="of the plan's file, from its content"),
    Column("made_at", Timestamp, nullable=False),
    Column("invoices", Integer, nullable=False, doc="how many it would create"),
    Column("started_at", Timestamp, nullable=False, doc="when its posting first began"),
    Column("finished_at", Timestamp, doc="when a run of it ended completely"),
)
"""Plans that were posted. A company's first invoices in production are posted from a plan."""
