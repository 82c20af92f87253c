"""Read Singer messages line by line: numbers stay exact, and every error names its line.

One record's content stops no other record: a value that no store and no ledger accepts is replaced by one that means
the same, or for which the record is rejected by name. A line that is no Singer message ends the run: it may have been
a record.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import IO, Any

from singer_sdk.exceptions import RecordsWithoutSchemaException
from singer_sdk.singerlib.encoding.base import GenericSingerReader

from books.core.faults import Exit, Halt

DEPTH_MAX = 100
"""Levels of nested values. Ours have five; Python's own limit is near 1,000."""

DIGITS_MAX = 60
"""Digits of a number, and the size of its exponent. Money has 15; one with more becomes INFINITE."""

INFINITE = Decimal("Infinity")
"""No field accepts this number, so the record is rejected by that field's name."""

NAME_LENGTH_MAX = 80

REMEDY = "look at the end of the tap's log: it failed, or something else writes to its standard output"

_LONE_SURROGATE = re.compile(
    r"\\\\"  # an escaped backslash: what follows it is no escape
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole pair
    r"|(?P<bad>\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\u0000)"
)
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]|[^"\[\]{}]+')

_REQUIRED: Mapping[str, Mapping[str, type]] = {
    "RECORD": {"stream": str, "record": dict},
    "SCHEMA": {"stream": str, "schema": dict},
    "STATE": {"value": dict},
    "ACTIVATE_VERSION": {"stream": str, "version": int},
}

logger = logging.getLogger(__name__)


class NoSchemaError(Halt, RecordsWithoutSchemaException):
    """A record came before its stream's SCHEMA; also the exception that the Singer SDK expects."""


class LineReader(GenericSingerReader[str]):
    """A target's reader. Lines come as bytes from standard input, or as text from a caller."""

    @property
    def default_input(self) -> Any:
        """Return standard input as bytes: a line that is not UTF-8 is refused here, by its number."""
        return sys.stdin.buffer

    def deserialize_json(self, line: str) -> dict[str, Any]:
        """Return the message in a single line."""
        return decode(line, 1)

    def process_lines(
        self, file_input: IO[Any] | None, callbacks: dict[Any, Callable[[dict[str, Any]], None]]
    ) -> Counter[str]:
        """Pass each message to the callback for its type; return how many of each type there were.

        Raises:
            Halt: FAILED; a line is no Singer message. The fault names the line, never its content.
        """
        counts: Counter[str] = Counter()
        lines: Iterable[str | bytes] = file_input or self.default_input
        for number, line in enumerate(lines, start=1):
            message = decode(line, number)
            try:
                callbacks[message["type"]](message)
            except RecordsWithoutSchemaException:
                raise NoSchemaError(
                    f"Line {number} of the input is a record of {message['stream']!r}, before that stream's SCHEMA",
                    exit_code=Exit.FAILED,
                    code="input",
                    remedy=REMEDY,
                ) from None
            counts[message["type"]] += 1
        return counts


def decode(line: str | bytes, number: int) -> dict[str, Any]:
    """Return the message in a line.

    Raises:
        Halt: FAILED; it is no Singer message.
    """
    try:
        text = line.decode() if isinstance(line, bytes) else line
        message = _parsed(text, number)
    except (ValueError, RecursionError):
        raise _refusal(number, "is not valid JSON") from None
    kind = message.get("type") if isinstance(message, dict) else None
    required = _REQUIRED.get(kind) if isinstance(kind, str) else None
    if required is None:
        raise _refusal(
            number, "is no Singer message that this target accepts (RECORD, SCHEMA, STATE, ACTIVATE_VERSION)"
        )
    for name, wanted in required.items():
        if not isinstance(message.get(name), wanted):
            raise _refusal(number, f"is a {kind} message whose {name!r} is missing or has the wrong type")
    if kind == "SCHEMA" and not isinstance(message["schema"].get("properties"), dict):
        raise _refusal(number, f"is the SCHEMA of stream {message['stream']!r} without properties")
    return dict(message)


def _parsed(text: str, number: int) -> Any:
    """Return the JSON value in a line: lone surrogates replaced, too deep values left out, numbers exact."""
    if "\\u" in text:
        text = _LONE_SURROGATE.sub(lambda hit: "\\ufffd" if hit["bad"] else hit[0], text)
    shallow = _cut_off(text) if text.count("[") + text.count("{") > DEPTH_MAX else text
    try:
        message = json.loads(shallow, parse_float=_number, parse_constant=_number)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a whole number of more digits than Python turns into one
        message = json.loads(shallow, parse_float=_number, parse_int=_number, parse_constant=_number)
    if shallow != text and isinstance(message, dict):
        _warn_of_depth(message, number)
    return message


def _cut_off(text: str) -> str:
    """Return the text with null for each value nested deeper than DEPTH_MAX."""
    depth, kept = 0, []
    for piece in _PIECE.findall(text):
        depth -= piece in "]}"
        if depth < DEPTH_MAX:
            kept.append(piece)
        elif depth == DEPTH_MAX and piece in "[{":
            kept.append("null")
        depth += piece in "[{"
    return "".join(kept)


def _number(text: str) -> Decimal:
    """Return an exact number; INFINITE where it has too many digits, is too large, or is NaN."""
    if len(text) > DIGITS_MAX:
        return INFINITE
    try:
        number = Decimal(text)
    except InvalidOperation:  # its exponent has no end
        return INFINITE
    return number if number.is_finite() and abs(number.adjusted()) <= DIGITS_MAX else INFINITE


def _warn_of_depth(message: Mapping[str, Any], number: int) -> None:
    record = message.get("record")
    key = record.get("id") if isinstance(record, dict) else None
    logger.warning(
        "Line %d of the input: record %s of stream %s has values more than %d levels deep; they are left out",
        number,
        str(key)[:NAME_LENGTH_MAX],
        str(message.get("stream"))[:NAME_LENGTH_MAX],
        DEPTH_MAX,
    )


def _refusal(number: int, what: str) -> Halt:
    return Halt(f"Line {number} of the input {what}", exit_code=Exit.FAILED, code="input", remedy=REMEDY)
