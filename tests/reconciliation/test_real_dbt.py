"""What users run: `dbt build`, offline, on a warehouse that a loader filled."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from recon_runner import ROOT, dbt
from recon_world import agreeing, due_date_lost, load, missing

SQL = [path for folder in ("models", "macros") for path in (ROOT / "transform" / folder).rglob("*.sql")]


@pytest.fixture(scope="module")
def built(compiled, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[tuple[str, str]], str]:
    folder = tmp_path_factory.mktemp("real")
    database = compiled.copy(folder / "build.duckdb")
    world = agreeing(seed=11, invoices=40)
    expected = missing(world) | due_date_lost(world)
    [(_, number)] = [drift for drift in expected if drift[0] == "H04"]
    due_date = next(row["due_date"] for row in world.opsmerge.values() if row["number"] == number)
    with duckdb.connect(str(database)) as connection:
        load(world, connection, folder)
    (folder / "accepted.yml").write_text(
        f"accepted:\n- {{class: H04, number: {number}, opsmerge_value: '{due_date}', ledger_value: null,"
        " reason: agreed, by: Kim, until: 2026-12-31}\n"
        "- {class: I01, number: INV-9999-0001, reason: not there, by: Kim, until: 2026-12-31}\n"
    )
    done = dbt(["build"], database, folder, run_id="real-1", run_at="2026-11-22 06:02:00")
    assert done.returncode == 0, done.stdout[-3000:]
    return database, expected, done.stdout


def test_dbt_build_finds_the_same_as_the_harness(built):
    """Real dbt gives the drift that was planted, under the run's own id, with every check passed."""
    database, expected, _ = built
    with duckdb.connect(str(database), read_only=True) as connection:
        assert (
            set(connection.execute("select class, number from recon.drift where bucket = 'break'").fetchall())
            == expected
        )
        assert connection.execute("select distinct run_id from recon.drift").fetchall() == [("real-1",)]
        assert connection.execute("select check_name from recon.checks where is_gate and not ok").fetchall() == []
        assert connection.execute("select run_id, trusted from recon.run_history").fetchall() == [("real-1", True)]


def test_an_accepted_break_is_marked_and_counted_apart(built):
    """accepted.yml takes a break out of the open ones while both sides' values are as they were accepted."""
    database, _, _ = built
    with duckdb.connect(str(database), read_only=True) as connection:
        assert dict(
            connection.execute("select class, accepted from recon.drift where bucket = 'break'").fetchall()
        ) == {"H04": True, "I01": False}
        assert connection.execute("select breaks from recon.run_history").fetchall() == [(1,)]


def test_nothing_deprecated_and_nothing_sent(built):
    """The build warns of nothing, and neither telemetry nor a version check is on."""
    _, _, output = built
    assert "WARN=0" in output
    assert "eprecat" not in output
    project = (ROOT / "transform" / "dbt_project.yml").read_text()
    assert "send_anonymous_usage_stats: false" in project
    assert "version_check: false" in project


def test_the_contract_tables_have_the_contract_columns(built):
    """`drift` and `control_totals` are a versioned contract: these columns in this order."""
    database, _, _ = built
    with duckdb.connect(str(database), read_only=True) as connection:
        columns = {
            table: [row[0] for row in connection.execute(f"describe recon.{table}").fetchall()]
            for table in ("drift", "control_totals")
        }
    assert columns["drift"] == [
        "run_id",
        "drift_key",
        "class",
        "bucket",
        "severity",
        "owner",
        "cause",
        "remedy",
        "connection",
        "currency",
        "period",
        "opsmerge_invoice_id",
        "number",
        "external_id",
        "payment_id",
        "opsmerge_value",
        "ledger_value",
        "effect",
        "exposure",
        "first_seen",
        "age_days",
        "root_class",
        "accepted",
    ]
    assert columns["control_totals"] == [
        "run_id",
        "connection",
        "measure",
        "currency",
        "period",
        "opsmerge_total",
        "ledger_total",
        "difference",
        "by_design",
        "timing",
        "tolerated",
        "breaks",
        "unexplained",
    ]


def test_money_sql_never_divides():
    """A decimal divided is a double in DuckDB, and doubles lose pennies: no model divides."""
    for path in SQL:
        code = [
            line.split("--")[0]
            for line in path.read_text().replace("/*", "").replace("*/", "").splitlines()
            if "{#" not in line
        ]
        divisions = [line for line in code if " / " in line]
        assert divisions == [], f"{path.name}: {divisions}"


def test_no_null_safe_comparison_with_a_constant():
    """DuckDB 1.5 drops rows of `k = 'x' or k is distinct from 'x'` where k is null throughout: compare columns only."""
    for path in SQL:
        assert "distinct from '" not in path.read_text(), path.name
