"""The README's tables are the tap's own."""

from __future__ import annotations

import re
from pathlib import Path

from books.ledgers.quickbooks.settings import QuickBooksPullSettings
from tap_quickbooks_payments.tap import TapQuickBooksPayments

README = Path(__file__).parents[2] / "tap-quickbooks-payments" / "README.md"


def first_column(heading: str) -> set[str]:
    lines = README.read_text().split(f"## {heading}\n")[1].split("\n## ")[0].splitlines()
    return {name for line in lines if line.startswith("| `") for name in re.findall(r"`(\w+)`", line.split("|")[1])}


def test_the_readme_names_every_setting():
    """No setting is missing from the table, and none is made up."""
    assert first_column("Settings") == set(QuickBooksPullSettings.properties())


def test_the_readme_names_every_stream(tmp_path):
    """The same for the streams."""
    tap = TapQuickBooksPayments(config={"realm_id": "1", "client_id": "a", "client_secret": "b"})
    assert first_column("Streams") == set(tap.streams)
