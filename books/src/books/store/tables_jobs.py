"""The tables of runs, with the exit code that `meltano run` hides, and of alerts, told and to be told."""

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
    Column("step", String(160), nullable=False, server_default="", doc="Meltano's names: <tap>, <tap> <target>, <x:y>"),
    Index("ix_job_run_started_at", "started_at"),
    Index("ix_job_run_step", "step", "id"),
)

alert = Table(
    "alert",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("connection", String(64), nullable=False),
    Column("cause", String(64), nullable=False, doc="e.g. connection_dead; one is open at a time"),
    Column("title", Text, nullable=False),
    Column("message", Text, nullable=False, doc="what is wrong and where, as it was when last looked at"),
    Column("remedy", Text, nullable=False),
    Column("told", Text, nullable=False, doc="JSON list of the things, e.g. invoices, that were told or are about to"),
    Column("opened_at", Timestamp, nullable=False),
    Column("seen_at", Timestamp, nullable=False, doc="when the cause was last found to hold"),
    Column("resolved_at", Timestamp),
    Column("last_sent_at", Timestamp, doc="when a message last reached every address"),
    Column("due", String(8), doc="the message still to be sent: opened, more or over; null when none is"),
    Column("news", Text, nullable=False, doc="JSON: what that message names, each with its line"),
    Column("reached", Text, nullable=False, doc="JSON list of the addresses that have it already"),
    Column("failure", Text, doc="why it could not be sent; null once it was"),
    Index("ix_alert_connection_resolved_at", "connection", "resolved_at"),
)
"""What is wrong and what was, a row for each time: with what was said about it, and to whom it is still to be said."""
