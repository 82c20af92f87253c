"""The first schema: every table as the `tables_*` modules declare it."""

from __future__ import annotations

from alembic import op

from books.store.schema import load_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table that is not there."""
    load_tables().create_all(op.get_bind())
