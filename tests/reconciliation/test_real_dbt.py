"""What users run: `dbt build`, offline, on a warehouse that a loader filled."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest
import yaml
from recon_runner import ROOT, dbt, users_command
from recon_world import agreeing, due_date_lost, load, missing

YAML = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "transform" / "models").rglob("*.yml"))]
UNIT_TESTS = [test for file in YAML for test in file.get("unit_tests", [])]
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
        " reason: 'agreed: it''s Kim''s', by: Kim, until: 2026-12-31}\n"
        "- {class: I01, number: INV-9999-0001, reason: not there, by: Kim, until: 2026-12-31}\n"
        "series:\n- {prefix: TILL-, reason: the shop's own, by: Kim, until: 2026-12-31}\n"
    )
    (folder / "mappings.yml").write_text(
        "version: 1\nclients: {cl_9: {customer: 'Kim''s'}, cl_7: {customer_id: '58'}}\n"
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


def test_the_clients_of_the_mapping_file_are_known(built):
    """mappings.yml says which customer is a client's, by id or by name."""
    database, _, _ = built
    with duckdb.connect(str(database), read_only=True) as connection:
        mapped = connection.execute("select * from recon.mapped_customers order by client_id").fetchall()
        assert mapped == [("cl_7", "58", None), ("cl_9", None, "Kim's")]


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


def test_every_rule_on_rows_of_its_own(built):
    """The unit tests of the models pass: VAT proof, waterfall, signs, cases, roll-forward, acceptance, severity."""
    _, _, output = built
    assert len(re.findall(r"PASS \w+::", output)) == len(UNIT_TESTS)


def test_the_daily_build_leaves_unit_tests_out():
    """What runs every day tests the rows of the day; the rules are tried by a command of its own."""
    assert users_command("build") == ["build", "--exclude-resource-type", "unit_test"]
    assert users_command("test") == ["test"]


def test_every_model_states_its_grain_and_is_tested():
    """Each model has a description that begins with its grain, and a data test; each rule has its unit test."""
    described = {model["name"]: model for file in YAML for model in file.get("models", [])}
    assert described.keys() == {path.stem for path in (ROOT / "transform" / "models").rglob("*.sql")}
    for name, model in described.items():
        assert model["description"].startswith("Grain: "), name
        tested = [
            *model.get("data_tests", []),
            *(test for each in model.get("columns", []) for test in each.get("data_tests", [])),
        ]
        assert tested or "tested in" in model["description"] or "tested where" in model["description"], name
    assert {test["model"] for test in UNIT_TESTS} >= {
        "opsmerge_tax_codes", "opsmerge_line_totals", "pairs", "payment_pairs", "differences", "unapplied", "bridge",
        "own_sums", "receivables", "control_totals", "drift", "drift_cases", "drift_rollforward", "drift_ageing",
        "vat_periods", *(path.stem for path in (ROOT / "transform" / "models" / "drift").glob("*.sql")),
    }  # fmt: skip


def test_docs_build_without_a_network(built):
    """`meltano invoke dbt-duckdb:docs` makes one HTML page of all models that loads nothing from elsewhere."""
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    database, _, _ = built
    done = dbt(users_command("docs"), database, database.parent, nowhere, run_id="real-1", run_at="2026-11-22 06:02:00")
    assert done.returncode == 0, done.stdout[-3000:]
    page = (database.parent / "static_index.html").read_text()
    assert "Grain: one drift of this run" in page
    assert "payment_pairs" in page
    assert not re.search(r"""<(script|link|img)[^>]+(src|href)=["']?https?:""", page)


REFUSED = [
    ("accepted: [{class: I01, number: N-1, by: Kim, until: 2026-12-31}]", "entry 1 of accepted: reason is missing"),
    ("accepted: [{class: I01, number: N-1, reason: x, by: Kim, until: soon}]", "until is soon, which is no date"),
    ("accepted: [I01]", "entry 1 of accepted: class is missing"),
    ("series: [{prefix: QB-, reason: shop, until: 2026-12-31}]", "entry 1 of series: by is missing"),
    ("accpeted: []", "unknown key accpeted"),
    ("just words", "is not valid YAML with the keys accepted and series"),
]


@pytest.mark.soak
@pytest.mark.parametrize(("text", "says"), REFUSED)
def test_a_mistyped_acceptance_is_refused(compiled, tmp_path: Path, text: str, says: str):
    """What cannot be taken as accepted stops the build with a word on what is wrong: nothing is accepted by halves."""
    (tmp_path / "accepted.yml").write_text(text + "\n")
    done = dbt(["seed"], compiled.copy(tmp_path / "build.duckdb"), tmp_path)
    assert done.returncode != 0
    assert says in done.stdout


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
