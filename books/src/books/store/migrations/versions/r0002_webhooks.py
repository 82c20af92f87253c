"""Add the webhook inbox, and the invoice balances that payments must explain."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, Text, UniqueConstraint

from books.store.types import Money, Timestamp

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and their index."""
    _inbox()
    _readers()
    op.create_table(
        "ledger_balance",
        Column("realm_id", String(20), primary_key=True),
        Column("transaction_id", String(255), primary_key=True),
        Column("total", Money, nullable=False),
        Column("balance", Money, nullable=False),
        Column("currency", String(3)),
        Column("sync_token", BigInteger, nullable=False),
        Column("updated_at", String(32), nullable=False),
        Column("remainder", Money, nullable=False),
    )
    op.create_index("ix_ledger_balance_remainder", "ledger_balance", ["remainder"])


def _inbox() -> None:
    op.create_table(
        "webhook_delivery",
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("provider", String(32), nullable=False),
        Column("sha256", String(64), nullable=False),
        Column("body", LargeBinary, nullable=False),
        Column("received_at", Timestamp, nullable=False),
        Column("repeats", Integer, nullable=False),
        Column("split_at", Timestamp),
        UniqueConstraint("provider", "sha256", name="uq_webhook_delivery_provider"),
    )
    op.create_index("ix_webhook_delivery_split_at", "webhook_delivery", ["split_at"])
    op.create_table(
        "webhook_notice",
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("connection", String(64), nullable=False),
        Column("entity", String(32), nullable=False),
        Column("entity_id", String(64), nullable=False),
        Column("operation", String(16), nullable=False),
        Column("event_id", String(128), nullable=False),
        Column("occurred_at", Timestamp, nullable=False),
        Column("delivery_id", BigInteger, nullable=False),
        Column("noted_at", Timestamp, nullable=False),
        UniqueConstraint(
            "connection", "entity", "entity_id", "operation", "event_id", name="uq_webhook_notice_connection"
        ),
    )
    op.create_table(
        "webhook_dead_letter",
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("delivery_id", BigInteger, nullable=False),
        Column("place", Integer, nullable=False),
        Column("reason", Text, nullable=False),
        Column("event", Text, nullable=False),
        Column("noted_at", Timestamp, nullable=False),
        UniqueConstraint("delivery_id", "place", name="uq_webhook_dead_letter_delivery_id"),
    )


def _readers() -> None:
    op.create_table(
        "webhook_reader",
        Column("connection", String(64), primary_key=True),
        Column("entity", String(32), primary_key=True),
        Column("seq", BigInteger, nullable=False),
        Column("read_at", Timestamp, nullable=False),
    )
    op.create_table(
        "webhook_listener",
        Column("provider", String(32), primary_key=True),
        Column("since", Timestamp, nullable=False),
        Column("seen_at", Timestamp, nullable=False),
    )
    op.create_table(
        "webhook_missed",
        Column("connection", String(64), primary_key=True),
        Column("entity", String(32), primary_key=True),
        Column("entity_id", String(64), primary_key=True),
        Column("changed_at", Timestamp, primary_key=True),
        Column("found_at", Timestamp, nullable=False),
        Column("announced_at", Timestamp),
    )
