"""What comes from outside steers no terminal, hides from nobody, and forges no line."""

from __future__ import annotations

import io
import json
import logging
import unicodedata

import pytest

from books.core import redact
from books.core.printable import printable, printable_json, printable_lines

HIDDEN = {
    "escape": ("a\x1b[2Jb", "a\\x1b[2Jb"),
    "bell": ("a\x07b", "a\\x07b"),
    "C1 control": ("a\x9bb", "a\\x9bb"),
    "delete": ("a\x7fb", "a\\x7fb"),
    "override": ("a\u202eb", "a\\u202eb"),
    "isolate": ("a\u2066b\u2069", "a\\u2066b\\u2069"),
    "marks": ("\u200ea\u200fb\u061c", "\\u200ea\\u200fb\\u061c"),
    "line break": ("a\nb\r\nc", "a b  c"),
    "next line": ("a\x85b", "a b"),
    "separators": ("a\u2028b\u2029c", "a b c"),
    "tab": ("a\tb", "a b"),
    "zero width": ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
    "half a pair": ("a\ud800b", "a\\ud800b"),
    "a tag beyond 16 bits": ("a\U000e0041", "a\\U000e0041"),
}
KEPT = [
    "Bäckerei Süß & Söhne",
    "\u0634\u0631\u0643\u0629",
    "\ufb01\u00bd",
    "\U0001f469\u200d\U0001f527 Fixit",
    "a\u00a0b",
    "",
]


@pytest.mark.parametrize("name", HIDDEN)
def test_what_is_hidden_is_shown_as_an_escape(name):
    """On one line; JSON says the same as before, in characters that everybody sees."""
    text, shown = HIDDEN[name]
    assert printable(text) == shown
    document = json.dumps({"name": text}, ensure_ascii=False)
    safe = printable_json(document)
    assert json.loads(safe) == {"name": text}
    assert not [each for each in safe if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    safe.encode()


@pytest.mark.parametrize("text", KEPT)
def test_names_of_every_script_stay_as_they_are(text):
    """Accents, other scripts, joined emoji and blanks of any kind."""
    assert printable(text) == text
    assert printable_json(json.dumps(text, ensure_ascii=False)) == json.dumps(text, ensure_ascii=False)


def test_a_text_of_several_lines_keeps_its_own():
    """Only line feeds part lines."""
    assert printable_lines("a\x1b\nb\rc") == "a\\x1b\nb c"


def test_a_log_line_steers_no_terminal():
    """Whichever part of the message the name is in."""
    told = io.StringIO()
    handler = logging.StreamHandler(told)
    logger = logging.getLogger("test-printable")
    logger.addHandler(handler)
    handler.addFilter(redact.RedactingFilter())
    logger.warning("client %s", "Acme\x1b]0;owned\x07\u202e")
    logger.removeHandler(handler)
    assert told.getvalue() == "client Acme\\x1b]0;owned\\x07\\u202e\n"
