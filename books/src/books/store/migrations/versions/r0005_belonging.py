"""Companies whose payments are no money; and every accounting block is looked at once.

Up to now a second environment could change blocks that ours had written, and nothing looked again. A block that is as
it should be is read once and left; whether it was seen so is kept anew.
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
    """Add the table, and have the next push look at every block."""
    op.create_table(
        "nonproduction_company",
        Column("company_id", String(64), primary_key=True),
        Column("connection", String(64), nullable=False),
        Column("seen_at", Timestamp, nullable=False),
    )
    op.execute("UPDATE accounting_block SET due = true, written_sha256 = NULL")
