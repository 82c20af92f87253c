"""JSON without floats: numbers come in as int or Decimal and go out as JSON numbers."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec

PENNY = Decimal("0.01")
ZERO = Decimal("0.00")
Raw = msgspec.Raw

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(float_hook=Decimal)
encode: Callable[[Any], bytes] = _encoder.encode


def decode(text: bytes | str) -> Any:
    """Parse JSON.

    Raises:
        ValueError: not JSON, not UTF-8, or nested beyond reason.
    """
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ArithmeticError) as error:
        raise ValueError(f"not JSON: {error}") from error


def half_up(amount: Decimal | int) -> Decimal:
    """Round to pennies, halves away from zero."""
    return Decimal(amount).quantize(PENNY, rounding=ROUND_HALF_UP)


def money(value: Any) -> Decimal:
    """Read stored JSON's number as money; absent is nought."""
    return half_up(Decimal(value)) if value is not None else ZERO


def short_numbers(value: Any) -> Any:
    """Write `0` and `12.5` instead of `0.00` and `12.50`, throughout a document."""
    if isinstance(value, dict):
        return {key: short_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [short_numbers(item) for item in value]
    return _short(value) if isinstance(value, Decimal) else value


def _short(number: Decimal) -> Decimal | int:
    return int(number) if number == number.to_integral_value() else number.normalize()
