"""`books webhooks` as a user runs it: from a bookkeeper's payment to Paid in OpsMerge, and what can be looked at."""

from __future__ import annotations

import json
import re
import subprocess
import time

import pytest
import requests

VERIFIER = "sandbox-verifier"
SECONDS_MAX = 60


class Serving:
    """A running `books webhooks serve`; its address is read from what it prints."""

    def __init__(self, bridge) -> None:
        project = bridge.project
        self.process = subprocess.Popen(
            [str(project.root / ".venv" / "bin" / "books"), "webhooks", "serve", "--port", "0"],
            cwd=project.root,
            env={**project.environment, **bridge.urls},
            stderr=subprocess.PIPE,
            text=True,
        )
        said = self.process.stderr.readline()
        self.url = re.search(r"http://127\.0\.0\.1:\d+", said)[0]

    def stop(self) -> str:
        self.process.terminate()
        return self.process.communicate(timeout=60)[1]


@pytest.fixture
def serving(bridge):
    started = Serving(bridge)
    yield started
    if started.process.poll() is None:
        started.stop()


def wait_for(condition) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


def test_a_recorded_payment_makes_the_invoice_paid_by_itself(bridge, serving):
    """A bookkeeper records a payment; QuickBooks tells; the receiver starts pull-payments; OpsMerge says Paid.

    What came can be listed, and read again; the log of a whole run shows no secret.
    """
    invoice = bridge.open_invoice()
    bridge.quickbooks.real_time()
    assert bridge.pipe("push-invoices").code == 0
    hooks = {"url": f"{serving.url}/webhooks/quickbooks", "verifier_token": VERIFIER, "auto": True}
    bridge.quickbooks.post("webhooks", hooks)
    number = bridge.opsmerge_invoice(invoice)["number"]
    paid = bridge.quickbooks.deed("record_payment", invoice=number)
    wait_for(lambda: bridge.opsmerge_invoice(invoice)["status"] == "paid")
    wait_for(lambda: (requests.get(f"{serving.url}/healthz", timeout=10).json()["job"] or {})["last_exit_code"] == 0)

    log = json.loads(bridge.books("webhooks", "log", "--entity", "Payment", "--json").out)
    assert [(row["entity_id"], row["operation"]) for row in log] == [(paid["Id"], "created")]
    assert json.loads(bridge.books("webhooks", "log", "--missed", "--json").out) == []
    assert json.loads(bridge.books("webhooks", "replay", "--id", paid["Id"], "--json").out) == {"objects": 1}
    assert requests.get(f"{serving.url}/healthz", timeout=10).json()["lag"]["notices_unread"] >= 1

    requests.post(hooks["url"], data=b"[]", headers={"intuit-signature": "forged"}, timeout=10)
    said = serving.stop()
    assert "payments: 1 written" in said
    for secret in (VERIFIER, "sandbox-secret", "RT-sandbox-0001", "om_sandbox_key"):
        assert secret not in said


def test_without_a_verifier_token_it_does_not_start(bridge):
    """The setting is named, with where to find its value; exit code 78."""
    answer = bridge.project.command("books", "webhooks", "serve", **bridge.urls, BOOKS_WEBHOOK_VERIFIER_TOKENS=" ")
    assert answer.code == 78
    assert "QUICKBOOKS_WEBHOOK_VERIFIER_TOKEN" in answer.out


def test_replay_wants_to_know_what(bridge):
    """Without a choice nothing is replayed: bad usage, exit code 1."""
    assert bridge.books("webhooks", "replay").code == 1
    assert bridge.books("webhooks", "replay", "--dead", "--id", "1").code == 1
    assert json.loads(bridge.books("webhooks", "replay", "--dead", "--json").out) == {"deliveries": 0}
