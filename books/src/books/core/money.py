"""Exact money: Decimal in, Decimal out, rounded half up as QuickBooks rounds, JSON without floats."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import simplejson

PENNY = Decimal("0.01")
ZERO = Decimal("0.00")


def half_up(amount: Decimal) -> Decimal:
    """Round to whole pennies, halves away from zero, as QuickBooks and HMRC do (facts: VATREC12030)."""
    return amount.quantize(PENNY, rounding=ROUND_HALF_UP)


def loads(text: str | bytes) -> Any:
    """Parse JSON with every non-integer number as an exact Decimal.

    Raises:
        ValueError: the text is not JSON.
    """
    return simplejson.loads(text, use_decimal=True)


def dumps(value: Any) -> str:
    """Write JSON with Decimals as plain JSON numbers, compact and in the order given."""
    return str(simplejson.dumps(value, use_decimal=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False))
