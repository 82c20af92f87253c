"""The same models on a real PostgreSQL: built by dbt, fed from a DuckDB warehouse, run as the harness runs DuckDB."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from recon_runner import KEPT, RUN_AT, RUN_ID, dbt, in_order, statements, users_command

LOADED = ("raw_opsmerge", "raw_quickbooks")
ACCEPTED = ("recon.accepted", "recon.accepted_series", "recon.mapped_customers")


@dataclass
class Postgres:
    """A database that dbt has built on no data, and its compiled models."""

    connection: psycopg.Connection[Any]
    models: list[dict[str, Any]]
    output: str
    accepted_at_build: list[tuple[str, ...]]

    @classmethod
    def by_dbt(cls, host: str, database: str, folder: Path) -> Postgres:
        """Build with real dbt-postgres: models and data tests. accepted.yml comes as variables: no file can be read."""
        accepted = [{"class": "I01", "number": "N-1", "reason": "known", "by": "Kim", "until": "2026-12-31"}]
        environment = profile(host, database)
        build = users_command("build")
        done = dbt(build, folder, folder, environment, run_id=RUN_ID, run_at=RUN_AT, accepted=accepted)
        assert done.returncode == 0, done.stdout[-4000:]
        connection = psycopg.connect(host=host, dbname=database, user="postgres", autocommit=True)
        known = connection.execute("select class, number, accepted_by from recon.accepted").fetchall()
        for table in KEPT:
            connection.execute(f"delete from recon.{table}")
        manifest = json.loads((folder / "manifest.json").read_text())
        return cls(connection, in_order(manifest["nodes"]), done.stdout, known)

    def run(self, run_id: str, run_at: datetime) -> None:
        """Run every table model."""
        with self.connection.transaction():
            for model in self.models:
                for statement in statements(model, run_id, run_at):
                    self.connection.execute(statement)  # type: ignore[call-overload] # SQL of our own

    def load(self, source: duckdb.DuckDBPyConnection, folder: Path) -> None:
        """Take over every raw table of a DuckDB warehouse, as CSV."""
        found = source.execute(
            "select table_schema || '.' || table_name from information_schema.tables"
            f" where table_schema in {LOADED} and table_type = 'BASE TABLE'"
        ).fetchall()
        for table in (*(name for (name,) in found), *ACCEPTED):
            self._copy(source, table, folder / f"{table}.csv")

    def _copy(self, source: duckdb.DuckDBPyConnection, table: str, file: Path) -> None:
        names = ", ".join(f'"{row[0]}"' for row in source.execute(f"describe {table}").fetchall())
        source.execute(f"copy (select {names} from {table}) to '{file}' (format csv, header false, nullstr '@null@')")
        with self.connection.cursor() as cursor:
            cursor.execute(f"truncate {table}")
            with cursor.copy(f"copy {table} ({names}) from stdin (format csv, null '@null@')") as copy:
                copy.write(file.read_bytes())


def profile(host: str, database: str) -> dict[str, str]:
    """The environment that moves dbt to PostgreSQL."""
    return {
        "BOOKS_DBT_TARGET": "postgres",
        "BOOKS_POSTGRES_HOST": host,
        "BOOKS_POSTGRES_USER": "postgres",
        "BOOKS_POSTGRES_DATABASE": database,
    }
