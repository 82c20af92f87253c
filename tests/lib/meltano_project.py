"""A project folder of its own: the real meltano.yml, plugins and transform, and nobody's state."""

from __future__ import annotations

import html
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import requests
from forked_commands import forks
from plugin_pipes import run_pipes

from sandbox import opsmerge, quickbooks
from sandbox.control import Control
from sandbox.pytest_plugin import Simulator
from sandbox.server import running

ROOT = Path(__file__).resolve().parents[2]
COMMAND_SECONDS_MAX = 300
SANDBOX_KEYS = {
    "client_id": "sandbox-client",
    "client_secret": "sandbox-secret",
    "refresh_token": "RT-sandbox-0001",
}


@dataclass(frozen=True)
class Run:
    """What one command printed, and how it ended."""

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
        """Run a command to its end: `books` in a process that is forked, any other as a shell starts it."""
        if words[0] == "books":
            done = forks().run(words, self.root, {**self.environment, **more})
            return Run(done.returncode, done.stdout + done.stderr)
        done = subprocess.run(
            [str(self.root / ".venv" / "bin" / words[0]), *words[1:]],
            cwd=self.root,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
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
        for name in (".demo", "warehouse", "transform/target"):  # the last one is what dbt has parsed
            shutil.copytree(self.root / name, root / name, ignore=shutil.ignore_patterns("sandbox"))
        return copy

    def holding(self, text: str) -> list[Path]:
        """Files of the store, warehouse, reports, logs and plans that hold a text, also with entities."""
        spelt = {text.encode(), html.escape(text).encode(), html.escape(text, quote=False).encode()}
        files = (path for name in (".demo", "warehouse", "plans") for path in sorted((self.root / name).rglob("*")))
        return [path for path in files if path.is_file() and any(each in path.read_bytes() for each in spelt)]


def make_project(root: Path) -> Project:
    root.mkdir()
    for name in ("meltano.yml", "scripts", "catalogs"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, root / name)
    shutil.copytree(ROOT / "transform", root / "transform", ignore=shutil.ignore_patterns("target", "logs"))
    (root / ".venv").symlink_to(sys.prefix)
    (root / "sandbox").symlink_to(ROOT / "sandbox")
    return Project(root)


@dataclass(frozen=True)
class Bridge:
    """A project and both simulators, with one client, one service and one tax code in OpsMerge."""

    project: Project
    opsmerge: Control
    quickbooks: Control
    urls: dict[str, str]

    def push(self, **more: str) -> Run:
        return self.meltano("push-invoices", **more)

    def pull(self, **more: str) -> Run:
        return self.meltano("pull-payments", **more)

    def pipe(self, job: str, **more: str) -> Run:
        """A job without Meltano: the same plugins, settings, catalogs and bookmarks; for what Meltano cannot change."""
        return Run(*run_pipes(self.project.root, job, {**self.project.environment, **self.urls, **more}))

    def meltano(self, job: str, **more: str) -> Run:
        return self.project.command("meltano", "run", "--force", job, **{**self.urls, **more})

    def books(self, *words: str, **more: str) -> Run:
        return self.project.command("books", *words, **{**self.urls, **more})

    def open_invoice(self) -> str:
        line = {"description": "Support, Nov", "quantity": 3, "unit_price": 100, "service_id": "svc_1"}
        lines = [{**line, "tax_code_id": "tax_1"}]
        return self.opsmerge.deed("create_invoice", client_id="cl_1", lines=lines)["id"]

    def opsmerge_invoice(self, invoice_id: str) -> dict:
        return self.opsmerge_get(f"/psa/invoices/{invoice_id}")

    def opsmerge_get(self, path: str, key: str = "om_sandbox_key") -> dict:
        """What OpsMerge answers to any client."""
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


@contextmanager
def both_simulators(folder: Path | None = None) -> Iterator[tuple[Simulator, Simulator]]:
    """OpsMerge and QuickBooks, for fixtures that outlive a test; the plugin's own two live as long as one.

    `folder` is where `sandbox serve --state` has kept theirs; without it they begin anew.
    """
    states = (
        opsmerge.OpsMergeState(folder / "opsmerge" if folder else None),
        quickbooks.QuickBooksState(folder / "quickbooks" if folder else None),
    )
    apps = (opsmerge.create_app(states[0]), quickbooks.create_app(states[1]))
    with running(apps[0]) as opsmerge_url, running(apps[1]) as quickbooks_url:
        urls = (opsmerge_url, quickbooks_url)
        one, two = (Simulator(urls[each], Control(urls[each]), states[each], apps[each]) for each in (0, 1))
        yield one, two
        for state in states:
            state.close()


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
