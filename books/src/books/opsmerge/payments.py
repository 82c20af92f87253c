"""Payments as OpsMerge keeps them."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Settlement:
    """Money that an invoice got: what OpsMerge keeps of a payment. `paid_on` is YYYY-MM-DD."""

    amount: Decimal
    currency: str | None
    paid_on: str | None
    method: str | None
    reference: str | None

    @property
    def sha256(self) -> str:
        """A fingerprint of the content."""
        return hashlib.sha256(repr(astuple(self)).encode()).hexdigest()


@dataclass(frozen=True)
class Entry:
    """A payment as it stands in OpsMerge. `external_id` is None for one that was entered by hand."""

    id: str
    invoice_id: str
    external_id: str | None
    settlement: Settlement
    voided: bool
