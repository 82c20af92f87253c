"""Payments as OpsMerge stores them."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Settlement:
    """Money received for an invoice: the content of a payment in OpsMerge. `paid_on` is YYYY-MM-DD."""

    amount: Decimal
    currency: str | None
    paid_on: str | None
    method: str | None
    reference: str | None

    @property
    def sha256(self) -> str:
        """The hash of the content."""
        return hashlib.sha256(repr(astuple(self)).encode()).hexdigest()


@dataclass(frozen=True)
class Entry:
    """A payment in OpsMerge. `external_id` is None if it was entered by hand."""

    id: str
    invoice_id: str
    external_id: str | None
    settlement: Settlement
    voided: bool
