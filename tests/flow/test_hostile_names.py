"""A client, a service and a number that would repaint the screen: no command passes them on as they are."""

from __future__ import annotations

import json
import unicodedata

import pytest

NASTY = "\x1b]0;owned\x07\x1b[2J\u202eevil\u2066\u200f\u061c\x9b31m\u2028\nINV-9999 created\u200b"
CLIENT = f"Acme{NASTY} Ltd"
COMMANDS = [
    ("why", "INV-2026-0001"),
    ("why", f"INV{NASTY}"),
    ("log",),
    ("status",),
    ("preflight",),
    ("plan",),
    ("retry", "INV-2026-0001"),
    ("alerts",),
    ("webhooks", "log"),
]


def hidden(text):
    """Characters that steer a terminal or cannot be seen; line feeds of our own are none."""
    return [each for each in text if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") and each != "\n"]


@pytest.fixture(scope="module")
def said(tmp_path_factory, both, new_bridge):
    """What each command printed, with one invoice posted and two refused, all of hostile names."""
    bridge = new_bridge(tmp_path_factory.mktemp("hostile") / "project", *(each.url for each in both))
    opsmerge = bridge.opsmerge
    opsmerge.deed("save_client", id="cl_1", name=CLIENT)
    opsmerge.deed("save_service", id="svc_2", name=f"Support{NASTY}")
    opsmerge.deed("save_tax_code", id="tax_2", name=f"VAT{NASTY}", rate=17.5, quickbooks_tax_code="20.0% S")
    for service, tax in (("svc_1", "tax_1"), ("svc_1", "tax_2")):
        line = {"description": NASTY, "quantity": 1, "unit_price": 100, "service_id": service, "tax_code_id": tax}
        opsmerge.deed("create_invoice", client_id="cl_1", lines=[line])
    told = {("push",): bridge.pipe("push-invoices").out}
    for words in COMMANDS:
        told[words] = bridge.books(*words).out
    for words in (("why", "INV-2026-0001"), ("log",)):
        told[(*words, "--json")] = bridge.books(*words, "--json").out
    return told


@pytest.fixture(scope="module")
def both():
    from meltano_project import both_simulators

    with both_simulators() as simulators:
        yield simulators


def test_no_command_passes_a_hostile_name_on(said):
    """Neither to a terminal nor to a pipe, nor from the log of a plugin; the name is still told apart."""
    assert {words: hidden(text) for words, text in said.items() if hidden(text)} == {}
    assert "Acme\\x1b]0;owned" in said["why", "INV-2026-0001"]
    assert not any(line.startswith("INV-9999") for text in said.values() for line in text.splitlines())


def test_json_says_the_name_as_it_is(said):
    """Valid, with escapes: whoever parses it gets the very characters."""
    (story,) = json.loads(said["why", "INV-2026-0001", "--json"])
    assert story["seen"]["client_name"] == CLIENT
    rows = json.loads(said["log", "--json"])
    assert {row["client_name"] for row in rows} == {CLIENT}
