"""Decode Singer messages, no further than the loader needs.

The values of a record stay the tap's own bytes (`msgspec.Raw`): no number is ever converted to a float and back, so
1.10 stays 1.10, also inside nested values, and no Python object is created for a value.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import IO, Any, Literal

import msgspec
from msgspec.structs import astuple

from target_duckdb.columns import DELETED_AT, EXTRACTED_AT, METADATA_NAMES, VERSION
from target_duckdb.errors import InputError

SEPARATOR = b"\x1f"  # between values: JSON allows no control character inside one
DEPTH_MAX = 100
"""The levels of nesting that are kept of a line that is nested too deeply to be parsed."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]|-?Infinity|NaN|[^"\[\]{}NI-]+|.', re.DOTALL)
_NO_NUMBERS = (b"NaN", b"Infinity", b"-Infinity")
_MARK = b'"\\u0000 unusable"'
_NULL = msgspec.Raw(b"null")
_UNNAMEABLE = re.compile(r'[\\"\x00-\x1f]')  # msgspec does not allow it in a field's name
BACKSLASH_PAIR_OR_SURROGATES = re.compile(
    rb"\\\\"  # an escaped backslash: what follows is not an escape
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole pair
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


class Extract(msgspec.Struct):
    """What a tap may say about a stream's extract when it is complete: see the README, "What a tap can say".

    `started_at` and `ended_at` are RFC 3339; `rows` is how many records the tap sent.
    """

    mode: Literal["full", "incremental"] | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    rows: int | None = None
    complete: bool | None = None


class Record(msgspec.Struct, gc=False):
    """One row: the raw JSON of its cells (see `cell_names`), separated by SEPARATOR, and its input line.

    If `unusable` names properties, no database can store their values, and the row has no cells.
    """

    stream: str
    cells: bytes
    line: bytes
    unusable: list[str] = []

    def properties(self) -> set[str]:
        """Return the names of the record's properties."""
        return set(self.values())

    def values(self) -> dict[str, msgspec.Raw]:
        """Return the record, each value as the JSON that the tap wrote."""
        values: dict[str, msgspec.Raw] = _any.decode(self.line).record
        return values


class Schema(msgspec.Struct, tag="SCHEMA", tag_field="type"):
    """The schema of a stream's records from here on; with `extract`, the stream's end."""

    stream: str
    schema: dict[str, Any]
    key_properties: list[str] | None = None
    bookmark_properties: list[str] | None = None
    extract: Extract | None = None


class State(msgspec.Struct, tag="STATE", tag_field="type"):
    """How far the tap has read; emitted unchanged, byte for byte."""

    value: msgspec.Raw


class ActivateVersion(msgspec.Struct, tag="ACTIVATE_VERSION", tag_field="type"):
    """After a complete read: rows of the stream without this version no longer exist at the source."""

    stream: str
    version: int


class Batch(msgspec.Struct, tag="BATCH", tag_field="type"):
    """Records in separate files. This target does not declare the capability, so no tap should send it."""

    stream: str


Message = Record | Schema | State | ActivateVersion | Batch

_TYPES: dict[type[Message], str] = {
    Record: "RECORD",
    Schema: "SCHEMA",
    State: "STATE",
    ActivateVersion: "ACTIVATE_VERSION",
    Batch: "BATCH",
}


class _Record(msgspec.Struct, tag="RECORD", tag_field="type", gc=False):
    """Singer's metadata of a row."""

    time_extracted: msgspec.Raw = _NULL
    version: msgspec.Raw = _NULL


class _AnyRecord(_Record, tag="RECORD", kw_only=True, gc=False):
    """A record of any stream."""

    stream: str
    record: dict[str, msgspec.Raw]


_Decoder = msgspec.json.Decoder[Any]
_any: _Decoder = msgspec.json.Decoder(_AnyRecord | Schema | State | ActivateVersion | Batch)


def cell_names(properties: Iterable[str]) -> list[str]:
    """Return the cells of a record: its properties by name, then the metadata."""
    return [*sorted(set(properties).difference(METADATA_NAMES)), DELETED_AT, EXTRACTED_AT, VERSION]


def _decoder_for(stream: str, names: list[str]) -> _Decoder:
    """Return a decoder for one stream's records. It puts raw values into fields, without creating keys."""
    if any(_UNNAMEABLE.search(name) for name in names):
        return _any
    row = msgspec.defstruct(
        "Row",
        [(f"cell_{at}", msgspec.Raw, _NULL) for at, _ in enumerate(names)],
        rename={f"cell_{at}": name for at, name in enumerate(names)},
        gc=False,
    )
    fields = [("stream", Literal[stream]), ("record", row)]
    record = msgspec.defstruct("StreamRecord", fields, bases=(_Record,), tag="RECORD", kw_only=True, gc=False)
    return msgspec.json.Decoder(record | Schema | State | ActivateVersion | Batch)


def _unusable(line: bytes) -> Record | None:
    """Return a record whose only defects are NaN, Infinity or too deep nesting, with its bad properties; else None."""
    depth, kept = 0, []
    for token in _TOKEN.findall(line):
        depth -= token in b"]}"
        if token in _NO_NUMBERS or (depth == DEPTH_MAX and token in b"[{"):
            kept.append(_MARK if depth <= DEPTH_MAX else b"")
        elif depth < DEPTH_MAX:
            kept.append(token)
        depth += token in b"[{"
    repaired = b"".join(kept)
    try:
        message = _any.decode(repaired)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(message, _AnyRecord):
        return None
    return Record(
        message.stream, b"", repaired, [name for name, value in message.record.items() if _MARK in bytes(value)]
    )


class Decoder:
    """Decodes lines. Each stream's SCHEMA creates a decoder for its records, several times faster than a general one.

    The decoder of the last stream is tried first, because a stream's records mostly follow one another.
    """

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}
        self._decoders: dict[str, _Decoder] = {}
        self._likely = _any

    def decode(self, line: str | bytes, number: int) -> Message:
        """Decode one line.

        Raises:
            InputError: it is not a Singer message. The error names the line, never its content.
        """
        raw = _cleaned(line.encode() if isinstance(line, str) else line, number)
        try:
            message = self._likely.decode(raw)
        except (msgspec.DecodeError, RecursionError):
            message = self._decode_other(raw, number)
        decoded: Message = self._record(message, raw) if isinstance(message, _Record) else message
        if isinstance(decoded, Schema):
            self._learn(decoded)
        return decoded

    def _decode_other(self, line: bytes, number: int) -> Any:
        """Decode a line of another stream, or raise if it is not a Singer message."""
        try:
            message = _any.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            message = _unusable(line)
            if message is None:
                raise InputError(f"Line {number} of the input is not a Singer message: {error}") from error
        if isinstance(message, _AnyRecord):
            self._likely = self._decoders.get(message.stream, _any)
        return message

    def _learn(self, schema: Schema) -> None:
        names = cell_names(schema.schema.get("properties") or ())[:-2]
        self._names[schema.stream] = names
        self._likely = self._decoders[schema.stream] = _decoder_for(schema.stream, names)

    def _record(self, message: Any, line: bytes) -> Record:
        if isinstance(message, _AnyRecord):
            names = self._names.get(message.stream, [])
            row: Iterable[msgspec.Raw] = [message.record.get(name, _NULL) for name in names]
        else:
            row = astuple(message.record)
        return Record(message.stream, SEPARATOR.join((*row, message.time_extracted, message.version)), line)


class RawReader:
    """Reads messages line by line and passes each to the callback for its type."""

    def __init__(self, default_input: IO[bytes]) -> None:
        self.default_input = default_input
        self.decoder = Decoder()

    def process_lines(
        self, lines: Iterable[str | bytes] | None, callbacks: dict[str, Callable[[Any], None]]
    ) -> Counter[str]:
        """Pass each message to `callbacks[type]`; return how many of each type there were.

        Raises:
            InputError: a line is not a Singer message. The error names the line, never its content.
        """
        counts = dict.fromkeys(_TYPES.values(), 0)
        for number, line in enumerate(self.default_input if lines is None else lines, start=1):
            message = self.decoder.decode(line, number)
            kind = _TYPES[type(message)]
            callbacks[kind](message)
            counts[kind] += 1
        return Counter(counts)


def _cleaned(line: bytes, number: int) -> bytes:
    """Return the line as text that a database can store."""
    if not line.isascii():
        _require_utf8(line, number)
    if b"\r" in line:
        line = line.replace(b"\r", b" ")  # only between values: inside a JSON string it is escaped
    return repair_surrogates(line)


def _require_utf8(line: bytes, number: int) -> None:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"Line {number} of the input is not UTF-8, at its byte {error.start}.") from error


def repair_surrogates(line: bytes) -> bytes:
    r"""Replace each unpaired UTF-16 surrogate (`\ud800`) by U+FFFD.

    It is not a character, and no database stores it. Some taps cut strings in the middle of an emoji.
    """
    if b"\\" not in line or (b"\\ud" not in line and b"\\uD" not in line):
        return line  # nearly always; searching for one byte takes a tenth of the time for two
    return BACKSLASH_PAIR_OR_SURROGATES.sub(lambda hit: b"\\ufffd" if hit["half"] else hit[0], line)
