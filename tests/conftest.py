"""For all tests: the slowest files go first, so that two workers end at about the same time."""

from __future__ import annotations

from pathlib import Path

import pytest

LONGEST_FIRST = (
    "test_whole_flow.py",
    "test_simulation.py",
    "test_simulation_odd_seeds.py",
    "test_meltano_project.py",
    "test_target_quickbooks_kills.py",
    "test_target_quickbooks_posting.py",
    "test_real_dbt.py",
    "test_infra_processes.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order whole files; the order within a file stays."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(Path(item.fspath).name, len(places)))
