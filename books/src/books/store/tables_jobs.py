"""The table of runs: what each plugin's process came to, with the exit code that `meltano run` hides."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from books.store.schema import metadata
from books.store.types import Timestamp

job_run = Table(
    "job_run",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("connection", String(64), nullable=False, doc="empty where the plugin knows none"),
    Column("plugin", String(64), nullable=False),
    Column("started_at", Timestamp, nullable=False),
    Column("finished_at", Timestamp, nullable=False),
    Column("exit_code", Integer, nullable=False),
    Column("message", Text, nullable=False, doc="the summary, or what went wrong and what to do"),
    Index("ix_job_run_started_at", "started_at"),
)
