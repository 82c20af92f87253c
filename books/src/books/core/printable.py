"""Text from outside on its way to a terminal, a pipe or a log: what steers them or hides is shown as an escape.

A client's name may hold anything: an escape sequence that repaints the screen, a direction mark that turns a number
round, a line break that writes a line of its own.
"""

from __future__ import annotations

import unicodedata

JOINERS = frozenset("\u200c\u200d")
"""They join letters and emoji of one name, and steer nothing."""

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def printable(text: str) -> str:
    r"""Return the text on one line: line breaks and tabs as a space, other hidden characters as `\x1b` or `\u202e`."""
    if text.isprintable():
        return text
    return "".join(each if not _is_hidden(each) else " " if each.isspace() else _escape(each) for each in text)


def printable_lines(text: str) -> str:
    """Return the text with its own lines kept, each of them printable."""
    return "\n".join(map(printable, text.split("\n")))


def printable_json(text: str) -> str:
    r"""Return a JSON document with its hidden characters as `\u202e`: it says the same, and shows what it says."""
    if text.isprintable():
        return text
    return "".join(_json_escape(each) if _is_hidden(each) else each for each in text)


def has_control(text: str) -> bool:
    """Whether the text holds a control character, which no name or number of a ledger may."""
    return any(unicodedata.category(each) == "Cc" for each in text)


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN and character not in JOINERS


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def _escape(character: str) -> str:
    return ascii(character)[1:-1]
