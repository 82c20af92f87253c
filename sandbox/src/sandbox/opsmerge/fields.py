"""Reading a JSON body field by field, so that a refusal names every wrong field at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeVar

from sandbox.opsmerge.errors import invalid

TEXT_LENGTH_MAX = 4_000
NUMBER_MAX = Decimal(10) ** 9
YEARS = range(1970, 2200)

Value = TypeVar("Value")


class Fields:
    """The fields of one JSON object; problems are collected until `done` raises them together.

    A field that is wrong reads as a harmless value of its type, so that reading goes on.
    """

    def __init__(self, body: Any, where: str = "", problems: list[str] | None = None) -> None:
        self.problems = [] if problems is None else problems
        self._where = where
        self._body: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
        if not isinstance(body, Mapping):
            self.problems.append(f"{where or 'body'}: must be an object")

    def done(self) -> None:
        """Raise ApiError 422 if anything was wrong."""
        if self.problems:
            raise invalid(self.problems)

    def only(self, names: Iterable[str]) -> None:
        """Refuse fields that are not known."""
        for name in sorted(set(self._body) - set(names)):
            self.problem(name, "is not a known field")

    def problem(self, name: str, what: str) -> None:
        """Note that the field `name` is wrong."""
        self.problems.append(f"{self._where}{name}: {what}")

    def has(self, name: str) -> bool:
        """Return whether the field was sent and is not null."""
        return self._body.get(name) is not None

    def text(self, name: str) -> str:
        """Return a required, not empty text."""
        return self._text(name) or self._missing(name, "")

    def text_or_none(self, name: str) -> str | None:
        """Return a text, null or absent."""
        return self._text(name)

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a boolean."""
        value = self._body.get(name, default)
        if not isinstance(value, bool):
            return self._wrong(name, "must be true or false", default)
        return value

    def choice(self, name: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        """Return one of the allowed words."""
        value = self._body.get(name, default)
        return str(value) if value in allowed else self._wrong(name, f"must be one of {', '.join(allowed)}", allowed[0])

    def number(self, name: str, *, places_max: int, default: Decimal | None = None) -> Decimal:
        """Return a number with at most so many decimal places; only JSON numbers, as a string is a client's mistake."""
        value = self._body.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            return self._wrong(name, "must be a number", Decimal(0))
        return self._rounded(name, Decimal(value), places_max)

    def day(self, name: str, default: str | None = None) -> str:
        """Return a day, YYYY-MM-DD."""
        value = self._body.get(name, default)
        return value if is_date(value) else self._wrong(name, "must be a date, YYYY-MM-DD", "1970-01-01")

    def moment(self, name: str) -> str:
        """Return a date with a time and an offset; given back as it was sent."""
        value = str(self._body.get(name))
        return value if parse_moment(value) else self._wrong(name, "must be a date-time with an offset", value)

    def each(self, name: str) -> list[Fields]:
        """Return the objects of a list, each collecting its problems in the same list."""
        value = self._body.get(name)
        if not isinstance(value, list):
            return self._wrong(name, "must be a list", [])
        return [Fields(item, f"{self._where}{name}[{index}].", self.problems) for index, item in enumerate(value)]

    def raw(self, name: str) -> Any:
        """Return whatever was sent."""
        return self._body.get(name)

    def _text(self, name: str) -> str | None:
        value = self._body.get(name)
        if value is not None and not isinstance(value, str):
            return self._wrong(name, "must be a text", None)
        if value is not None and len(value) > TEXT_LENGTH_MAX:
            return self._wrong(name, f"must have at most {TEXT_LENGTH_MAX} characters", None)
        return value

    def _rounded(self, name: str, value: Decimal, places_max: int) -> Decimal:
        if not value.is_finite() or abs(value) >= NUMBER_MAX:
            return self._wrong(name, "is out of range", Decimal(0))
        exponent = value.normalize().as_tuple().exponent
        if isinstance(exponent, int) and -exponent > places_max:
            return self._wrong(name, f"must have at most {places_max} decimal places", Decimal(0))
        return value

    def _missing(self, name: str, instead: str) -> str:
        return self._wrong(name, "is required", instead)

    def _wrong(self, name: str, what: str, instead: Value) -> Value:
        self.problem(name, what)
        return instead


def is_date(value: Any) -> bool:
    """Return whether it is a realistic date, written YYYY-MM-DD."""
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value and int(value[:4]) in YEARS
    except ValueError:
        return False


def parse_moment(text: str) -> str | None:
    """Return an ISO 8601 time with an offset as UTC text that sorts; None if it is not a valid timestamp."""
    try:
        moment = datetime.fromisoformat(text)
        return stamp(moment) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def stamp(moment: datetime) -> str:
    """Return a time in this API's format: 2026-10-01T00:01:00.000000Z."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
