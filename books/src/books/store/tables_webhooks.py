"""Tables of the webhook inbox, an append-only log: deliveries, their notices, and how far they have been read."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from books.store.schema import connection_column, metadata
from books.store.types import Timestamp

ENTITY_LENGTH = 32
ENVIRONMENT_LENGTH = 15
ID_LENGTH = 64


def _row_id() -> Column[int]:
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    _row_id(),
    Column("provider", String(32), nullable=False),
    Column("sha256", String(64), nullable=False, doc="of the raw body: the same delivery again adds no row"),
    Column("body", LargeBinary, nullable=False, doc="as signed"),
    Column("received_at", Timestamp, nullable=False),
    Column("repeats", Integer, nullable=False, doc="how often it was delivered again"),
    Column("split_at", Timestamp, doc="when its notices were written; null until then"),
    Column("environment", String(ENVIRONMENT_LENGTH), nullable=False, doc="whose receiver took it in"),
    UniqueConstraint("provider", "environment", "sha256", name="uq_webhook_delivery_provider"),
    Index("ix_webhook_delivery_split_at", "split_at"),
)
"""Deliveries that were acknowledged with 200: each is on the disk before the answer.

One may speak of several companies, so it belongs to an environment; its notices belong to connections.
"""

webhook_notice = Table(
    "webhook_notice",
    metadata,
    connection_column(),
    Column("seq", BigInteger, primary_key=True, autoincrement=False, doc="increasing in the order of commits"),
    Column("entity", String(ENTITY_LENGTH), nullable=False, doc="folded: payment, creditmemo"),
    Column("entity_id", String(ID_LENGTH), nullable=False),
    Column("operation", String(16), nullable=False),
    Column("event_id", String(128), nullable=False, doc="the vendor's; the same event again adds no row"),
    Column("occurred_at", Timestamp, nullable=False),
    Column("delivery_id", BigInteger, nullable=False),
    Column("noted_at", Timestamp, nullable=False),
    UniqueConstraint("connection", "entity", "entity_id", "operation", "event_id", name="uq_webhook_notice_connection"),
)
"""One row per change of an object. The bookmark of tap-quickbooks-payments is its offset in this table."""

webhook_dead_letter = Table(
    "webhook_dead_letter",
    metadata,
    _row_id(),
    Column("delivery_id", BigInteger, nullable=False),
    Column("place", Integer, nullable=False, doc="of the event in the delivery, from 0; -1 for the whole of it"),
    Column("reason", Text, nullable=False),
    Column("event", Text, nullable=False, doc="the event, shortened"),
    Column("noted_at", Timestamp, nullable=False),
    UniqueConstraint("delivery_id", "place", name="uq_webhook_dead_letter_delivery_id"),
)
"""Events without a notice, with the reason. No signed event is dropped."""

webhook_reader = Table(
    "webhook_reader",
    metadata,
    connection_column(),
    Column("entity", String(ENTITY_LENGTH), primary_key=True, nullable=False),
    Column("seq", BigInteger, nullable=False, doc="the last notice whose object was read"),
    Column("read_at", Timestamp, nullable=False),
)
"""How far notices have been read, for display and for the receiver. The bookmark in Meltano's state decides."""

webhook_listener = Table(
    "webhook_listener",
    metadata,
    Column("environment", String(ENVIRONMENT_LENGTH), primary_key=True, nullable=False),
    Column("provider", String(32), primary_key=True, nullable=False),
    Column("since", Timestamp, nullable=False, doc="when a receiver was first started on this store"),
    Column("seen_at", Timestamp, nullable=False, doc="its last heartbeat"),
)

webhook_missed = Table(
    "webhook_missed",
    metadata,
    connection_column(),
    Column("entity", String(ENTITY_LENGTH), primary_key=True, nullable=False),
    Column("entity_id", String(ID_LENGTH), primary_key=True, nullable=False),
    Column("changed_at", Timestamp, primary_key=True, nullable=False),
    Column("found_at", Timestamp, nullable=False),
    Column("announced_at", Timestamp, doc="when its notice arrived later"),
)
"""Changes that a read found before their notice; those still without a notice after an hour were missed."""
