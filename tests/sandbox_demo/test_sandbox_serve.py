"""`sandbox serve` under attack, and the package by itself: what goes wrong is one sentence, what can live on does."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

import sandbox

SANDBOX = Path(sys.executable).with_name("sandbox")
PACKAGE = Path(sandbox.__file__).parents[2]
REALM = "9341453000000001"
FREE = ("--opsmerge-port", "0", "--quickbooks-port", "0")


@pytest.fixture
def serve(tmp_path):
    """Start `sandbox serve` with a ready file; what still runs at the end is killed."""
    started = []

    def start(*options, command=SANDBOX):
        ready = tmp_path / f"ready-{len(started)}.json"
        process = subprocess.Popen(
            [str(part) for part in (command, "serve", *FREE, "--ready-file", ready, *options)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process, ready

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _ready(process, ready):
    deadline = time.monotonic() + 30
    while not ready.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return json.loads(ready.read_text())


def _refused(process, ready):
    _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors
    assert not ready.exists()
    return process.returncode, errors


def _file(folder):
    folder.write_text("not a folder")


def _below_a_file(folder):
    folder.parent.mkdir()
    folder.parent.rmdir()
    folder.parent.write_text("not a folder")


def _no_database(folder):
    (folder / "quickbooks").mkdir(parents=True)
    (folder / "quickbooks" / "quickbooks.db").write_bytes(b"no database, " * 1000)


def _no_opsmerge(folder):
    (folder / "opsmerge").mkdir(parents=True)
    (folder / "opsmerge" / "opsmerge.db").write_bytes(b"no database, " * 1000)


def _other_version(folder):
    from sandbox.quickbooks import QuickBooksState

    state = QuickBooksState(folder / "quickbooks")
    state.db.run("INSERT INTO setting VALUES ('switches', '{\"of_the_future\": true}')")
    state.close()


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        (_file, 2, "is a file"),
        (_below_a_file, 1, "Cannot keep the state in"),
        (_no_database, 1, "cannot be used: file is not a database"),
        (_no_opsmerge, 1, "cannot be used: file is not a database"),
        (_other_version, 1, "no switch 'of_the_future'"),
    ],
)
def test_a_state_that_cannot_be_used_is_said(serve, tmp_path, spoil, code, words):
    """A file for a folder, a folder that cannot be made, a file that is no database, another version's state."""
    folder = tmp_path / "above" / "state" if spoil is _below_a_file else tmp_path / "state"
    spoil(folder)
    assert (answer := _refused(*serve("--state", folder)))[0] == code
    assert words in answer[1]
    assert str(folder) in answer[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--opsmerge-port", "65536"), "65536"),
        (("--quickbooks-port", "many"), "many"),
        (("--port", "1"), "No such option"),
        (("extra",), "unexpected extra argument"),
    ],
)
def test_wrong_options_are_said(serve, options, words):
    """A port beyond 65535, a word for a port, an unknown option, an argument too many: exit code 2 and the reason."""
    code, errors = _refused(*serve(*options))
    assert code == 2
    assert words in errors


@pytest.mark.parametrize("host", ["192.0.2.1", "example.com", "::"])
def test_only_this_machine_is_served(serve, host):
    """Any address that is not of this machine alone is refused before a port is opened."""
    code, errors = _refused(*serve("--host", host))
    assert code == 1
    assert "is not a loopback address" in errors


def test_both_on_one_port_or_on_a_taken_one_is_said(serve):
    """The second simulator, and a second `sandbox serve`, are told that the port is taken, and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    both = ("--opsmerge-port", port, "--quickbooks-port", port)
    code, errors = _refused(*serve(*both))
    assert (code, f"Port {port} on 127.0.0.1 is taken" in errors) == (1, True)
    assert "choose another port" in errors


def test_one_process_uses_a_state_at_a_time_and_a_kill_gives_it_back(serve, tmp_path):
    """A second server on the folder is refused; after SIGKILL a third goes on with every answered write, twice."""
    folder = tmp_path / "state"
    first = serve("--state", folder)
    urls = _ready(*first)
    code, errors = _refused(*serve("--state", folder))
    assert (code, "is in use by another sandbox" in errors) == (1, True)
    for number in range(2):
        control = f"{urls['quickbooks_url']}/_control"
        body = {"deed": "create", "entity": "Customer", "body": {"DisplayName": f"C{number}"}}
        assert requests.post(f"{control}/deeds", json=body, timeout=5).ok
        os.kill(urls["pid"], signal.SIGKILL)
        first[0].wait(10)
        first = serve("--state", folder)
        urls = _ready(*first)
        assert len(_customers(urls["quickbooks_url"])) == number + 1


def _customers(url):
    auth = ("sandbox-client", "sandbox-secret")
    form = {"grant_type": "refresh_token", "refresh_token": "RT-sandbox-0001"}
    token = requests.post(f"{url}/oauth2/v1/tokens/bearer", auth=auth, data=form, timeout=5).json()["access_token"]
    answer = requests.get(
        f"{url}/v3/company/{REALM}/query",
        params={"query": "select * from Customer"},
        headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
        timeout=5,
    )
    return answer.json()["QueryResponse"].get("Customer", [])


def test_the_demo_does_not_take_over_somebody_elses_state(serve, tmp_path):
    """`--demo` on a folder with invoices of one's own ends with 1 and says that they are not the demo's."""
    folder = tmp_path / "state"
    urls = _ready(*(first := serve("--state", folder)))
    control = f"{urls['opsmerge_url']}/_control/deeds"
    client = requests.post(control, json={"deed": "save_client", "name": "Own"}, timeout=5).json()["id"]
    body = {"deed": "create_invoice", "client_id": client, "lines": []}
    assert requests.post(control, json=body, timeout=5).ok
    first[0].terminate()
    assert first[0].wait(20) == 0
    code, errors = _refused(*serve("--state", folder, "--demo"))
    assert (code, "not the demo's" in errors) == (1, True)


def test_the_package_works_alone(serve, tmp_path, request):
    """Installed by itself, without the bridge and without Singer, `sandbox serve` answers on both ports."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if not uv:
        pytest.skip("uv, which makes a fresh environment in seconds, is not installed")
    copy = shutil.copytree(PACKAGE, tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__"))
    folder = tmp_path / "alone"
    _run([uv, "venv", "--quiet", "--python", sys.executable, folder])
    _run([uv, "pip", "install", "--quiet", "--python", folder / "bin" / "python", copy])
    listed = json.loads(_run([uv, "pip", "list", "--format", "json", "--python", folder / "bin" / "python"]))
    names = {row["name"] for row in listed}
    assert "opsmerge-sandbox" in names
    assert not {name for name in names if name.startswith(("opsmerge-books", "tap-", "target-", "singer", "meltano"))}
    urls = _ready(*serve(command=folder / "bin" / "sandbox"))
    key = {"Authorization": "Bearer om_sandbox_key"}
    assert requests.get(f"{urls['opsmerge_url']}/api/v1/auth/me", headers=key, timeout=5).ok
    assert _customers(urls["quickbooks_url"]) == []


def _run(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=90, check=False)
    if done.returncode:
        pytest.skip(f"cannot install: {(done.stderr or done.stdout).strip().splitlines()[-1][:200]}")
    return done.stdout
