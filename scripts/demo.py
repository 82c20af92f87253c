"""`make run`: run the whole flow on the bundled simulators, from draft invoices to the drift report.

The simulators keep their state in `.demo/`: run it again, and nothing is pushed twice.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(os.environ.get("MELTANO_PROJECT_ROOT", Path(__file__).resolve().parent.parent))
BIN = ROOT / ".venv" / "bin"
STATE = ROOT / ".demo"
LOGS = STATE / "logs"
START_SECONDS_MAX = 60
JOB_SECONDS_MAX = 600


class StepFailedError(Exception):
    """A step of the demo failed; its log says why."""


def main() -> int:
    """Run every step; return the exit code."""
    options = _parser().parse_args()
    LOGS.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    try:
        with _simulators(options.opsmerge_port, options.quickbooks_port) as environment:
            _flow(environment)
    except StepFailedError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    print(f"\nFinished in {time.monotonic() - started:.0f} s. Run `make run` again: nothing is pushed twice.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--opsmerge-port", type=int, default=8010, help="0 takes a free port")
    parser.add_argument("--quickbooks-port", type=int, default=8020, help="0 takes a free port")
    return parser


def _flow(environment: dict[str, str]) -> None:
    """Push, let the bookkeeper work, pull payments, reconcile, show the report."""
    _meltano(environment, "push-invoices", "Push open invoices to QuickBooks, record ids and errors in OpsMerge")
    if _deeds(environment, "first", "The bookkeeper records payments, edits, deletes and copies invoices"):
        _meltano(environment, "pull-payments", "Bring payments back to OpsMerge")
    _deeds(environment, "second", "The bookkeeper voids one payment and deletes another")
    _meltano(environment, "pull-payments", "Bring the changes of payments back to OpsMerge")
    _meltano(environment, "reconcile", "Read both sides completely, compare, write the report")
    print(flush=True)
    _run([str(BIN / "books"), "report", "--show"], environment)


def _meltano(environment: dict[str, str], job: str, title: str) -> None:
    """Run one job of meltano.yml; print the plugins' summaries; keep the whole log."""
    log = LOGS / f"{job}.log"
    began = _announce(title)
    command = [str(BIN / "meltano"), "--environment", "demo", "run", "--force", job]
    with log.open("w") as sink:
        code = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdout=sink,
            stderr=subprocess.STDOUT,
            timeout=JOB_SECONDS_MAX,
            check=False,
        ).returncode
    _done(began)
    for line in _summaries(log):
        print(f"      {line}")
    if code:
        tail = "\n".join(log.read_text().splitlines()[-25:])
        raise StepFailedError(f"meltano run {job} failed with exit code {code}. The end of {log}:\n{tail}")


SUMMARY = re.compile(
    r"target-(?:quickbooks|opsmerge) +(?P<words>  \S.*|(?:Push to|OpsMerge (?:invoices|payments):) .*)"
)


def _summaries(log: Path) -> Iterator[str]:
    """Yield the plugins' summaries in Meltano's log."""
    for line in log.read_text().splitlines():
        if found := SUMMARY.search(line):
            yield found["words"]


def _deeds(environment: dict[str, str], stage: str, title: str) -> bool:
    """Let the bookkeeper work; return whether there was anything to do."""
    began = _announce(title)
    command = [str(BIN / "sandbox"), "deeds", stage]
    command += ["--opsmerge-url", environment["DEMO_OPSMERGE_URL"]]
    command += ["--quickbooks-url", environment["DEMO_QUICKBOOKS_URL"]]
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    _done(began)
    if answer.returncode:
        raise StepFailedError(f"sandbox deeds {stage} failed:\n{answer.stderr}")
    for line in answer.stdout.splitlines():
        print(f"      {line}")
    return "already" not in answer.stdout


@contextlib.contextmanager
def _simulators(opsmerge_port: int, quickbooks_port: int) -> Iterator[dict[str, str]]:
    """Run both simulators; yield the environment variables that point the plugins at them."""
    began = _announce("Start the simulators of OpsMerge and QuickBooks Online")
    ready = STATE / "ready.json"
    ready.unlink(missing_ok=True)
    command = [str(BIN / "sandbox"), "serve", "--demo", "--state", str(STATE / "sandbox"), "--ready-file", str(ready)]
    command += ["--opsmerge-port", str(opsmerge_port), "--quickbooks-port", str(quickbooks_port)]
    with (LOGS / "sandbox.log").open("w") as sink:
        process = subprocess.Popen(command, cwd=ROOT, stdout=sink, stderr=subprocess.STDOUT)
        try:
            urls = _wait_ready(process, ready)
            _done(began)
            yield _environment(urls)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_ready(process: subprocess.Popen[bytes], ready: Path) -> dict[str, str]:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise StepFailedError(f"The simulators did not start:\n{(LOGS / 'sandbox.log').read_text()}")
        time.sleep(0.05)
    urls: dict[str, str] = json.loads(ready.read_text())
    return urls


def _environment(urls: dict[str, str]) -> dict[str, str]:
    """Return Meltano's variables for plugin settings: they take precedence over meltano.yml."""
    opsmerge, quickbooks = urls["opsmerge_url"], urls["quickbooks_url"]
    token_url = f"{quickbooks}/oauth2/v1/tokens/bearer"
    return {
        **os.environ,
        "MELTANO_PROJECT_ROOT": str(ROOT),
        "MELTANO_ENVIRONMENT": "demo",
        "NO_COLOR": "1",
        "DEMO_OPSMERGE_URL": opsmerge,
        "DEMO_QUICKBOOKS_URL": quickbooks,
        "TAP_OPSMERGE_API_URL": f"{opsmerge}/api/v1",
        "TARGET_OPSMERGE_API_URL": f"{opsmerge}/api/v1",
        "TARGET_QUICKBOOKS_API_URL": quickbooks,
        "TARGET_QUICKBOOKS_TOKEN_URL": token_url,
        "TAP_QUICKBOOKS_PAYMENTS_API_URL": quickbooks,
        "TAP_QUICKBOOKS_PAYMENTS_TOKEN_URL": token_url,
    }


def _run(command: list[str], environment: dict[str, str]) -> None:
    if code := subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
        raise StepFailedError(f"{' '.join(command)} failed with exit code {code}.")


def _announce(title: str) -> float:
    print(f"  {title} ...", end="", flush=True)
    return time.monotonic()


def _done(began: float) -> None:
    print(f" {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
