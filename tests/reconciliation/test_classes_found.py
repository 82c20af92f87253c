"""Each kind of drift is found, under its class, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable

import duckdb
import pytest
import yaml
from recon_runner import ROOT
from recon_world import PLANTS, Drift, World, agreeing, natural


def found(connection: duckdb.DuckDBPyConnection) -> set[Drift]:
    return set(
        connection.execute("select class, coalesce(number, payment_id, external_id) from recon.drift").fetchall()
    )


def failed(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, int]]:
    return connection.execute("select check_name, failures from recon.checks where is_gate and not ok").fetchall()


def unexplained(connection: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    return connection.execute(
        "select measure, currency, period, unexplained from recon.control_totals where unexplained <> 0"
    ).fetchall()


def test_sides_that_agree_show_no_break(reconcile):
    """Where both sides agree, the report is empty but for VAT pennies, and every check passes."""
    world = agreeing(seed=1)
    connection = reconcile(world)
    assert found(connection) == natural(world)
    assert failed(connection) == []
    assert unexplained(connection) == []


@pytest.mark.soak
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_each_kind_of_drift_is_found_and_nothing_else(reconcile, plant: Callable[[World], set[Drift]]):
    """One deed gives the drift it should, no other, and leaves no penny unexplained."""
    world = agreeing(seed=2, invoices=150)
    expected = plant(world)
    connection = reconcile(world)
    touched = {name for _, name in expected}
    assert {drift for drift in found(connection) if drift[0] != "A03" or drift[1] in touched} - {
        ("A03", name) for name in touched
    } == expected
    assert failed(connection) == []
    assert unexplained(connection) == []


def all_deeds(seed: int, invoices: int, times: int = 1) -> tuple[World, set[Drift]]:
    world = agreeing(seed, invoices)
    expected: set[Drift] = set()
    for plant in PLANTS * times:
        expected |= plant(world)
    return world, expected


def assert_found(connection: duckdb.DuckDBPyConnection, expected: set[Drift]) -> None:
    """All that was planted, nothing else, every penny classified; VAT pennies aside, which a world has of itself."""
    assert {drift for drift in found(connection) if drift[0] != "A03"} == expected
    assert failed(connection) == []
    assert unexplained(connection) == []


@pytest.mark.parametrize("seed", range(5))
def test_all_kinds_at_once_on_a_random_world(reconcile, seed: int):
    """All deeds together, on another world each time: each found, nothing else, every penny classified."""
    world, expected = all_deeds(100 + seed, 320)
    assert_found(reconcile(world), expected)


def test_every_class_of_the_seed_is_tried_somewhere(compiled):
    """No class is without a test: each is planted here, or expected by a unit test beside its model."""
    _, expected = all_deeds(100, 400)
    with duckdb.connect(str(compiled.template), read_only=True) as connection:
        classes = {name for (name,) in connection.execute("select class from recon.drift_class").fetchall()}
    planted = {name for name, _ in expected}
    assert planted <= classes
    assert classes - planted <= expected_by_unit_tests()


def expected_by_unit_tests() -> set[str]:
    """The classes that a unit test of a model expects."""
    files = [yaml.safe_load(path.read_text()) for path in (ROOT / "transform" / "models").rglob("*.yml")]
    rows = [row for file in files for test in file.get("unit_tests", []) for row in test["expect"]["rows"]]
    return {value for row in rows for name, value in row.items() if name.endswith("class")}


def test_ten_thousand_invoices(reconcile):
    """Among 10,000 invoices each deed, done five times, is found, and nothing else is."""
    world, expected = all_deeds(10, 10_000, times=5)
    assert_found(reconcile(world), expected)


@pytest.mark.soak
def test_a_hundred_thousand_invoices(reconcile):
    """Among 100,000 invoices each deed, done fifty times, is found, and nothing else is."""
    world, expected = all_deeds(11, 100_000, times=50)
    assert_found(reconcile(world), expected)


@pytest.mark.soak
def test_fifty_random_worlds(reconcile):
    """The same on fifty worlds of different sizes."""
    for seed in range(50):
        world, expected = all_deeds(1000 + seed, 320 + 20 * seed)
        assert_found(reconcile(world), expected)
