"""The README's settings table is the target's own."""

from __future__ import annotations

import re
from pathlib import Path

from target_duckdb.target import TargetDuckDB

README = Path(__file__).parents[2] / "target-duckdb" / "README.md"


def test_the_readme_names_every_setting():
    """No setting is missing from the table, and none is made up."""
    table = README.read_text().split("## Settings")[1].split("Exit codes")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == set(TargetDuckDB.config_jsonschema["properties"])
