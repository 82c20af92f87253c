"""A warehouse on disk, and messages to load into it."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import duckdb
import pytest

from target_duckdb.target import TargetDuckDB


class Warehouse:
    """One DuckDB file; `load` runs the whole target on messages and returns the STATEs it let out."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self, *messages: dict[str, Any] | str | bytes, **settings: Any) -> list[Any]:
        lines = [each if isinstance(each, (str, bytes)) else json.dumps(each) for each in messages]
        target = TargetDuckDB(config={"path": str(self.path), "schema": "raw", "lock_wait_seconds": 0, **settings})
        out = io.StringIO()
        try:
            with redirect_stdout(out):
                target.process_lines(lines)
                target.process_endofpipe()
        finally:
            target.loader.close()
        return [json.loads(line) for line in out.getvalue().splitlines()]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.path), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    def types(self, table: str) -> dict[str, str]:
        return {row[0]: row[1] for row in self.query(f'DESCRIBE raw."{table}"')}


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "build.duckdb")


class Singer:
    """Builders of Singer messages."""

    text = {"type": ["string", "null"]}  # noqa: RUF012 -- a constant
    money = {"type": ["number", "null"], "multipleOf": 0.01}  # noqa: RUF012 -- a constant
    at = "2026-11-02T09:00:00Z"

    @staticmethod
    def schema(stream: str = "invoices", keys: tuple[str, ...] = ("id",), **properties: Any) -> dict[str, Any]:
        shape = {"type": "object", "properties": {"id": {"type": "string"}, **properties}}
        return {"type": "SCHEMA", "stream": stream, "schema": shape, "key_properties": list(keys)}

    @staticmethod
    def ended(schema: dict[str, Any], **extract: Any) -> dict[str, Any]:
        """The stream's SCHEMA again, with what the tap says of its extract."""
        return schema | {"extract": extract}

    @classmethod
    def record(cls, stream: str = "invoices", version: int | None = None, **row: Any) -> dict[str, Any]:
        message = {"type": "RECORD", "stream": stream, "record": row, "time_extracted": cls.at}
        return message | ({"version": version} if version else {})

    @staticmethod
    def state(value: Any) -> dict[str, Any]:
        return {"type": "STATE", "value": value}

    @staticmethod
    def activate(version: int, stream: str = "invoices") -> dict[str, Any]:
        return {"type": "ACTIVATE_VERSION", "stream": stream, "version": version}


@pytest.fixture
def singer() -> type[Singer]:
    return Singer
