"""How the target ends as a process: exit codes, signals, and what a killed run leaves to the next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

TARGET = Path(sys.executable).with_name("target-opsmerge")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("TAP_", "TARGET_", "MELTANO"))}


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """One kind of store is enough: these tests are about the process."""
    return f"sqlite:///{tmp_path}/books/books.db"


class Process:
    """The target's console script, fed with messages."""

    def __init__(self, world: Any, folder: Path) -> None:
        self.world = world
        self._config = folder / "config.json"

    def start(self, *messages: Any, **config: Any) -> subprocess.Popen[str]:
        self._config.write_text(json.dumps({**self.world.config, **config}))
        process = subprocess.Popen(
            [str(TARGET), "--config", str(self._config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        assert process.stdin
        lines = [*messages, {"type": "STATE", "value": {"bookmarks": {"x": 1}}}]
        process.stdin.write("".join(json.dumps(each, default=str) + "\n" for each in lines))
        process.stdin.close()
        process.stdin = None
        return process

    def run(self, *messages: Any, **config: Any) -> tuple[int, str, str]:
        process = self.start(*messages, **config)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


@pytest.fixture
def process(world: Any, tmp_path: Path) -> Process:
    return Process(world, tmp_path)


def wait_for_request(world: Any, path: str, count: int = 1) -> None:
    deadline = time.monotonic() + 20
    while sum(path in row["path"] for row in world.control.requests()) < count:
        assert time.monotonic() < deadline, "the call did not come"
        time.sleep(0.02)


def test_a_run_ends_with_0_and_its_state(world: Any, process: Process) -> None:
    """A run that did all it could ends with 0 and prints the STATE, also when a record was refused."""
    fine = world.invoice()
    rows = world.messages("postings", world.posted(fine, "130"), world.posted("inv_999", "131", seq=2))
    code, out, err = process.run(*rows)
    assert (code, json.loads(out)) == (0, {"bookmarks": {"x": 1}})
    assert "1 updated" in err
    assert "1 refused" in err
    assert "There is no invoice inv_999" in err


@pytest.mark.parametrize(
    ("config", "code", "words"),
    [
        ({"api_key": "om_wrong_canary"}, 78, "does not accept the API key"),
        ({"api_key": None}, 78, "api_key"),
        ({"api_url": "http://app.opsmerge.cloud/api/v1"}, 78, "api_url must be an https address"),
        ({"store_url": "mysql://x/y"}, 78, "store_url"),
    ],
)
def test_a_wrong_setting_ends_with_78(world: Any, process: Process, config: Any, code: int, words: str) -> None:
    """A run that cannot start says what is wrong, prints no STATE and no secret, and ends with 78."""
    rows = world.messages("postings", world.posted(world.invoice(), "130"))
    found, out, err = process.run(*rows, **config)
    assert (found, out) == (code, "")
    assert words in err
    assert "Traceback" not in err
    assert "canary" not in err


def test_an_outage_ends_with_75(world: Any, process: Process) -> None:
    """OpsMerge out of reach ends the run with 75 and without STATE."""
    rows = world.messages("payments", world.payment("190", ("130", world.invoice(), "1.00")))
    code, out, err = process.run(*rows, api_url="http://127.0.0.1:9/api/v1")
    assert (code, out) == (75, "")
    assert "127.0.0.1:9 cannot be reached" in err


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_is_no_success_and_the_next_one_finishes(
    world: Any, process: Process, stop: signal.Signals
) -> None:
    """Stopped or killed while a write is out, the target reports no success; the next run does the rest."""
    invoices = [world.invoice() for _ in range(5)]
    postings = [world.posted(invoice, str(number), seq=number) for number, invoice in enumerate(invoices)]
    payments = [world.payment(str(number), (str(number), invoice, "120.00")) for number, invoice in enumerate(invoices)]
    rows = [*world.messages("postings", *postings), *world.messages("payments", *payments)]
    world.control.fault("hang", method="PUT", path="/payments/", nth=3, after=True)
    running = process.start(*rows)
    wait_for_request(world, "/payments/", 3)
    running.send_signal(stop)
    out, _ = running.communicate(timeout=30)
    assert running.returncode == (-stop if stop is signal.SIGKILL else 128 + stop)
    assert out == ""
    seen = world.run(*rows)
    assert all(world.shown(invoice) == ("paid", "120.00") for invoice in invoices)
    assert len([path for _, path in seen.writes if "/payments/" in path]) == 2, "what was written is not written again"
    assert world.run(*rows).writes == []


def test_two_runs_at_once_take_turns(world: Any, process: Process) -> None:
    """Two runs on one store tell OpsMerge one after the other, and nothing twice."""
    invoices = [world.invoice() for _ in range(20)]
    rows = [world.payment(str(number), (str(number), invoice, "120.00")) for number, invoice in enumerate(invoices)]
    messages = world.messages("payments", *rows)
    world.control.fault("delay", method="PUT", seconds=2)
    first = process.start(*messages)
    wait_for_request(world, "/payments/")
    both = [first, process.start(*messages)]
    assert [each.communicate(timeout=60) and each.returncode for each in both] == [0, 0]
    puts = [row for row in world.control.requests() if row["method"] == "PUT"]
    assert len(puts) == 20
    assert all(world.shown(invoice) == ("paid", "120.00") for invoice in invoices)
