"""A project folder of its own for each session: the real meltano.yml, plugins and transform, and nobody's state."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from meltano_project import ROOT, Bridge, Project, Run, addresses, both_simulators, make_bridge, make_project

sys.path.insert(0, str(Path(__file__).parent))  # so that tests here share `browser`
sys.path.insert(0, str(Path(__file__).parents[1] / "reconciliation" / "lib"))

from recon_runner import Compiled


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """The models as dbt compiled them: for a build that no promise is about."""
    return Compiled.by_dbt(tmp_path_factory.getbasetemp())


@pytest.fixture
def projects() -> Callable[[Path], Project]:
    """Makes a project in an empty folder."""
    return make_project


@pytest.fixture
def bridge(tmp_path: Path, opsmerge_sim, quickbooks_sim) -> Bridge:
    return make_bridge(tmp_path / "project", opsmerge_sim.url, quickbooks_sim.url)


@pytest.fixture(scope="session")
def new_bridge() -> Callable[..., Bridge]:
    """For tests that share one bridge: makes it in a folder, on simulators that run."""
    return make_bridge


@dataclass(frozen=True)
class Demo:
    """The project after a run of the demo and another push, and what each printed."""

    project: Project
    first: Run
    again: Run
    drift_first: list[tuple]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    project = make_project(tmp_path_factory.mktemp("flow") / "project")
    first = project.demo()
    assert first.code == 0, first.out
    drift = project.query("select coalesce(number, opsmerge_value), class, bucket, cause from recon.drift")
    with both_simulators(project.root / ".demo" / "sandbox") as simulators:
        urls = addresses(*(each.url for each in simulators))
        del urls["TARGET_QUICKBOOKS_MAPPING_FILE"]
        again = Bridge(project, *(each.control for each in simulators), urls).pipe("push-invoices")
    assert again.code == 0, again.out
    return Demo(project, first, again, drift)


@pytest.fixture(scope="session")
def accounting(demo: Demo) -> dict[str, dict]:
    """What OpsMerge shows of the books, by invoice number."""
    rows = demo.project.query("select number, accounting from raw_opsmerge.invoices where accounting is not null")
    return {number: json.loads(block) for number, block in rows}
