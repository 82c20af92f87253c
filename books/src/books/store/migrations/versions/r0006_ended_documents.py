"""Add the invoices that were seen voided or deleted in the ledger."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, String

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "ended_document",
        Column("realm_id", String(32), primary_key=True),
        Column("transaction_id", String(64), primary_key=True),
        Column("status", String(8), nullable=False),
    )
