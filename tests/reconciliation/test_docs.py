"""docs/tables.md says what is there: the contract's columns, where classes stand, every check, and queries that run."""

from __future__ import annotations

import csv
import re

import pytest
import yaml
from recon_runner import ROOT
from recon_world import PLANTS, agreeing

PAGE = (ROOT / "docs" / "tables.md").read_text()
SEED = list(csv.DictReader((ROOT / "transform" / "seeds" / "drift_class.csv").open()))
WORDS = list(csv.DictReader((ROOT / "transform" / "seeds" / "drift_words.csv").open()))
FAMILIES = sorted((ROOT / "transform" / "models" / "drift").glob("drift_*.sql"))
MODELS = {
    model["name"]: model
    for model in yaml.safe_load((ROOT / "transform" / "models" / "recon" / "_recon.yml").read_text())["models"]
}


def section(heading: str) -> str:
    return PAGE.split(f"\n## {heading}", 1)[1].split("\n## ", 1)[0]


def first_cells(text: str) -> list[str]:
    """The code names in the first column of a section's table."""
    rows = re.findall(r"^\| (`[^|]*`) \|", text, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([\w.]+)`", row)]


def test_the_page_says_where_each_class_stands():
    """The page links the seeds that list the classes, and names the file of each family."""
    page = section("All classes")
    assert [row["class"] for row in SEED if not row["class"].startswith(tuple(first_cells(page)))] == []
    assert [f"drift/{path.name}" in page for path in FAMILIES] == [True] * len(FAMILIES)
    assert {"../transform/seeds/drift_class.csv", "../transform/seeds/drift_words.csv"} <= set(
        re.findall(r"\]\(([^)]+)\)", page)
    )


def test_cause_and_remedy_stand_in_the_seeds_only():
    """No SQL of a model holds a sentence; each row of words is of a class, and names values that a finding has."""
    for path in (ROOT / "transform" / "models").rglob("*.sql"):
        sentences = re.findall(r"'[^'\n]*\w\.'|'[^'\n]*; [^'\n]*'", path.read_text())
        assert path.name == "checks.sql" or sentences == [], path.name
    [values] = re.findall(r"names = (\[.*?\])", (ROOT / "transform" / "macros" / "finding.sql").read_text())
    for row in WORDS:
        words = row["cause"] + row["remedy"]
        assert words, row
        assert row["class"] in {each["class"] for each in SEED}
        assert set(re.findall(r"\{(\w*)\}", words)) <= set(re.findall(r"\w+", values)), row


def test_a_break_steps_and_the_rest_does_not():
    """Only a break has steps of severity; each break has both, and a cause, a remedy and an owner to go to."""
    for row in SEED:
        steps = [row["large_exposure"], row["old_age_days"]]
        assert all(steps) if row["bucket"] == "break" else not any([*steps, row["vat_days"]]), row["class"]
        assert all(row[name] for name in ("title", "owner", "cause", "remedy", "tolerance", "grace_hours")), row[
            "class"
        ]


@pytest.mark.parametrize("table", ["drift", "control_totals"])
def test_the_columns_of_the_page_are_those_of_the_table(reconcile, table: str):
    """Page, dbt docs and table name the same columns in the same order."""
    built = [row[0] for row in reconcile(agreeing(seed=61, invoices=10)).execute(f"describe recon.{table}").fetchall()]
    assert first_cells(section(f"`recon.{table}`")) == built
    assert [column["name"] for column in MODELS[table]["columns"]] == built


def test_every_check_is_in_the_page(reconcile):
    """Each check, and whether it is a gate, stands in the page."""
    connection = reconcile(agreeing(seed=61, invoices=10))
    found = dict(connection.execute("select check_name, is_gate from recon.checks").fetchall())
    shown = {
        name: gate == "yes"
        for names, gate in re.findall(r"^\| (`[^|]*`) \| (yes|no) \|", section("Checks"), re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }
    assert shown == found


def test_the_sample_queries_run(reconcile):
    """Each query of the page runs; those about breaks find some in a world that is full of them."""
    world = agreeing(seed=62, invoices=320)
    for plant in PLANTS:
        plant(world)
    connection = reconcile(world)
    [block] = re.findall(r"```sql\n(.*?)```", section("Sample queries"), re.DOTALL)
    queries = [query for query in block.split(";") if query.strip()]
    rows = [len(connection.execute(query).fetchall()) for query in queries]
    assert len(rows) == 8
    assert [query for query, count in zip(queries, rows, strict=True) if not count] == [
        query for query in queries if "occurrence > 1" in query
    ]
