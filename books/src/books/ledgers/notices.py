"""What a vendor's webhook says: that an object changed. A hint to read it, never the change itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pendulum


@dataclass(frozen=True)
class Notice:
    """One object of one company that changed. `occurred_at` is None where the vendor gave no time.

    `entity` is folded (see `fold`); `operation` is created, updated, deleted, voided, merged, emailed, or another
    word of the vendor's: whatever it is, the object is read.
    """

    company_id: str
    entity: str
    entity_id: str
    operation: str
    event_id: str
    occurred_at: pendulum.DateTime | None


@dataclass(frozen=True)
class Unreadable:
    """An event, or a whole delivery, that no notice can be made of, and why."""

    reason: str
    event: str


class WebhookDialect(Protocol):
    """How one vendor signs and words its webhooks."""

    @property
    def provider(self) -> str:
        """The vendor's name in the store."""
        ...

    def is_genuine(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Whether the vendor signed exactly these bytes. Header names are lower case."""
        ...

    def parse(self, body: bytes) -> Sequence[Notice | Unreadable]:
        """What a genuine body says, in its order. What it raises makes the whole delivery a dead letter."""
        ...


EVENT_CHARS_MAX = 2000
"""Of an event that is kept for people to look at."""


def unreadable(reason: str, event: str) -> Unreadable:
    """Return a dead letter that every database takes, with the beginning of the event."""
    return Unreadable(reason, storable(event[:EVENT_CHARS_MAX]))


def storable(text: str) -> str:
    """Replace what a database refuses: half a surrogate pair, and NUL, which PostgreSQL does not take."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def fold(entity: str) -> str:
    """An entity's name without regard to spelling: `CreditMemo`, `creditmemo` and `credit_memo` are one."""
    return re.sub(r"[^a-z0-9]", "", entity.lower())
