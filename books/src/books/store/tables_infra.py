"""Tables of the rate limiter and the tokens, and the counter behind `Store.next_seq`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, Integer, String, Table, Text

from books.store.schema import connection_column, metadata
from books.store.types import Timestamp

token = Table(
    "token",
    metadata,
    connection_column(),
    Column("access_token", Text, doc="encrypted where token_key is set: books.transport.seal"),
    Column("access_expires_at", Timestamp),
    Column("refresh_token", Text),
    Column("previous_refresh_token", Text, doc="the one before, for a vendor's grace period"),
    Column("refresh_expires_at", Timestamp, doc="when it expires unless it is refreshed before"),
    Column("hard_expires_at", Timestamp, doc="when the user must consent again, whatever happens"),
    Column("refreshed_at", Timestamp),
    Column("refresh_started_at", Timestamp, doc="set before a refresh, cleared with its outcome"),
    Column("refused_at", Timestamp, doc="when the vendor last refused every refresh token we have"),
)

token_seed = Table(
    "token_seed",
    metadata,
    connection_column(),
    Column("sha256", String(64), primary_key=True, doc="of a refresh token that was once in the settings"),
    Column("seen_at", Timestamp, nullable=False),
)

call = Table(
    "call",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    connection_column(key=False),
    Column("kind", String(16), nullable=False, doc="a CallKind"),
    Column("epoch", String(64), nullable=False, doc="which steady clock `at` belongs to"),
    Column("at", Double, nullable=False, doc="seconds on the steady clock"),
    Index("ix_call_connection_at", "connection", "at"),
)
"""The sliding log of permits: one row per call, kept for one window."""

pause = Table(
    "pause",
    metadata,
    connection_column(),
    Column("epoch", String(64), nullable=False),
    Column("until", Double, nullable=False, doc="seconds on the steady clock"),
    Column("seconds", Double, nullable=False, doc="its whole length, the most that can be left of it"),
    Column("reason", Text, nullable=False),
    Column("ends_at", Timestamp, doc="by the wall clock: what is left after a restart, when the steady clock is new"),
)

breaker = Table(
    "breaker",
    metadata,
    connection_column(),
    Column("failures", Integer, nullable=False, doc="consecutive"),
    Column("epoch", String(64), nullable=False),
    Column("until", Double, nullable=False, doc="no call before this time, after too many failures"),
    Column("seconds", Double, nullable=False),
)

lease = Table(
    "lease",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    connection_column(key=False),
    Column("name", String(32), nullable=False, doc="the limit's"),
    Column("epoch", String(64), nullable=False),
    Column("at", Double, nullable=False, doc="seconds on the steady clock, when the call began"),
    Index("ix_lease_connection", "connection"),
)
"""Calls in flight, where a limit counts them."""

budget = Table(
    "budget",
    metadata,
    connection_column(),
    Column("name", String(32), primary_key=True, doc="the limit's"),
    Column("hour", BigInteger, primary_key=True, autoincrement=False, doc="since 1970, UTC, by the store's wall clock"),
    Column("used", BigInteger, nullable=False),
)
"""Calls per hour, where a limit counts those of a day."""

budget_left = Table(
    "budget_left",
    metadata,
    connection_column(),
    Column("name", String(32), primary_key=True, doc="the limit's"),
    Column("left", BigInteger, nullable=False, doc="as the vendor said last, less the calls since"),
    Column("at", Timestamp, nullable=False),
)

metered = Table(
    "metered",
    metadata,
    connection_column(),
    Column("month", String(7), primary_key=True, doc="YYYY-MM, UTC"),
    Column("calls", BigInteger, nullable=False),
)
"""Calls that the vendor meters."""

counter = Table(
    "counter",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""Sequences. The only table without a connection: a sequence belongs to the store."""
