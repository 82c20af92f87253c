"""A project folder of its own for each session: the real meltano.yml, plugins and transform, and nobody's state."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO_SECONDS_MAX = 300


@dataclass(frozen=True)
class Run:
    """What one `make run` printed, and how it ended."""

    code: int
    out: str


@dataclass(frozen=True)
class Project:
    """A copy of the project in an empty folder, on the same virtual environment."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MELTANO", "TAP_", "TARGET_"))}
        return {**kept, "MELTANO_PROJECT_ROOT": str(self.root), "NO_COLOR": "1", "COLUMNS": "200"}

    def command(self, *words: str, **more: str) -> Run:
        done = subprocess.run(
            [str(self.root / ".venv" / "bin" / words[0]), *words[1:]],
            cwd=self.root,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=DEMO_SECONDS_MAX,
            check=False,
        )
        return Run(done.returncode, done.stdout + done.stderr)

    def demo(self) -> Run:
        return self.command("python", "scripts/demo.py", "--opsmerge-port", "0", "--quickbooks-port", "0")

    def query(self, sql: str) -> list[tuple]:
        with duckdb.connect(str(self.root / "warehouse" / "demo" / "books.duckdb"), read_only=True) as warehouse:
            return warehouse.execute(sql).fetchall()


def make_project(root: Path) -> Project:
    root.mkdir()
    for name in ("meltano.yml", "scripts"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, root / name)
    shutil.copytree(ROOT / "transform", root / "transform", ignore=shutil.ignore_patterns("target", "logs"))
    (root / ".venv").symlink_to(sys.prefix)
    (root / "sandbox").symlink_to(ROOT / "sandbox")
    return Project(root)


@dataclass(frozen=True)
class Demo:
    """The project after two runs of the demo, and what each printed."""

    project: Project
    first: Run
    second: Run
    drift_first: list[tuple]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    project = make_project(tmp_path_factory.mktemp("flow") / "project")
    first = project.demo()
    assert first.code == 0, first.out
    drift = project.query("select coalesce(number, opsmerge_value), class, bucket, cause from recon.drift")
    second = project.demo()
    assert second.code == 0, second.out
    return Demo(project, first, second, drift)


@pytest.fixture(scope="session")
def accounting(demo: Demo) -> dict[str, dict]:
    """What OpsMerge shows of the books, by invoice number."""
    rows = demo.project.query("select number, accounting from raw_opsmerge.invoices where accounting is not null")
    return {number: json.loads(block) for number, block in rows}
