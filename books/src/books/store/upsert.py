"""Insert rows whose key may be there already, in the dialect of whichever database the store is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows; where the key is there, the columns given are replaced and the others kept.

    All rows must have the same columns.
    """
    if not rows:
        return
    insert = insert_into(connection, table)
    keys = [column.name for column in table.primary_key]
    given = {name: insert.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=given), [dict(row) for row in rows])


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless its key is there; return whether it was inserted."""
    statement = insert_into(connection, table).values(**row).on_conflict_do_nothing()
    return connection.execute(statement.returning(*table.primary_key)).first() is not None


def insert_into(connection: Connection, table: Table) -> Any:
    """Return an INSERT that knows ON CONFLICT in this database's dialect."""
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
