"""The metadata of all tables (defined in `tables_*`), and the migration to the newest revision."""

from __future__ import annotations

import importlib
import logging
import pkgutil
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, inspect, text

from books.core.faults import Exit, Halt

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every table of the store. Constraints have fixed names, so that a later migration can find them."""

CONNECTION_LENGTH = 80
"""Characters of `<environment>:<company id>`: an environment's name, and up to 64 of the vendor's id."""

HEAD = "0008"
"""The newest revision that this code knows; a test compares it with the migrations folder."""

MIGRATIONS = Path(__file__).parent / "migrations"


def connection_column(*, key: bool = True) -> Column[str]:
    """Return the column that says whose a row is: `<environment>:<company id>`, first in the key of what is owned."""
    return Column("connection", String(CONNECTION_LENGTH), primary_key=key, nullable=False)


def load_tables() -> MetaData:
    """Import every `books.store.tables_*` module and return the complete `metadata`."""
    package = importlib.import_module("books.store")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("tables_"):
            importlib.import_module(f"books.store.{module.name}")
    return metadata


def revision(connection: Connection) -> str | None:
    """Return the store's revision; None if it has never been migrated."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(connection: Connection, place: str) -> None:
    """Migrate the store at `place` to `HEAD` inside the caller's transaction, completely or not at all.

    Raises:
        Halt: MISCONFIGURED; the store was written by a newer version of this code.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    logging.getLogger("alembic").setLevel(logging.WARNING)  # its progress does not interest a user
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    _refuse_newer(revision(connection), known, place)
    command.upgrade(config, HEAD)


def _refuse_newer(found: str | None, known: set[str], place: str) -> None:
    if found is not None and found not in known:
        raise Halt(
            f"the store {place} is at revision {found}, which this version does not know (its newest is {HEAD})",
            exit_code=Exit.MISCONFIGURED,
            code="store_newer",
            remedy="a newer version of this project has used the store: update this version, or set another store_url",
        )
