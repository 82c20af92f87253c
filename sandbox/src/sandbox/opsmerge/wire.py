"""JSON with exact numbers: a Decimal goes out as the number it is, and no number comes in as a float."""

from __future__ import annotations

from typing import Any

import simplejson


def loads(text: str | bytes) -> Any:
    """Parse JSON; numbers with a point are Decimal.

    Raises:
        ValueError: the text is not JSON, or holds NaN or Infinity, which JSON does not have.
    """
    return simplejson.loads(text, use_decimal=True, parse_constant=_refuse)


def dumps(value: Any) -> str:
    """Return compact JSON."""
    return str(simplejson.dumps(value, use_decimal=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
