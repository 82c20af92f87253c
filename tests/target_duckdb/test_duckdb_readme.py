"""The README's settings table is the target's own."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from target_duckdb.target import TargetDuckDB

README = Path(__file__).parents[2] / "target-duckdb" / "README.md"


def test_the_readme_names_every_setting():
    """No setting is missing from the table, and none is made up."""
    table = README.read_text().split("## Settings")[1].split("Exit codes")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == set(TargetDuckDB.config_jsonschema["properties"])


def test_the_readme_s_way_of_publishing_works(tmp_path, monkeypatch):
    """A reader of the published file keeps what it opened; the next sees the new rows."""
    code = README.read_text().split("```python")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    for value in (1, 2):
        with duckdb.connect("build.duckdb") as connection:
            connection.execute(f"CREATE OR REPLACE TABLE t AS SELECT {value} AS value")
        exec(compile(code, "README.md", "exec"))  # noqa: S102 -- our own README
        if value == 1:
            reader = duckdb.connect("published.duckdb", read_only=True)
    assert reader.execute("FROM t").fetchone() == (1,)
    reader.close()
    with duckdb.connect("published.duckdb", read_only=True) as connection:
        assert connection.execute("FROM t").fetchone() == (2,)
