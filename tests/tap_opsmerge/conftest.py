"""A tenant on the simulator and the tap run as a real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import simplejson

TAP = Path(sys.executable).with_name("tap-opsmerge")
LINE = {"description": "Support", "quantity": 1, "unit_price": 10, "service_id": "svc_1", "tax_code_id": "tax_1"}
MONTH = {
    "clients": [{"id": "cl_1", "name": "O'Brien & Söhne", "email": "ap@obrien.example", "billing_address": {
        "line1": "1 High Street", "line2": None, "city": "Leeds", "postcode": "LS1 1AA", "country": "GB"}}],
    "services": [{"id": "svc_1", "name": "Support", "quickbooks_item": "Managed Support"}],
}  # fmt: skip


@dataclass(frozen=True)
class Output:
    """What a run of the tap left: exit code, messages (numbers exact) and what people saw."""

    code: int
    messages: list[dict[str, Any]]
    stderr: str

    def rows(self, stream: str) -> list[dict[str, Any]]:
        return [each["record"] for each in self.messages if each["type"] == "RECORD" and each["stream"] == stream]

    @property
    def state(self) -> Any:
        states = [each["value"] for each in self.messages if each["type"] == "STATE"]
        return states[-1] if states else None


class Runner:
    """Runs the tap's console script against the simulator."""

    def __init__(self, sim: Any, folder: Path) -> None:
        self.sim = sim
        self.control = sim.control
        self._folder = folder

    def command(self, *arguments: str, state: Any = None, **config: Any) -> list[str]:
        given = {"api_url": self.sim.url + "/api/v1", "api_key": "om_sandbox_key", **config}
        command = [str(TAP), "--config", self._file("config", given), *arguments]
        return command if state is None else [*command, "--state", self._file("state", state)]

    def __call__(self, *arguments: str, state: Any = None, **config: Any) -> Output:
        command = self.command(*arguments, state=state, **config)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=clean_environment())
        return Output(done.returncode, messages(done.stdout), done.stderr)

    def raw(self, *arguments: str) -> str:
        """What a run prints that is not Singer."""
        command = self.command(*arguments)
        return subprocess.run(command, capture_output=True, text=True, check=True, env=clean_environment()).stdout

    def start(self, *arguments: str, **config: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments, **config),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )

    def invoice(self, **details: Any) -> dict[str, Any]:
        return self.control.deed("create_invoice", client_id="cl_1", lines=[LINE], **details)

    def _file(self, name: str, content: Any) -> str:
        path = self._folder / f"{name}.json"
        path.write_text(json.dumps(content))
        return str(path)


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("TAP_", "TARGET_", "MELTANO"))}


def messages(text: str) -> list[dict[str, Any]]:
    return [simplejson.loads(line, use_decimal=True) for line in text.splitlines() if line.startswith("{")]


@pytest.fixture
def tap(opsmerge_sim: Any, tmp_path: Path) -> Runner:
    opsmerge_sim.control.seed(MONTH)
    return Runner(opsmerge_sim, tmp_path)


@pytest.fixture
def wait_for() -> Callable[[Callable[[], bool]], None]:
    """Wait until something is so, at most 20 seconds."""

    def wait(is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not is_so():
            assert time.monotonic() < deadline, "did not happen"
            time.sleep(0.02)

    return wait
