"""The first schema, written out in full: a released store must not depend on the code of today."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Date, Double, Integer, String, Text, false

from books.store.types import Money, Timestamp

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table and index."""
    _governor_and_tokens()
    _posting()
    _opsmerge()
    _runs()


def _governor_and_tokens() -> None:
    op.create_table(
        "token",
        Column("connection", String(64), primary_key=True),
        Column("access_token", Text),
        Column("access_expires_at", Timestamp),
        Column("refresh_token", Text),
        Column("previous_refresh_token", Text),
        Column("refresh_expires_at", Timestamp),
        Column("hard_expires_at", Timestamp),
        Column("refreshed_at", Timestamp),
        Column("refresh_started_at", Timestamp),
        Column("refused_at", Timestamp),
    )
    op.create_table(
        "token_seed",
        Column("connection", String(64), primary_key=True),
        Column("sha256", String(64), primary_key=True),
        Column("seen_at", Timestamp, nullable=False),
    )
    op.create_table(
        "call",
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("connection", String(64), nullable=False),
        Column("kind", String(16), nullable=False),
        Column("epoch", String(64), nullable=False),
        Column("at", Double, nullable=False),
    )
    op.create_index("ix_call_connection_at", "call", ["connection", "at"])
    op.create_table(
        "pause",
        Column("connection", String(64), primary_key=True),
        Column("epoch", String(64), nullable=False),
        Column("until", Double, nullable=False),
        Column("seconds", Double, nullable=False),
        Column("reason", Text, nullable=False),
    )
    op.create_table(
        "breaker",
        Column("connection", String(64), primary_key=True),
        Column("failures", Integer, nullable=False),
        Column("epoch", String(64), nullable=False),
        Column("until", Double, nullable=False),
        Column("seconds", Double, nullable=False),
    )
    op.create_table(
        "metered_reads",
        Column("connection", String(64), primary_key=True),
        Column("month", String(7), primary_key=True),
        Column("reads", BigInteger, nullable=False),
    )
    op.create_table(
        "counter",
        Column("name", String(32), primary_key=True),
        Column("value", BigInteger, nullable=False),
    )


def _posting() -> None:
    op.create_table(
        "posting",
        Column("connection", String(64), primary_key=True),
        Column("opsmerge_invoice_id", String(255), primary_key=True),
        Column("provider", String(32), nullable=False),
        Column("realm_id", String(32), nullable=False),
        Column("number", Text, nullable=False),
        Column("outcome", String(16), nullable=False),
        Column("external_id", String(64)),
        Column("fault_code", String(64)),
        Column("fault_field", Text),
        Column("fault_message", Text),
        Column("remedy", Text),
        Column("currency", String(8)),
        Column("net", Money),
        Column("tax", Money),
        Column("total", Money),
        Column("ledger_total", Money),
        Column("ledger_tax", Money),
        Column("payload_sha256", String(64)),
        Column("request_id", String(64)),
        Column("intuit_tid", String(128)),
        Column("attempts", Integer, nullable=False),
        Column("first_attempted_at", Timestamp),
        Column("attempted_at", Timestamp),
        Column("finished_at", Timestamp),
        Column("seq", BigInteger, nullable=False),
        Column("bid", String(10)),
        Column("generation", Integer, nullable=False),
        Column("body", Text),
        Column("content_sha256", String(64), nullable=False),
        Column("seen_sha256", String(64), nullable=False),
        Column("mapping_sha256", String(64), nullable=False),
        Column("settled_outcome", String(16)),
        Column("record", Text, nullable=False),
        Column("issue_date", Date),
        Column("retry", Boolean, nullable=False),
    )
    op.create_index("ix_posting_connection_number", "posting", ["connection", "number"])
    op.create_index("ix_posting_connection_outcome", "posting", ["connection", "outcome"])
    op.create_index("ix_posting_connection_seq", "posting", ["connection", "seq"])
    op.create_table(
        "attempt",
        Column("connection", String(64), primary_key=True),
        Column("opsmerge_invoice_id", String(255), primary_key=True),
        Column("number", Integer, primary_key=True),
        Column("generation", Integer, nullable=False),
        Column("request_id", String(64), nullable=False),
        Column("bid", String(10), nullable=False),
        Column("payload_sha256", String(64), nullable=False),
        Column("at", Timestamp, nullable=False),
        Column("finished_at", Timestamp),
        Column("outcome", String(16)),
        Column("fault_code", String(64)),
        Column("intuit_tid", String(128)),
    )
    op.create_table(
        "learned",
        Column("connection", String(64), primary_key=True),
        Column("kind", String(16), primary_key=True),
        Column("key", String(600), primary_key=True),
        Column("ledger_id", String(64), nullable=False),
        Column("detail", Text, nullable=False),
        Column("learned_at", Timestamp, nullable=False),
    )
    op.create_table(
        "left_alone",
        Column("connection", String(64), primary_key=True),
        Column("opsmerge_invoice_id", String(255), primary_key=True),
        Column("content_sha256", String(64), nullable=False),
    )
    op.create_table(
        "push_run",
        Column("connection", String(64), primary_key=True),
        Column("id", String(36), primary_key=True),
        Column("started_at", Timestamp, nullable=False),
        Column("finished_at", Timestamp),
        Column("complete", Boolean, nullable=False),
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
        Column("metered_reads", Integer, nullable=False),
    )
    op.create_index("ix_push_run_connection_started_at", "push_run", ["connection", "started_at"])


def _opsmerge() -> None:
    op.create_table(
        "payment",
        Column("realm_id", String(20), primary_key=True),
        Column("payment_id", String(255), primary_key=True),
        Column("status", String(8), nullable=False),
        Column("sync_token", BigInteger, nullable=False),
        Column("updated_at", String(32), nullable=False),
        Column("seen_run", String(36), nullable=False),
        Column("fault_message", Text),
    )
    op.create_table(
        "allocation",
        Column("realm_id", String(20), primary_key=True),
        Column("payment_id", String(255), primary_key=True),
        Column("transaction_id", String(255), primary_key=True),
        Column("amount", Money, nullable=False),
        Column("currency", String(3)),
        Column("paid_on", String(10)),
        Column("method", Text),
        Column("reference", Text),
        Column("invoice_number", Text),
        Column("opsmerge_invoice_id", String(255)),
        Column("invoice_currency", String(3)),
        Column("revision", BigInteger, nullable=False),
        Column("written_sha256", String(64)),
        Column("linked_payment_id", String(255)),
        Column("due", Boolean, nullable=False, server_default=false()),
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("next_attempt_at", Timestamp),
        Column("fault_code", String(64)),
        Column("fault_message", Text),
        Column("remedy", Text),
    )
    op.create_index("ix_allocation_due", "allocation", ["due"])
    op.create_index("ix_allocation_linked", "allocation", ["linked_payment_id"])
    op.create_index("ix_allocation_transaction", "allocation", ["realm_id", "transaction_id"])
    op.create_table(
        "opsmerge_payment",
        Column("source", String(255), primary_key=True),
        Column("id", String(255), primary_key=True),
        Column("invoice_id", String(255), nullable=False),
        Column("external_id", String(255)),
        Column("amount", Money, nullable=False),
        Column("currency", String(3)),
        Column("paid_on", String(10)),
        Column("method", Text),
        Column("reference", Text),
        Column("voided", Boolean, nullable=False),
        Column("updated_at", String(32), nullable=False),
    )
    op.create_index("ix_opsmerge_payment_external", "opsmerge_payment", ["source", "external_id"])
    op.create_index("ix_opsmerge_payment_invoice", "opsmerge_payment", ["source", "invoice_id"])
    op.create_table(
        "opsmerge_read",
        Column("source", String(255), primary_key=True),
        Column("updated_at", String(32), nullable=False),
    )
    op.create_table(
        "accounting_block",
        Column("connection", String(64), primary_key=True),
        Column("opsmerge_invoice_id", String(255), primary_key=True),
        Column("number", Text),
        Column("outcome", String(16), nullable=False),
        Column("provider", String(32), nullable=False),
        Column("external_id", String(255)),
        Column("status", String(16), nullable=False),
        Column("error", Text),
        Column("synced_at", String(32)),
        Column("seq", BigInteger, nullable=False),
        Column("written_sha256", String(64)),
        Column("due", Boolean, nullable=False, server_default=false()),
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("next_attempt_at", Timestamp),
        Column("fault_code", String(64)),
        Column("fault_message", Text),
        Column("remedy", Text),
    )
    op.create_index("ix_accounting_block_due", "accounting_block", ["due"])


def _runs() -> None:
    op.create_table(
        "job_run",
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("connection", String(64), nullable=False),
        Column("plugin", String(64), nullable=False),
        Column("started_at", Timestamp, nullable=False),
        Column("finished_at", Timestamp, nullable=False),
        Column("exit_code", Integer, nullable=False),
        Column("message", Text, nullable=False),
    )
    op.create_index("ix_job_run_started_at", "job_run", ["started_at"])
