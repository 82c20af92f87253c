"""The kinds of value in OpsMerge's JSON: how each is read exactly, and its JSON Schema in a Singer stream.

A value that cannot be read exactly is a ValueError that says what was found; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import pendulum

TIMESTAMP_FORMAT = "%Y-%m-%dT%H:%M:%S.%f+00:00"
FLOAT_NOISE = Decimal("0.00000001")
"""A double that prints as 0.30000000000000004 is 0.3: differences this small are rounding noise."""

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """One kind of value: its type in an OpenAPI document, its Singer schema, and the function that reads it."""

    json_type: str
    schema: Schema
    read: Callable[[Any], Any]


def moment(value: Any) -> str:
    """Return an ISO 8601 time in UTC to the microsecond, in one format that sorts by time.

    A time without an offset is taken as UTC.

    Raises:
        ValueError: it is not a valid timestamp.
    """
    found = pendulum.parse(str(value), exact=True)
    if not isinstance(found, pendulum.DateTime):
        raise ValueError(f"{value!r} is not a valid timestamp")  # noqa: TRY004 -- one error type, as below
    return found.in_timezone("UTC").strftime(TIMESTAMP_FORMAT)


def day(value: Any) -> str:
    """Return a date as YYYY-MM-DD.

    Raises:
        ValueError: it is not a date.
    """
    return pendulum.from_format(str(value), "YYYY-MM-DD").to_date_string()


def exact(value: Any, unit: Decimal) -> Decimal:
    """Return a number as a Decimal with the decimal places of `unit`; more places are refused, not rounded.

    Raises:
        ValueError: it is not a number, or has more decimal places than `unit`.
    """
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a number")  # noqa: TRY004 -- one error type for every unreadable value
    try:
        number = Decimal(str(value))
        rounded = number.quantize(unit)
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a number") from None
    if abs(number - rounded) >= FLOAT_NOISE:
        raise ValueError(f"{value} has more decimal places than {unit}")
    return rounded


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")  # noqa: TRY004 -- one error type for every unreadable value
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is not true or false")  # noqa: TRY004 -- one error type, as above
    return value


def _money(value: Any) -> Decimal:
    return exact(value, Decimal("0.01"))


def _number(value: Any) -> Decimal:
    """Return a number in its shortest form, so that 1.50 and 1.5 are written the same."""
    number = exact(value, Decimal("0.000001")).normalize()
    return number if number.as_tuple().exponent <= 0 else number.quantize(Decimal(1))  # type: ignore[operator] # finite


def _integer(value: Any) -> int:
    return int(exact(value, Decimal(1)))


def _nullable(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


TEXT = Kind("string", _nullable({"type": "string"}), _text)
KEY = Kind("string", {"type": "string"}, _text)
DAY = Kind("string", _nullable({"type": "string", "format": "date"}), day)
MOMENT = Kind("string", _nullable({"type": "string", "format": "date-time"}), moment)
CHANGED = Kind("string", {"type": "string", "format": "date-time"}, moment)
"""The time of the last change: never null, because the order of the list and the bookmark depend on it."""
FLAG = Kind("boolean", _nullable({"type": "boolean"}), _flag)
INTEGER = Kind("integer", _nullable({"type": "integer"}), _integer)
MONEY = Kind("number", _nullable({"type": "number", "multipleOf": 0.01}), _money)
AMOUNT = Kind("number", {"type": "number", "multipleOf": 0.01}, _money)
"""Required money: every payment has an amount."""
NUMBER = Kind("number", _nullable({"type": "number", "multipleOf": 0.000001}), _number)
"""Quantities, unit prices and percentages: up to six decimal places."""
