"""Add companies whose payments are not real money, and check every accounting block once.

Before this revision another environment could change blocks that we had written, and nothing checked them again. A
block that is as it should be is read once and left.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, String

from books.store.types import Timestamp

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, and make the next push check every block."""
    op.create_table(
        "nonproduction_company",
        Column("company_id", String(64), primary_key=True),
        Column("connection", String(64), nullable=False),
        Column("seen_at", Timestamp, nullable=False),
    )
    op.execute("UPDATE accounting_block SET due = true, written_sha256 = NULL")
