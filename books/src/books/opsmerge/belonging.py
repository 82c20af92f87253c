"""Decide which connection may write an invoice in OpsMerge: the one rule behind every write and every posting.

An invoice belongs to a connection while its accounting block names that connection and has an external id. Several
environments may use one OpsMerge, so the rule is applied to the block as it is right before each write:

    the block belongs to          a production connection     another connection, where it may write
    nobody, or this connection    write                       write
    a non-production connection   take over                   leave
    another production one        leave, and do not post      leave

A connection may write if it is a production one, or if OpsMerge is a test one (`opsmerge_is_test`). Otherwise it only
clears its own ids (`books disconnect`), and shows what it would write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

PRODUCTION = "production:"


class Act(StrEnum):
    """What a connection does with an invoice in OpsMerge."""

    WRITE = "write"
    TAKE_OVER = "take over"
    """Write it, although it belongs to a non-production connection."""
    LEAVE = "leave"
    """It belongs to another connection."""
    SHOW = "show"
    """Only show what would be written: this OpsMerge is not a test one, and the connection not a production one."""


@dataclass(frozen=True)
class Ruling:
    """What to do, and if nothing is written, why."""

    act: Act
    owner: str | None = None
    """The connection that the invoice belongs to."""
    why: str = ""
    remedy: str = ""

    @property
    def writes(self) -> bool:
        """Whether to write."""
        return self.act in (Act.WRITE, Act.TAKE_OVER)


def link_of(block: Any) -> tuple[str, str] | None:
    """Return connection and external id of an accounting block; None if it lacks one: it belongs to nobody."""
    if not isinstance(block, Mapping):
        return None
    connection, external_id = _text(block.get("connection")), _text(block.get("external_id"))
    return (connection, external_id) if connection and external_id else None


def owner_of(block: Any) -> str | None:
    """Return the connection that an invoice belongs to by its accounting block; None if to nobody."""
    link = link_of(block)
    return link[0] if link else None


def named_by(block: Any) -> str:
    """Return the connection in an accounting block, with or without an external id; empty if it has none."""
    return _text(block.get("connection")) if isinstance(block, Mapping) else ""


def is_production(connection: str) -> bool:
    """Return whether it is a production connection: its money is real."""
    return connection.startswith(PRODUCTION)


def may_write(connection: str, *, opsmerge_is_test: bool) -> bool:
    """Return whether a connection writes to this OpsMerge at all."""
    return is_production(connection) or opsmerge_is_test


def decide(block: Any, connection: str, *, opsmerge_is_test: bool, clears_id: bool = False) -> Ruling:
    """Return what a connection does with an invoice whose accounting block in OpsMerge is `block`.

    `clears_id`: the write removes the connection's own id and does nothing else.
    """
    owner = owner_of(block)
    if owner not in (None, connection) and not _takes_over(connection, owner):
        return Ruling(Act.LEAVE, owner, f"it belongs to {owner} in OpsMerge", remedy(owner, connection))
    if not may_write(connection, opsmerge_is_test=opsmerge_is_test) and not (clears_id and owner == connection):
        return Ruling(Act.SHOW, owner, NOT_A_TEST, SET_IS_TEST)
    return Ruling(Act.WRITE if owner in (None, connection) else Act.TAKE_OVER, owner)


def bars_posting(owner: str | None, connection: str) -> bool:
    """Return whether `connection` must not post an invoice that belongs to `owner`.

    A production company's invoices are in its books already. A non-production ledger may receive any invoice.
    """
    return owner not in (None, connection) and is_production(connection) and not _takes_over(connection, owner)


def remedy(owner: str | None, connection: str) -> str:
    """Return the remedy for an invoice that `connection` left because it belongs to `owner`."""
    if not is_production(connection):
        return "Nothing is needed: only a production connection takes an invoice over."
    return move(owner)


def move(owner: str | None) -> str:
    """Return how to move invoices from one production company to another."""
    return (
        "Find out which company made the sale. Only where all invoices of the other one are to move: "
        f"`books disconnect` with the settings of {owner}; the next push then takes them."
    )


NOT_A_TEST = "this OpsMerge is not a test one, and only a production connection writes to it"
SET_IS_TEST = (
    "Nothing is needed. Only where OpsMerge itself holds nothing but test data, set opsmerge_is_test of "
    "target-opsmerge to true."
)


def _takes_over(connection: str, owner: str | None) -> bool:
    return owner is not None and is_production(connection) and not is_production(owner)


def _text(value: Any) -> str:
    return str(value).strip() if isinstance(value, (str, int)) else ""
