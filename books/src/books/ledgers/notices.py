"""The notices in a vendor's webhooks: each says that an object changed, not how. It is a hint to read the object."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pendulum


@dataclass(frozen=True)
class Notice:
    """One object of one company that changed. `occurred_at` is None if the vendor gave no time.

    `entity` is normalised by `fold`; `operation` is created, updated, deleted, voided, merged, emailed, or another
    word of the vendor's. The object is read whatever the operation is.
    """

    company_id: str
    entity: str
    entity_id: str
    operation: str
    event_id: str
    occurred_at: pendulum.DateTime | None


@dataclass(frozen=True)
class Unreadable:
    """An event, or a whole delivery, that cannot be read as a notice, and why."""

    reason: str
    event: str


class WebhookDialect(Protocol):
    """How one vendor signs and formats its webhooks."""

    @property
    def provider(self) -> str:
        """The vendor's name in the store."""
        ...

    @property
    def ledger(self) -> str:
        """The ledger's name in messages."""
        ...

    @property
    def path(self) -> str:
        """The path of the receiver to which the vendor sends."""
        ...

    @property
    def reads(self) -> Mapping[str, Collection[str]]:
        """The entities that the pull reads, with the operations to ignore: e.g. an invoice that we just posted."""
        ...

    @property
    def answer_seconds(self) -> float:
        """How long the vendor waits for an answer before it sends a delivery again."""
        ...

    @property
    def missed_after_seconds(self) -> float:
        """How long a notice may take to arrive before its change counts as missed."""
        ...

    def is_genuine(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Return whether the vendor signed exactly these bytes. Header names are lower case."""
        ...

    def parse(self, body: bytes) -> Sequence[Notice | Unreadable]:
        """Return the events of a genuine body in order. If it raises, the whole delivery becomes a dead letter."""
        ...


EVENT_CHARS_MAX = 2000
"""How much of an unreadable event is stored."""


def unreadable(reason: str, event: str) -> Unreadable:
    """Return an unreadable event, shortened, in text that every database accepts."""
    return Unreadable(reason, storable(event[:EVENT_CHARS_MAX]))


def storable(text: str) -> str:
    """Replace what a database refuses: unpaired surrogates, and NUL, which PostgreSQL refuses."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def fold(entity: str) -> str:
    """Return an entity's name normalised: `CreditMemo`, `creditmemo` and `credit_memo` are the same."""
    return re.sub(r"[^a-z0-9]", "", entity.lower())
