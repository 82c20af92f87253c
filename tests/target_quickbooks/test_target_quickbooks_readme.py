"""The README's tables are the target's own."""

from __future__ import annotations

import re
from pathlib import Path

from books.ledgers.quickbooks.settings import QuickBooksPushSettings
from books.posting.postings import Outcome
from books.singer.sink import STREAMS

README = Path(__file__).parents[2] / "target-quickbooks" / "README.md"


def first_column(heading):
    lines = README.read_text().split(f"## {heading}\n")[1].split("\n## ")[0].splitlines()
    return {name for line in lines if line.startswith("| `") for name in re.findall(r"`(\w+)`", line.split("|")[1])}


def test_the_readme_names_every_setting():
    """No setting is missing from the table, and none is made up."""
    assert first_column("Settings") == set(QuickBooksPushSettings.properties())


def test_the_readme_names_every_stream_and_outcome():
    """The same for streams and outcomes."""
    assert first_column("Streams") == set(STREAMS)
    assert first_column("What becomes of an invoice") == {outcome.value for outcome in Outcome}
