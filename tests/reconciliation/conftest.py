from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

sys.path.insert(0, str(Path(__file__).parent / "lib"))

from recon_runner import Compiled
from recon_world import RUN_AT, World, load


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return Compiled.by_dbt(tmp_path_factory.getbasetemp())


@pytest.fixture
def database(compiled: Compiled, tmp_path: Path) -> Path:
    return compiled.copy(tmp_path / "build.duckdb")


Reconcile = Callable[..., duckdb.DuckDBPyConnection]


@pytest.fixture
def reconcile(compiled: Compiled, database: Path, tmp_path: Path):
    """Load a world and run the reconciliation over it; gives the open connection."""
    connection = duckdb.connect(str(database))

    def run(world: World, run_id: str = "run-1", run_at: datetime = RUN_AT) -> duckdb.DuckDBPyConnection:
        load(world, connection, tmp_path)
        compiled.run(connection, run_id, run_at)
        return connection

    yield run
    connection.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave this folder's long proof runs to `make soak`, which asks for them by their mark."""
    if "soak" in config.option.markexpr:
        return
    here = Path(__file__).parent
    left = [item for item in items if item.path.parent == here and item.get_closest_marker("soak")]
    items[:] = [item for item in items if item not in left]
    config.hook.pytest_deselected(items=left)
