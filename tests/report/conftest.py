from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "reconciliation" / "lib"))

from recon_runner import Compiled
from recon_world import HOSTILE, PLANTS, RUN_AT, World, agreeing, line_reworded, load


@dataclass(frozen=True)
class Warehouse:
    """A build.duckdb with two runs of a spoiled world in it."""

    build: Path
    world: World
    compiled: Compiled


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """All deeds at once, and names and texts that would like to be markup and formulas."""
    folder = tmp_path_factory.mktemp("warehouse")
    compiled = Compiled.by_dbt(tmp_path_factory.getbasetemp())
    build = compiled.copy(folder / "build.duckdb")
    world = agreeing(seed=5, invoices=400)
    for plant in PLANTS:
        plant(world)
    _make_hostile(world)
    with duckdb.connect(str(build)) as connection:
        load(world, connection, folder)
        compiled.run(connection, "run-1", RUN_AT)
    return Warehouse(build, world, compiled)


def _make_hostile(world: World) -> None:
    [(_, number)] = line_reworded(world)
    invoice = next(row for row in world.opsmerge.values() if row["number"] == number)
    invoice["client_name"] = HOSTILE
    partner = world.partner(invoice["id"])
    partner["doc_number"] = '=HYPERLINK("http://evil.example","x")'
    world.customers[partner["customer_id"]]["display_name"] = HOSTILE + "2"
    rejected = next(row for row in world.postings.values() if row["outcome"] == "rejected")
    rejected["fault_message"] = HOSTILE
