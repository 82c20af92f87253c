"""Add posted plans, and to each posting how its customer, items and tax codes were found."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Integer, String, Text

from books.store.types import Timestamp

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of plans and the column of mappings."""
    op.create_table(
        "push_plan",
        Column("connection", String(64), primary_key=True),
        Column("id", String(64), primary_key=True),
        Column("made_at", Timestamp, nullable=False),
        Column("invoices", Integer, nullable=False),
        Column("started_at", Timestamp, nullable=False),
        Column("finished_at", Timestamp),
    )
    op.add_column("posting", Column("mapped", Text))
