"""Tables of runs, with the exit code that `meltano run` hides, and of alerts, sent and due."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from books.store.schema import connection_column, metadata
from books.store.types import Timestamp

job_run = Table(
    "job_run",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    connection_column(key=False),  # empty if the plugin has none
    Column("plugin", String(64), nullable=False),
    Column("started_at", Timestamp, nullable=False),
    Column("finished_at", Timestamp, nullable=False),
    Column("exit_code", Integer, nullable=False),
    Column("message", Text, nullable=False, doc="the summary, or what went wrong and what to do"),
    Column("step", String(160), nullable=False, server_default="", doc="Meltano's names: <tap>, <tap> <target>, <x:y>"),
    Index("ix_job_run_started_at", "started_at"),
    Index("ix_job_run_step", "step", "id"),
)

alert = Table(
    "alert",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    connection_column(key=False),
    Column("cause", String(64), nullable=False, doc="e.g. connection_dead; one is open at a time"),
    Column("title", Text, nullable=False),
    Column("message", Text, nullable=False, doc="what is wrong and where, at the last check"),
    Column("remedy", Text, nullable=False),
    Column("told", Text, nullable=False, doc="JSON list of what (e.g. invoices) was sent or is about to be"),
    Column("opened_at", Timestamp, nullable=False),
    Column("seen_at", Timestamp, nullable=False, doc="when the cause was last found"),
    Column("resolved_at", Timestamp),
    Column("last_sent_at", Timestamp, doc="when a message last reached every address"),
    Column("due", String(8), doc="the message still to be sent: opened, more or over; null if none is"),
    Column("news", Text, nullable=False, doc="JSON: what that message lists, each with its line"),
    Column("reached", Text, nullable=False, doc="JSON list of the addresses that have it already"),
    Column("failure", Text, doc="why it could not be sent; null once it was"),
    Index("ix_alert_connection_resolved_at", "connection", "resolved_at"),
)
"""One row per time that a cause was found: what was sent about it, and what is still to be sent to whom."""
