"""Alembic's entry: runs the revisions on the connection, and in the transaction, that `books.store.schema` opened."""

from __future__ import annotations

from alembic import context

from books.store.schema import load_tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=load_tables(),
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
