"""Singer messages, decoded no further than the loader needs.

The values of a record stay the tap's own bytes (`msgspec.Raw`): no number is ever turned into a float and back,
so 1.10 stays 1.10, inside nested values too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import IO, Any, Literal

import msgspec

from target_duckdb.errors import InputError

BACKSLASH_PAIR_OR_SURROGATES = re.compile(
    rb"\\\\"  # an escaped backslash: what follows it is no escape
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole pair
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


class Extract(msgspec.Struct):
    """What a tap may say about a stream's extract once it is done: see the README, "What a tap can say".

    `started_at` and `ended_at` are RFC 3339; `rows` is how many records the tap sent.
    """

    mode: Literal["full", "incremental"] | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    rows: int | None = None
    complete: bool | None = None


class Record(msgspec.Struct, tag="RECORD", tag_field="type"):
    """One row: property names with the raw JSON of each value."""

    stream: str
    record: dict[str, msgspec.Raw]
    version: int | None = None
    time_extracted: str | None = None


class Schema(msgspec.Struct, tag="SCHEMA", tag_field="type"):
    """The shape of a stream's records from here on; with `extract`, the stream's end."""

    stream: str
    schema: dict[str, Any]
    key_properties: list[str] | None = None
    bookmark_properties: list[str] | None = None
    extract: Extract | None = None


class State(msgspec.Struct, tag="STATE", tag_field="type"):
    """How far the tap has come; handed back unread, byte for byte."""

    value: msgspec.Raw


class ActivateVersion(msgspec.Struct, tag="ACTIVATE_VERSION", tag_field="type"):
    """After a complete read: rows of the stream without this version are gone at the source."""

    stream: str
    version: int


class Batch(msgspec.Struct, tag="BATCH", tag_field="type"):
    """Records in files of their own; this target has no capability for it, so no tap should send it."""

    stream: str


Message = Record | Schema | State | ActivateVersion | Batch

_TYPES: dict[type[Message], str] = {
    Record: "RECORD",
    Schema: "SCHEMA",
    State: "STATE",
    ActivateVersion: "ACTIVATE_VERSION",
    Batch: "BATCH",
}
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


class RawReader:
    """Reads messages line by line and hands each to the callback for its type."""

    def __init__(self, default_input: IO[bytes]) -> None:
        self.default_input = default_input

    def process_lines(
        self, lines: Iterable[str | bytes] | None, callbacks: dict[str, Callable[[Any], None]]
    ) -> Counter[str]:
        """Hand each message to `callbacks[type]`; returns how many of each type there were.

        Raises:
            InputError: a line is not a Singer message. The error names the line, never its content.
        """
        counts = dict.fromkeys(_TYPES.values(), 0)
        for number, line in enumerate(self.default_input if lines is None else lines, start=1):
            message = decode(line, number)
            kind = _TYPES[type(message)]
            callbacks[kind](message)
            counts[kind] += 1
        return Counter(counts)


def decode(line: str | bytes, number: int) -> Message:
    """Decode one line.

    Raises:
        InputError: not a Singer message.
    """
    raw = line.encode() if isinstance(line, str) else line
    try:
        return _decoder.decode(repair_surrogates(raw))
    except msgspec.DecodeError as error:
        raise InputError(f"Line {number} of the input is not a Singer message: {error}") from error


def repair_surrogates(line: bytes) -> bytes:
    r"""Replace each half of a UTF-16 pair that stands alone (`\ud800`) by U+FFFD.

    Half a pair is no character, and no database takes it. Some taps cut strings in the middle of an emoji.
    """
    if b"\\u" not in line or (b"\\ud" not in line and b"\\uD" not in line):
        return line  # nearly always, and looking three times is quicker than one regular expression
    return BACKSLASH_PAIR_OR_SURROGATES.sub(lambda hit: b"\\ufffd" if hit["half"] else hit[0], line)
