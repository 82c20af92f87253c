"""A project folder of its own for each session: the real meltano.yml, plugins and transform, and nobody's state."""

from __future__ import annotations

import html
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
import requests

from sandbox.control import Control

sys.path.insert(0, str(Path(__file__).parent))  # so that tests here share `browser`

ROOT = Path(__file__).resolve().parents[2]
DEMO_SECONDS_MAX = 300
SANDBOX_KEYS = {
    "client_id": "sandbox-client",
    "client_secret": "sandbox-secret",
    "refresh_token": "RT-sandbox-0001",
}


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

    def copied(self, root: Path) -> Project:
        """The same project with its store, warehouse and reports, elsewhere: for what must not be undone."""
        copy = make_project(root)
        for name in (".demo", "warehouse"):
            shutil.copytree(self.root / name, root / name, ignore=shutil.ignore_patterns("sandbox"))
        return copy

    def holding(self, text: str) -> list[Path]:
        """Files of the store, the warehouse, the reports and the logs that hold a text, also with entities."""
        spelt = {text.encode(), html.escape(text).encode(), html.escape(text, quote=False).encode()}
        files = (path for name in (".demo", "warehouse") for path in sorted((self.root / name).rglob("*")))
        return [path for path in files if path.is_file() and any(each in path.read_bytes() for each in spelt)]


def make_project(root: Path) -> Project:
    root.mkdir()
    for name in ("meltano.yml", "scripts"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, root / name)
    shutil.copytree(ROOT / "transform", root / "transform", ignore=shutil.ignore_patterns("target", "logs"))
    (root / ".venv").symlink_to(sys.prefix)
    (root / "sandbox").symlink_to(ROOT / "sandbox")
    return Project(root)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture
def projects() -> Callable[[Path], Project]:
    """Makes a project in an empty folder."""
    return make_project


@dataclass(frozen=True)
class Bridge:
    """A project and both simulators, with one client, one service and one tax code in OpsMerge."""

    project: Project
    opsmerge: Control
    quickbooks: Control
    urls: dict[str, str]

    def push(self, **more: str) -> Run:
        return self.project.command("meltano", "run", "--force", "push-invoices", **{**self.urls, **more})

    def books(self, *words: str, **more: str) -> Run:
        return self.project.command("books", *words, **{**self.urls, **more})

    def open_invoice(self) -> str:
        line = {"description": "Support, Nov", "quantity": 3, "unit_price": 100, "service_id": "svc_1"}
        lines = [{**line, "tax_code_id": "tax_1"}]
        return self.opsmerge.deed("create_invoice", client_id="cl_1", lines=lines)["id"]

    def opsmerge_invoice(self, invoice_id: str) -> dict:
        return self.opsmerge_get(f"/psa/invoices/{invoice_id}")

    def opsmerge_get(self, path: str, key: str = "om_sandbox_key") -> dict:
        url = f"{self.urls['TAP_OPSMERGE_API_URL']}{path}"
        return requests.get(url, headers={"Authorization": f"Bearer {key}"}, timeout=10).json()

    def quickbooks_invoices(self, number: str, keys: dict[str, str] = SANDBOX_KEYS) -> int:
        """How many invoices QuickBooks has under a number, asked as any client would."""
        grant = requests.post(
            f"{self.urls['TARGET_QUICKBOOKS_API_URL']}/oauth2/v1/tokens/bearer",
            data={"grant_type": "refresh_token", "refresh_token": keys["refresh_token"]},
            auth=(keys["client_id"], keys["client_secret"]),
            timeout=10,
        )
        token = grant.json()["access_token"]
        answer = requests.get(
            f"{self.urls['TARGET_QUICKBOOKS_API_URL']}/v3/company/9341453000000001/query",
            params={"query": f"select count(*) from Invoice where DocNumber = '{number}'"},
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=10,
        )
        return answer.json()["QueryResponse"]["totalCount"]


@pytest.fixture
def bridge(tmp_path: Path, opsmerge_sim, quickbooks_sim) -> Bridge:
    return make_bridge(tmp_path / "project", opsmerge_sim.url, quickbooks_sim.url)


@pytest.fixture(scope="session")
def new_bridge() -> Callable[..., Bridge]:
    """For tests that share one bridge: makes it in a folder, on simulators that run."""
    return make_bridge


def make_bridge(folder: Path, opsmerge_url: str, quickbooks_url: str) -> Bridge:
    opsmerge = Control(opsmerge_url)
    furnish(opsmerge)
    return Bridge(make_project(folder), opsmerge, Control(quickbooks_url), addresses(opsmerge_url, quickbooks_url))


def addresses(opsmerge_url: str, quickbooks: str) -> dict[str, str]:
    """Meltano's variables that point every plugin at these simulators."""
    opsmerge = f"{opsmerge_url}/api/v1"
    return {
        "TAP_OPSMERGE_API_URL": opsmerge,
        "TARGET_OPSMERGE_API_URL": opsmerge,
        "TARGET_QUICKBOOKS_API_URL": quickbooks,
        "TARGET_QUICKBOOKS_TOKEN_URL": quickbooks,
        "TAP_QUICKBOOKS_PAYMENTS_API_URL": quickbooks,
        "TAP_QUICKBOOKS_PAYMENTS_TOKEN_URL": quickbooks,
        "TARGET_QUICKBOOKS_MAPPING_FILE": "mappings.yml",
    }


def furnish(opsmerge: Control) -> None:
    """One client, one service, one tax code."""
    opsmerge.deed("save_client", id="cl_1", name="Hartley & Sons")
    opsmerge.deed("save_service", id="svc_1", name="Managed Support")
    opsmerge.deed("save_tax_code", id="tax_1", name="VAT", rate=20, quickbooks_tax_code="20.0% S")


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
