"""Clients that others wrote take the simulator for QuickBooks Online, unchanged.

They are pinned, live in environments of their own under pytest's cache, and are skipped with a reason where they
cannot be installed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.quickbooks import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN

HERE = Path(__file__).parent / "foreign"
PYTHON_CLIENTS = ("python-quickbooks==0.9.12", "intuit-oauth==1.2.6")
SINGER_TAP = ("tap-quickbooks==2.5.0",)
NODE_CLIENT = "node-quickbooks@2.0.50"
INSTALL_SECONDS_MAX = 90
RUN_SECONDS_MAX = 50


def _run(*command, cwd=None, seconds=INSTALL_SECONDS_MAX):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=seconds, check=False)


def _install(folder, mark, *commands):
    """Run the commands once per machine; the mark tells that they succeeded."""
    if (folder / mark).exists():
        return
    for command in commands:
        try:
            done = _run(*command, cwd=folder)
        except subprocess.TimeoutExpired:
            pytest.skip(f"{command[0]} did not finish within {INSTALL_SECONDS_MAX} s")
        if done.returncode:
            pytest.skip(
                f"cannot install: {(done.stderr or done.stdout or 'no reason given').strip().splitlines()[-1][:200]}"
            )
    (folder / mark).touch()


@pytest.fixture
def python_clients(request):
    """The interpreter of an environment that has both Python clients."""
    return _environment(Path(request.config.cache.mkdir("foreign-python")), PYTHON_CLIENTS)


@pytest.fixture
def singer_tap(request):
    """The interpreter of an environment that has tap-quickbooks."""
    return _environment(Path(request.config.cache.mkdir("foreign-tap")), SINGER_TAP)


def _environment(folder, packages):
    python = folder / "venv" / "bin" / "python"
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv:
        make = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, "venv"]
        install = [uv, "pip", "install", "--quiet", "--python", str(python), *packages]
    else:
        make = [sys.executable, "-m", "venv", "--clear", "venv"]
        install = [str(python), "-m", "pip", "install", "--quiet", *packages]
    _install(folder, "-".join(packages).replace("=", ""), make, install)
    return str(python)


def test_intuit_oauth_and_python_quickbooks_work_unchanged(qbo, python_clients):
    """Exchange, rotation, revoke; query, count, request_id, updates, void, delete, batch, CDC, faults by code."""
    done = _run(python_clients, "-W", "ignore", str(HERE / "drive_python.py"), qbo.url)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == {
        "exchanged": True,
        "filtered": ["1"],
        "chosen": ["1"],
        "replayed": True,
        "count": 1,
        "total": "120.0",
        "where": ["PQ-1"],
        "updated": ["changed", "1"],
        "sparse": "Renamed",
        "unapplied": "10.0",
        "balance": "70.0",
        "balance_after_void": "120.0",
        "batch": [35, 0, "6140"],
        "batch_deleted": 2,
        "voided": "0.0",
        "cdc": [36, 1],
        "faults": [610, 6140, 4001],
        "bytes": "%PDF",
        "rotated": True,
        "old_token": 400,
        "revoked": True,
        "after_revoke": 401,
    }


def test_singers_tap_quickbooks_discovers_and_syncs_unchanged(qbo, singer_tap, tmp_path):
    """Discovery checks the company; a sync gives every invoice, payment and deletion, and writes the new tokens."""
    customer = qbo.customer("O'Brien & Söhne")
    invoices = [qbo.invoice(customer, number=f"T-{number}") for number in range(3)]
    paid = qbo.made("Payment", qbo.payment_body(customer, 50, (invoices[0]["Id"], 50, "Invoice")))
    qbo.post("invoice", qbo.key(invoices[2]), operation="delete")
    config, tap = tmp_path / "config.json", _Tap(qbo.url, singer_tap)
    config.write_text(json.dumps(_tap_config(qbo)))
    catalog = tap("--config", config, "--discover")
    wanted = {"invoices", "payments", "customers", "tax_codes", "tax_rates", "bills", "deleted_objects"}
    assert wanted <= {stream["tap_stream_id"] for stream in catalog["streams"]}
    (tmp_path / "catalog.json").write_text(json.dumps(_selected(catalog, wanted)))
    lines = tap.lines("--config", config, "--catalog", tmp_path / "catalog.json")
    rows = {
        name: [line["record"] for line in lines if line.get("stream") == name and "record" in line] for name in wanted
    }
    assert [row["DocNumber"] for row in rows["invoices"]] == ["T-0", "T-1"]
    assert [(row["Id"], float(row["TotalAmt"])) for row in rows["payments"]] == [(paid["Id"], 50.0)]
    assert [row["DisplayName"] for row in rows["customers"]] == ["O'Brien & Söhne"]
    assert [(row["Id"], row["Type"]) for row in rows["deleted_objects"]] == [(invoices[2]["Id"], "Invoice")]
    assert (len(rows["tax_codes"]), rows["bills"]) == (8, [])
    assert json.loads(config.read_text())["access_token"].startswith("ey"), "the tap kept the tokens it was given"


class _Tap:
    """The tap's command line."""

    def __init__(self, url, python):
        self._command = (python, "-W", "ignore", str(HERE / "drive_tap.py"), url)

    def text(self, *options):
        done = _run(*self._command, *map(str, options), seconds=RUN_SECONDS_MAX)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def __call__(self, *options):
        return json.loads(self.text(*options))

    def lines(self, *options):
        return [json.loads(line) for line in self.text(*options).splitlines()]


def _tap_config(qbo):
    keys = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "refresh_token": REFRESH_TOKEN}
    return {
        **keys,
        "realm_id": qbo.realm,
        "user_agent": "test",
        "start_date": "2026-11-01T00:00:00Z",
        "sandbox": "true",
    }


def _selected(catalog, names):
    """The catalogue with these streams and all their fields selected, as a user's tool does it."""
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            entry["metadata"]["selected"] = stream["tap_stream_id"] in names
    return catalog


@pytest.fixture
def node_client(request):
    """A folder with node-quickbooks installed."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Node is not installed")
    folder = Path(request.config.cache.mkdir("foreign-node"))
    flags = ["--no-audit", "--no-fund", "--loglevel=error", "--prefix", "."]
    _install(folder, NODE_CLIENT.replace("@", "-"), ["npm", "install", *flags, NODE_CLIENT])
    return folder


def test_node_quickbooks_works_unchanged(qbo, node_client):
    """Create with requestid, find with criteria, count, update, void, delete, batch, CDC, faults, through callbacks."""
    script = shutil.copy(HERE / "drive_node.js", node_client)
    done = _run("node", script, qbo.url, qbo.realm, qbo.token, cwd=node_client)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == {
        "found": "Acme & Söhne",
        "count": 1,
        "total": 120,
        "updated": "changed",
        "batch": ["1", "2"],
        "cdc": 3,
        "voided": 0,
        "deleted": "Deleted",
        "fault": "610",
        "country": "GB",
    }
