"""docs/security.md names what shows each defence: every command in it must select a test that exists."""

from __future__ import annotations

import re
import shlex


def test_every_command_in_the_threat_list_selects_a_test(root):
    """Each `pytest ...` of docs/security.md and docs/guarantees.md names files that exist, and words in them."""
    commands = [
        each
        for name in ("security.md", "guarantees.md")
        for each in re.findall(r"`pytest ([^`]+)`", (root / "docs" / name).read_text())
    ]
    assert len(commands) > 20
    for command in commands:
        words = shlex.split(command)
        chosen = words.index("-k") if "-k" in words else len(words)
        places = [root / place for place in words[:chosen]] or [root / "tests"]
        assert all(place.exists() for place in places), command
        texts = "".join(f"{path.name} {path.read_text()}" for place in places for path in _files(place))
        for word in re.split(r" or ", words[chosen + 1]) if chosen < len(words) else ():
            assert re.search(rf"def test_\w*{word}|^\s*\(?\"[^\"]*{word}|test_\w*{word}\w*\.py", texts, re.MULTILINE), (
                command
            )


def test_what_forget_erases_is_what_the_page_says(root):
    """Each list that the page names is there, and has entries."""
    from books.operations.forget import in_store, in_warehouse

    page = (root / "docs" / "security.md").read_text()
    for module in (in_store, in_warehouse):
        assert module.__name__.rpartition(".")[2] + ".py" in page
        assert len(module.ERASED) >= 5


def _files(place):
    return sorted(place.rglob("test_*.py")) if place.is_dir() else [place]
