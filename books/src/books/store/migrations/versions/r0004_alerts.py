"""Add alerts, and to each run the step of the job."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, String, Text

from books.store.types import Timestamp

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, and the column to the runs."""
    op.add_column("job_run", Column("step", String(160), nullable=False, server_default=""))
    op.create_index("ix_job_run_step", "job_run", ["step", "id"])
    op.create_table(
        "alert",
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("connection", String(64), nullable=False),
        Column("cause", String(64), nullable=False),
        Column("title", Text, nullable=False),
        Column("message", Text, nullable=False),
        Column("remedy", Text, nullable=False),
        Column("told", Text, nullable=False),
        Column("opened_at", Timestamp, nullable=False),
        Column("seen_at", Timestamp, nullable=False),
        Column("resolved_at", Timestamp),
        Column("last_sent_at", Timestamp),
        Column("due", String(8)),
        Column("news", Text, nullable=False),
        Column("reached", Text, nullable=False),
        Column("failure", Text),
    )
    op.create_index("ix_alert_connection_resolved_at", "alert", ["connection", "resolved_at"])
