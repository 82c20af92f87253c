"""Measure webhooks on the simulators: from a recorded payment to Paid in OpsMerge, and how fast the receiver answers.

Everything runs as a user runs it: `sandbox serve`, `meltano run`, `books webhooks serve`, in a separate project
folder. Clients, simulators and receiver share this machine.
Use: python bench/receiver.py [--payments 10] [--rate 100] [--seconds 30] [--json | --markdown]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from tables import table

from sandbox.control import Control
from sandbox.quickbooks.webhooks import sign

ROOT = Path(__file__).resolve().parent.parent
REALM = "9341453000000001"
VERIFIER = "sandbox-verifier"
KEY = {"Authorization": "Bearer om_sandbox_key"}
START_SECONDS_MAX = 60
PAID_SECONDS_MAX = 120
POLL_SECONDS = 0.02
SENDERS = 32
PARTS = ("delivery", "debounce", "Meltano's start-up", "read", "write")


class NotMeasuredError(RuntimeError):
    """Something did not happen in time."""


@dataclass
class Way:
    """One payment's way to Paid: seconds in total and per part."""

    seconds: float
    parts: dict[str, float]


@dataclass
class Answers:
    """The receiver's answers: seconds from when each delivery was due, and what its store holds afterwards."""

    sent: int
    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    kept: int = 0


@dataclass
class Place:
    """A project folder, connected to two running simulators."""

    root: Path
    environment: dict[str, str]
    opsmerge: Control
    quickbooks: Control
    api: str
    session: requests.Session

    @property
    def store(self) -> Path:
        """The state store of the environment `demo`."""
        return self.root / ".demo" / "books.db"

    def meltano(self, job: str) -> None:
        """Run a job to its end."""
        done = subprocess.run(
            [str(self.root / ".venv" / "bin" / "meltano"), "run", "--force", job],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise NotMeasuredError(f"meltano run {job} failed:\n{(done.stdout + done.stderr)[-2000:]}")

    def invoice(self, invoice_id: str) -> dict[str, Any]:
        """Return an invoice as OpsMerge shows it."""
        answer = self.session.get(f"{self.api}/psa/invoices/{invoice_id}", headers=KEY, timeout=10)
        return dict(answer.json())


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--payments", type=int, default=10)
    parser.add_argument("--rate", type=int, default=100, help="deliveries a second")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--markdown", action="store_true", help="a section for docs/benchmarks.md")
    options = parser.parse_args()
    figures = measure(options.payments, options.rate, options.seconds)
    if options.json:
        print(json.dumps(figures))
    else:
        print(markdown(figures) if options.markdown else _plain(figures))
    return 0


def measure(payments: int = 10, rate: int = 100, seconds: int = 30) -> dict[str, Any]:
    """Return all figures of one run."""
    with place() as here:
        ways = ways_to_paid(here, payments)
        answers = answer_times(here, rate, seconds)
    return {
        "payments": payments,
        "ways": {name: _spread([way.parts[name] for way in ways]) for name in PARTS},
        "way": _spread([way.seconds for way in ways]),
        "rate": rate,
        "seconds": seconds,
        "deliveries": answers.sent,
        "refused": answers.refused,
        "kept": answers.kept,
        "answer_ms": {name: at(answers.seconds, share) * 1000 for name, share in QUANTILES.items()},
    }


QUANTILES = {"p50": 0.5, "p99": 0.99, "max": 1.0}


def at(values: Sequence[float], share: float) -> float:
    """Return the quantile: the value that this share of all does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


# The place


@contextmanager
def place() -> Iterator[Place]:
    """Run simulators in memory and a project in an empty folder; this checkout's state is not touched."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        root.mkdir()
        shutil.copy2(ROOT / "meltano.yml", root / "meltano.yml")
        (root / ".venv").symlink_to(sys.prefix)
        with _simulators(Path(folder)) as urls, requests.Session() as session:
            session.trust_env = False
            opsmerge, quickbooks = Control(urls["opsmerge_url"]), Control(urls["quickbooks_url"])
            environment = _environment(root, urls)
            yield Place(root, environment, opsmerge, quickbooks, f"{urls['opsmerge_url']}/api/v1", session)


@contextmanager
def _simulators(folder: Path) -> Iterator[dict[str, str]]:
    ready = folder / "ready.json"
    ports = ["--opsmerge-port", "0", "--quickbooks-port", "0"]
    command = [str(Path(sys.executable).with_name("sandbox")), "serve", *ports, "--ready-file", str(ready)]
    with _process(command, folder, {**os.environ}) as _:
        _wait_for(ready.exists, START_SECONDS_MAX, "the simulators did not start")
        yield json.loads(ready.read_text())


@contextmanager
def _process(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _environment(root: Path, urls: dict[str, str]) -> dict[str, str]:
    """Return Meltano's variables for plugin settings: they take precedence over meltano.yml."""
    opsmerge, quickbooks = f"{urls['opsmerge_url']}/api/v1", urls["quickbooks_url"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MELTANO", "TAP_", "TARGET_"))}
    return {
        **kept,
        "MELTANO_PROJECT_ROOT": str(root),
        "MELTANO_ENVIRONMENT": "demo",
        "NO_COLOR": "1",
        "TAP_OPSMERGE_API_URL": opsmerge,
        "TARGET_OPSMERGE_API_URL": opsmerge,
        "TARGET_QUICKBOOKS_API_URL": quickbooks,
        "TARGET_QUICKBOOKS_TOKEN_URL": quickbooks,
        "TARGET_QUICKBOOKS_MAPPING_FILE": "mappings.yml",
        "TAP_QUICKBOOKS_PAYMENTS_API_URL": quickbooks,
        "TAP_QUICKBOOKS_PAYMENTS_TOKEN_URL": quickbooks,
    }


@dataclass(frozen=True)
class Receiver:
    """A running `books webhooks serve`."""

    url: str
    session: requests.Session

    def job(self) -> dict[str, Any]:
        """Return what /healthz says about the job that it starts."""
        return dict(self.session.get(f"{self.url}/healthz", timeout=10).json()["job"])


@contextmanager
def receiver(here: Place, *options: str) -> Iterator[Receiver]:
    """Start the receiver on a free port, which it prints."""
    command = [str(here.root / ".venv" / "bin" / "books"), "webhooks", "serve", "--port", "0", *options]
    with _process(command, here.root, here.environment) as process, requests.Session() as session:
        session.trust_env = False
        line = process.stderr.readline() if process.stderr else ""
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if not found:
            raise NotMeasuredError(f"the receiver did not start: {line}")
        threading.Thread(target=_drain, args=(process,), daemon=True).start()
        yield Receiver(found[0], session)


def _drain(process: subprocess.Popen[str]) -> None:
    """Read the jobs' output, so that a full pipe does not block them."""
    for _ in process.stderr or ():
        pass


def _wait_for(condition: Callable[[], Any], seconds: float, problem: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise NotMeasuredError(problem)
        time.sleep(POLL_SECONDS)


# From a recorded payment to Paid


def ways_to_paid(here: Place, payments: int) -> list[Way]:
    """Record payments one after the other, each after the last one's job has ended."""
    ids = _posted_invoices(here, payments)
    with receiver(here) as receiving:
        hooks = {"url": f"{receiving.url}/webhooks/quickbooks", "verifier_token": VERIFIER, "auto": True}
        here.quickbooks.post("webhooks", hooks)
        ways = [_way(here, receiving, invoice_id) for invoice_id in ids]
        here.quickbooks.post("webhooks", {"url": ""})
    return ways


def _posted_invoices(here: Place, count: int) -> list[str]:
    here.opsmerge.seed({"clients": [{"id": "cl_1", "name": "Acme"}], "services": [{"id": "svc_1", "name": "Support"}]})
    line = {"description": "Support", "quantity": 1, "unit_price": 100, "service_id": "svc_1", "tax_code_id": "tax_1"}
    ids = [here.opsmerge.deed("create_invoice", client_id="cl_1", lines=[line])["id"] for _ in range(count)]
    here.meltano("push-invoices")
    here.meltano("pull-payments")  # the first one reads everything; the others read changes
    return ids


def _way(here: Place, receiving: Receiver, invoice_id: str) -> Way:
    number = here.invoice(invoice_id)["number"]
    calls = (len(here.quickbooks.requests()), len(here.opsmerge.requests()))
    recorded_at = _now()
    here.quickbooks.deed("record_payment", invoice=number)
    _wait_for(lambda: receiving.job()["running"], PAID_SECONDS_MAX, "the job was not started")
    started_at = _now()
    _wait_for(lambda: here.invoice(invoice_id)["status"] == "paid", PAID_SECONDS_MAX, "the invoice did not become Paid")
    paid_at = _now()
    _wait_for(lambda: not receiving.job()["running"], PAID_SECONDS_MAX, "the job did not end")
    moments = [
        recorded_at,
        _received_at(here),
        started_at,
        _first_call(here.quickbooks, calls[0], "/v3/company/"),
        _first_call(here.opsmerge, calls[1], "/psa/payments"),
        paid_at,
    ]
    parts = {name: after - before for name, before, after in zip(PARTS, moments, moments[1:], strict=False)}
    return Way(paid_at - recorded_at, parts)


def _now() -> float:
    return time.time()


def _received_at(here: Place) -> float:
    """Return when the newest delivery was stored, by the receiver's clock, which is this machine's."""
    with closing(sqlite3.connect(here.store)) as store:
        (at,) = store.execute("SELECT max(received_at) FROM webhook_delivery").fetchone()
    return _seconds(str(at))


def _first_call(control: Control, skipped: int, path: str) -> float:
    """Return when the job made its first call, by the simulator's log; our own polls do not count."""
    rows = (row for row in control.requests()[skipped:] if path in row["path"])
    return _seconds(next(row["at"] for row in rows))


def _seconds(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


# How fast the receiver answers


def answer_times(here: Place, rate: int, seconds: int) -> Answers:
    """Send deliveries at a fixed rate, however long the answers take; each is timed from when it was due."""
    answers = Answers(rate * seconds)
    before = _deliveries(here)
    with receiver(here, "--no-start-job") as receiving, ThreadPoolExecutor(SENDERS) as senders:
        url = f"{receiving.url}/webhooks/quickbooks"
        bodies = [_body(number) for number in range(answers.sent)]
        sender = _Sender(url)
        list(senders.map(sender.warm_up, range(SENDERS)))
        begin = time.perf_counter() + 0.5
        jobs = [senders.submit(sender.send, body, begin + place / rate) for place, body in enumerate(bodies)]
        outcomes = [job.result() for job in jobs]
    answers.seconds = [taken for taken, _ in outcomes]
    answers.refused = sum(status != 200 for _, status in outcomes)  # noqa: PLR2004 -- HTTP's own number
    answers.kept = _deliveries(here) - before
    return answers


class _Sender:
    """Posts signed deliveries; each thread has its own connection, as a sender with keep-alive does."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._local = threading.local()

    def warm_up(self, _number: int) -> None:
        """Open the connection."""
        self._session().get(self._url.replace("/webhooks/quickbooks", "/healthz"), timeout=10)

    def send(self, body: bytes, due_at: float) -> tuple[float, int]:
        """Send when due; return the seconds from then to the answer, and its status (0: no answer)."""
        time.sleep(max(0.0, due_at - time.perf_counter()))
        headers = {"intuit-signature": sign(body, VERIFIER), "Content-Type": "application/json"}
        try:
            status = self._session().post(self._url, data=body, headers=headers, timeout=10).status_code
        except requests.RequestException:
            status = 0
        return time.perf_counter() - due_at, status

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = False
        return self._local.session  # type: ignore[no-any-return] # per thread


def _body(number: int) -> bytes:
    event = {
        "specversion": "1.0",
        "id": f"bench-{number}",
        "source": "intuit.bench",
        "type": "qbo.payment.updated.v1",
        "time": datetime.now(UTC).isoformat(),
        "intuitentityid": str(1_000_000 + number),
        "intuitaccountid": REALM,
        "data": {},
    }
    return json.dumps([event]).encode()


def _deliveries(here: Place) -> int:
    with closing(sqlite3.connect(here.store)) as store:
        return int(store.execute("SELECT count(*) FROM webhook_delivery").fetchone()[0])


# Output


def _plain(figures: dict[str, Any]) -> str:
    rows = {"recorded to Paid": figures["way"], **figures["ways"]}
    lines = [
        f"{name:20} min {each['min']:6.2f}  median {each['median']:6.2f}  max {each['max']:6.2f} s"
        for name, each in rows.items()
    ]
    answer = "  ".join(f"{name} {value:.1f}" for name, value in figures["answer_ms"].items())
    lines += [f"{'answer':20} {answer} ms at {figures['rate']} a second; {_kept(figures)}"]
    return "\n".join(lines)


def _kept(figures: dict[str, Any]) -> str:
    return f"{figures['deliveries']:,} sent, {figures['refused']} refused, {figures['kept']:,} in the store"


def markdown(figures: dict[str, Any]) -> str:
    """Return the section for docs/benchmarks.md."""
    way = {"**all**": figures["way"], **figures["ways"]}
    ways = [[name, *(f"{each[column]:.2f}" for column in ("min", "median", "max"))] for name, each in way.items()]
    answer = [f"{figures['answer_ms'][name]:.1f}" for name in QUANTILES]
    counts = [f"{figures[name]:,}" for name in ("deliveries", "refused", "kept")]
    return (
        "## Webhooks\n\n"
        f"From a bookkeeper recording a payment to Paid in OpsMerge, {figures['payments']} payments one by one, as a"
        " user runs it (`sandbox serve`, `books webhooks serve`, `meltano run pull-payments`), in seconds:\n\n"
        f"{table(['part', 'min', 'median', 'max'], ways)}\n\n"
        "Delivery is the simulator's (it sends within 0.25 s; Intuit within 5 minutes). Debounce is the receiver's wait"
        " for the other notices of the same action. Read is from the job's first call to QuickBooks to its first to"
        " OpsMerge.\n\n"
        f"The receiver's answer, {figures['rate']} deliveries a second for {figures['seconds']} s, timed from when each"
        " was due; the clients are on the same machine:\n\n"
        + table(["deliveries", "refused", "in the store", "p50 ms", "p99 ms", "max ms"], [[*counts, *answer]])
    )


if __name__ == "__main__":
    sys.exit(main())
