"""Clients that others wrote take the simulator for QuickBooks Online, unchanged.

They are pinned, live in an environment of their own under pytest's cache, and are skipped with a reason where they
cannot be installed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "foreign"
PYTHON_CLIENTS = ("python-quickbooks==0.9.12", "intuit-oauth==1.2.6")
NODE_CLIENT = "node-quickbooks@2.0.50"
INSTALL_SECONDS_MAX = 180


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
    folder = Path(request.config.cache.mkdir("foreign-python"))
    python = folder / "venv" / "bin" / "python"
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv:
        make = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, "venv"]
        install = [uv, "pip", "install", "--quiet", "--python", str(python), *PYTHON_CLIENTS]
    else:
        make = [sys.executable, "-m", "venv", "--clear", "venv"]
        install = [str(python), "-m", "pip", "install", "--quiet", *PYTHON_CLIENTS]
    _install(folder, "-".join(PYTHON_CLIENTS).replace("=", ""), make, install)
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
