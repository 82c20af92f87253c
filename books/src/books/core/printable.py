"""Escape control and invisible characters in text from outside before it is printed or logged.

A client's name may contain anything: an escape sequence that repaints the screen, a direction mark that reverses a
number, a line break that forges a line.
"""

from __future__ import annotations

import unicodedata

JOINERS = frozenset("\u200c\u200d")
"""They join letters and emoji within a name, and are harmless."""

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def printable(text: str) -> str:
    r"""Return the text on one line: line breaks and tabs as a space, other hidden characters as `\x1b` or `\u202e`."""
    if text.isprintable():
        return text
    return "".join(each if not _is_hidden(each) else " " if each.isspace() else _escape(each) for each in text)


def printable_lines(text: str) -> str:
    """Return the text with its line breaks kept and each line printable."""
    return "\n".join(map(printable, text.split("\n")))


def printable_json(text: str) -> str:
    r"""Return a JSON document with hidden characters as `\u202e`: the same content, visible."""
    if text.isprintable():
        return text
    return "".join(_json_escape(each) if _is_hidden(each) else each for each in text)


def has_control(text: str) -> bool:
    """Return whether the text has a control character, which no name or number of a ledger may have."""
    return any(unicodedata.category(each) == "Cc" for each in text)


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN and character not in JOINERS


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def _escape(character: str) -> str:
    return ascii(character)[1:-1]


def possessive(name: str) -> str:
    """Return for example `QuickBooks'` or `Xero's`."""
    return f"{name}'" if name.endswith("s") else f"{name}'s"
