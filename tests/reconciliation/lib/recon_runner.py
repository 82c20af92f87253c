"""Runs the SQL that dbt compiled without starting dbt: the same files, in the same order, in a quarter of a second."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import yaml
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[3]
RUN_ID, RUN_AT = "@run_id@", "2000-01-01 00:00:00"
KEPT = ("run_history", "drift_history", "drift_daily", "trusted_documents")
"""Tables that runs add to."""
REF = re.compile(r"\{\{ ref\('(\w+)'\) \}\}")


def users_command(name: str) -> list[str]:
    """What `meltano invoke dbt-duckdb:<name>` gives to dbt."""
    utilities = yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]["utilities"]
    [plugin] = [each for each in utilities if each["name"] == "dbt-duckdb"]
    return str(plugin["commands"][name]["args"]).split()


def dbt(
    command: list[str], database: Path, target: Path, environment: dict[str, str] | None = None, **variables: Any
) -> subprocess.CompletedProcess[str]:
    """Run dbt as users do, offline, on this database, or on the one that the environment names."""
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("dbt")),
            *command,
            "--project-dir",
            "transform",
            "--profiles-dir",
            "transform",
            "--target-path",
            str(target),
            "--log-path",
            str(target),
            "--vars",
            json.dumps(variables),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "BOOKS_BUILD_DATABASE": str(database),
            "BOOKS_ACCEPTED_FILE": str(target / "accepted.yml"),
            "BOOKS_MAPPING_FILE": str(target / "mappings.yml"),
            **(environment or {}),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@dataclass
class Compiled:
    """A database that dbt has built on no data, and the compiled models in the order of their dependencies."""

    template: Path
    models: list[dict[str, Any]]

    @classmethod
    def by_dbt(cls, base: Path) -> Compiled:
        """Build with real dbt, once for all workers of a test run. `base` is pytest's folder for temporary files."""
        folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "dbt"
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                _build(folder)
        manifest = json.loads((folder / "manifest.json").read_text())
        return cls(folder / "template.duckdb", in_order(manifest["nodes"]))

    def copy(self, database: Path) -> Path:
        """A database of one's own to load and run on."""
        shutil.copy(self.template, database)
        return database

    def run(self, connection: duckdb.DuckDBPyConnection, run_id: str, run_at: datetime) -> None:
        """Run every table model. Views are already there."""
        connection.execute("set TimeZone = 'UTC'; set threads = 1; begin")  # small worlds, and two workers
        for model in self.models:
            for statement in statements(model, run_id, run_at):
                connection.execute(statement)
        connection.execute("commit")


def statements(model: dict[str, Any], run_id: str, run_at: datetime) -> list[str]:
    """What dbt does for a model of tables, in SQL that both engines understand."""
    name = f"{model['schema']}.{model['name']}"
    sql = model["compiled_code"].replace(RUN_ID, run_id).replace(RUN_AT, str(run_at))
    if model["config"]["materialized"] == "incremental":
        hooks = [
            REF.sub(lambda found: model["relations"][found[1]], hook["sql"]) for hook in model["config"]["pre-hook"]
        ]
        return [*hooks, f"insert into {name} {sql}"]
    return [f"drop table if exists {name}", f"create table {name} as {sql}"]


def _build(folder: Path) -> None:
    """Build without the data tests: on no rows they find nothing."""
    folder.mkdir()
    command = [*users_command("build"), "--exclude-resource-type", "test"]
    done = dbt(command, folder / "template.duckdb", folder, run_id=RUN_ID, run_at=RUN_AT)
    assert done.returncode == 0, done.stdout[-4000:]
    with duckdb.connect(str(folder / "template.duckdb")) as connection:
        for table in KEPT:
            connection.execute(f"delete from recon.{table}")


def in_order(nodes: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    models = {key: node for key, node in nodes.items() if node["resource_type"] == "model"}
    ordered: dict[str, dict[str, Any]] = {}

    def visit(key: str) -> None:
        if key in models and key not in ordered:
            for parent in models[key]["depends_on"]["nodes"]:
                visit(parent)
            ordered[key] = models[key]

    for key in models:
        visit(key)
    relations = {node["name"]: f"{node['schema']}.{node['name']}" for node in ordered.values()}
    return [{**node, "relations": relations} for node in ordered.values() if node["config"]["materialized"] != "view"]
