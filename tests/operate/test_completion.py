"""Completion of the `books` command line, as the README says to switch it on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BOOKS = Path(sys.executable).with_name("books")

ASK = """
eval "$(_BOOKS_COMPLETE=bash_source books)"
COMP_WORDS=({words}); COMP_CWORD={place}; _books_completion books; echo "${{COMPREPLY[*]}}"
"""


def run(*call, **more):
    path = f"{BOOKS.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(call, env={**os.environ, "PATH": path, **more}, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("books p", ["plan", "post", "preflight"]),
        ("books log --outcome re", ["rejected"]),
        ("books post --pl", ["--plan"]),
    ],
)
def test_bash_completes_commands_options_and_their_values(words, found):
    """In a real bash, by what it has read from `books` itself."""
    assert run("bash", "--norc", "-c", ASK.format(words=words, place=len(words.split()) - 1)) == found


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_get_their_script_and_their_answers(shell):
    """The script asks `books` back, and is answered without a project at hand."""
    assert f"_BOOKS_COMPLETE={shell}_complete" in " ".join(run(BOOKS, _BOOKS_COMPLETE=f"{shell}_source"))
    asked = {"COMP_WORDS": "books pre", "COMP_CWORD": "pre" if shell == "fish" else "1"}
    assert "preflight" in " ".join(run(BOOKS, _BOOKS_COMPLETE=f"{shell}_complete", **asked))
