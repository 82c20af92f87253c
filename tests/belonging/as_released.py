"""A store as 1f79c9d kept it: made by its migrations, which nobody edits, filled with the rows of a store of today."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, MetaData, create_engine, insert, inspect, select, text

from books.store import schema

RELEASED = "0004"
"""The newest revision of 1f79c9d."""

FORMER_TABLES = {"metered_reads": "metered"}
FORMER_COLUMNS = {"intuit_tid": "vendor_request_id", "metered_reads": "metered", "reads": "calls"}


def engine_of(url: str) -> Engine:
    return create_engine(url.replace("postgresql://", "postgresql+psycopg://"))


def make(new_url: str, old_url: str) -> None:
    """Make `old_url` as the release would have it, with what `new_url` holds."""
    if old_url.startswith("sqlite:///"):
        Path(old_url.removeprefix("sqlite:///")).touch(0o600)
    new, old = engine_of(new_url), engine_of(old_url)
    with old.begin() as connection:
        migrate(connection, RELEASED)
    tables, todays = MetaData(), MetaData()
    tables.reflect(old)
    todays.reflect(new)
    with new.connect() as source, old.begin() as target:
        for table in tables.sorted_tables:
            if table.name == "alembic_version":
                continue
            found = source.execute(select(todays.tables[FORMER_TABLES.get(table.name, table.name)])).mappings()
            rows = [_as_released(table, dict(row)) for row in found]
            target.execute(table.delete())
            if rows:
                target.execute(insert(table), rows)
            if old.dialect.name == "postgresql" and "id" in table.columns and table.columns["id"].autoincrement is True:
                newest = f"(SELECT coalesce(max(id), 0) + 1 FROM {table.name})"
                target.execute(text(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), {newest}, false)"))
    new.dispose()
    old.dispose()


def migrate(connection: Any, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _as_released(table: Any, row: dict[str, Any]) -> dict[str, Any]:
    company = str(row.get("connection", "")).partition(":")[2]
    values = {name: row.get(FORMER_COLUMNS.get(name, name)) for name in (column.name for column in table.columns)}
    return values | ({"realm_id": company} if "realm_id" in values else {})


def counted(url: str) -> dict[str, int]:
    """How many rows each table of a store has, by today's name."""
    engine = engine_of(url)
    with engine.connect() as connection:
        found = {
            FORMER_TABLES.get(name, name): connection.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one()
            for name in inspect(engine).get_table_names()
        }
    engine.dispose()
    return found
