"""Column types that hold the same exact values in SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pendulum
from sqlalchemy import DateTime as SqlDateTime
from sqlalchemy import Dialect, Numeric, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from books.core.money import PENNY

MONEY_DIGITS = 18
MONEY_SCALE = 2


class Money(TypeDecorator[Decimal]):
    """An exact amount in whole pennies: TEXT in SQLite (which knows no decimals), NUMERIC(18,2) in PostgreSQL.

    SQLite compares the text, not the amount: sum and compare in Python.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return TEXT or NUMERIC."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Numeric(MONEY_DIGITS, MONEY_SCALE, asdecimal=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Convert an amount for the database.

        Raises:
            TypeError: not a Decimal (a float would already have lost pennies).
            ValueError: fractions of a penny, not finite, or more than 18 digits: nothing is rounded.
        """
        if value is None:
            return None
        exact = _whole_pennies(value)
        return exact if dialect.name == "postgresql" else f"{exact:f}"

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Convert an amount from the database, always with two decimals."""
        del dialect
        return None if value is None else Decimal(value).quantize(PENNY)


def _whole_pennies(value: Decimal) -> Decimal:
    if not isinstance(value, Decimal):
        raise TypeError(f"money must be a Decimal, not {type(value).__name__}")
    if not value.is_finite() or abs(value) >= Decimal(10) ** (MONEY_DIGITS - MONEY_SCALE):
        raise ValueError(f"{value} is not an amount of money")
    exact = value.quantize(PENNY)
    if exact != value:
        raise ValueError(f"{value} has fractions of a penny")
    return exact


class Timestamp(TypeDecorator[pendulum.DateTime]):
    """A time in UTC: text of one fixed width in SQLite, so that it sorts, and timestamptz in PostgreSQL."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return TEXT or TIMESTAMP WITH TIME ZONE."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(SqlDateTime(timezone=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Convert a time for the database.

        Raises:
            ValueError: it has no time zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        moment = pendulum.instance(value).in_timezone("UTC")
        return moment if dialect.name == "postgresql" else moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def process_result_value(self, value: Any, dialect: Dialect) -> pendulum.DateTime | None:
        """Convert a time from the database, in UTC."""
        del dialect
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return pendulum.instance(moment).in_timezone("UTC")
