"""Add the budgets of a day and of calls in flight; what the vendor meters need not be reads."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Double, Integer, String

from books.store.types import Timestamp

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables; what was counted as metered reads is kept as metered calls.

    A pause that is on gets no end by the wall clock: after a restart it begins anew, as before this revision.
    """
    op.add_column("pause", Column("ends_at", Timestamp))
    op.create_table(
        "lease",
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("connection", String(64), nullable=False),
        Column("name", String(32), nullable=False),
        Column("epoch", String(64), nullable=False),
        Column("at", Double, nullable=False),
    )
    op.create_index("ix_lease_connection", "lease", ["connection"])
    op.create_table(
        "budget",
        Column("connection", String(64), primary_key=True),
        Column("name", String(32), primary_key=True),
        Column("hour", BigInteger, primary_key=True, autoincrement=False),
        Column("used", BigInteger, nullable=False),
    )
    op.create_table(
        "budget_left",
        Column("connection", String(64), primary_key=True),
        Column("name", String(32), primary_key=True),
        Column("left", BigInteger, nullable=False),
        Column("at", Timestamp, nullable=False),
    )
    op.create_table(
        "metered",
        Column("connection", String(64), primary_key=True),
        Column("month", String(7), primary_key=True),
        Column("calls", BigInteger, nullable=False),
    )
    op.execute("INSERT INTO metered (connection, month, calls) SELECT connection, month, reads FROM metered_reads")
    op.drop_table("metered_reads")
