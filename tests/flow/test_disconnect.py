"""`books disconnect` through real commands: killed half-way, run again, connected again, all followed as before."""

from __future__ import annotations

import hashlib
import html
import json
import re
import subprocess

import pytest
import requests

from books.posting.crash import VARIABLE
from books.store import Store
from books.store.tables_infra import token, token_seed
from books.store.tables_posting import attempt, learned, posting

REALM = "9341453000000001"


class Office:
    """What a person and a scheduler do at one project, and what is then there."""

    def __init__(self, bridge, quickbooks_sim):
        self.bridge = bridge
        self.quickbooks = quickbooks_sim

    def run(self, *words, **more):
        return self.bridge.project.command(*words, **{**self.bridge.urls, **more})

    def job(self, name):
        done = self.bridge.pipe(name)
        assert done.code == 0, done.out
        return done.out

    def connect(self):
        """The address opened, Connect pressed, the address pasted."""
        project = self.bridge.project
        process = subprocess.Popen(
            [str(project.root / ".venv" / "bin" / "books"), "connect", "--paste"],
            cwd=project.root,
            env={**project.environment, **self.bridge.urls},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        said = ""
        while not (found := re.search(r"^ *(http\S+/connect/oauth2\?\S+)$", said, re.MULTILINE)):
            said += process.stdout.readline()
        page = requests.get(found[1], timeout=10)
        form = {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', page.text)}
        form |= {"decision": "connect", "realm": REALM}
        sent = requests.post(found[1], data=form, allow_redirects=False, timeout=10)
        out, err = process.communicate(sent.headers["location"] + "\n", timeout=60)
        assert process.returncode == 0, err
        return out

    def rows(self, table):
        store = Store.open(f"sqlite:///{self.bridge.project.root}/.demo/books.db")
        with store.read() as conn:
            found = [dict(row) for row in conn.execute(table.select()).mappings()]
        store.close()
        return found

    def postings(self):
        return {row["number"]: (row["outcome"], row["external_id"]) for row in self.rows(posting)}

    def shown(self, invoice_id):
        """What OpsMerge shows of an invoice: status of the block, the id, the invoice's own status."""
        invoice = self.bridge.opsmerge_invoice(invoice_id)
        return invoice["accounting"]["status"], invoice["accounting"]["external_id"], invoice["status"]

    def in_quickbooks(self):
        return sorted(row[0] for row in self.quickbooks.state.books(REALM).db.all('SELECT id FROM "entity_Invoice"'))


@pytest.fixture
def office(bridge, quickbooks_sim):
    return Office(bridge, quickbooks_sim)


def test_after_a_disconnect_and_a_connect_everything_is_as_before(office):
    """Ids leave the store and OpsMerge; the next push adopts all under the same ids; payments go on, none doubled."""
    bridge = office.bridge
    ids = [bridge.open_invoice() for _ in range(3)]
    office.job("push-invoices")
    bridge.quickbooks.deed("record_payment", invoice="INV-2026-0001", amount=360, reference="BACS 1")
    before, there, tried = office.postings(), office.in_quickbooks(), len(office.rows(attempt))
    assert {outcome for outcome, _ in before.values()} == {"created"}

    refused = office.run("books", "disconnect")  # nobody says yes
    assert (refused.code, office.postings()) == (1, before)
    killed = office.run("books", "disconnect", "--yes", **{VARIABLE: "given_up"})
    assert killed.code < 0
    assert [office.shown(each)[0] for each in ids] == ["posted"] * 3
    untold = office.run("books", "disconnect", "--yes", TARGET_OPSMERGE_API_KEY="om_wrong_key")
    assert (untold.code, "not every invoice in OpsMerge was updated" in untold.out) == (78, True), untold.out
    again = office.run("books", "disconnect", "--yes", "--json")
    assert again.code == 0, again.out
    told = json.loads(again.out)
    assert (told["invoices_given_up"], told["opsmerge_told"], told["revoke_trouble"]) == (3, 3, "")
    assert {office.shown(each)[:2] for each in ids} == {("held", None)}
    assert (office.rows(token), len(office.rows(attempt))) == ([], tried)
    assert {row["kind"] for row in office.rows(learned)} == {"former_id"}
    assert set(office.postings().values()) == {("held", None)}
    assert office.quickbooks.state.consents.tokens(REALM) == []

    assert "3 invoices were posted before" in office.connect()
    calls = len(bridge.quickbooks.requests())
    assert "3 adopted" in office.job("push-invoices")
    assert office.postings() == {number: ("adopted", external_id) for number, (_, external_id) in before.items()}
    assert office.in_quickbooks() == there
    assert not any(each["method"] == "POST" for each in bridge.quickbooks.requests()[calls:])

    bridge.quickbooks.deed("record_payment", invoice="INV-2026-0002", amount=360, reference="BACS 2")
    office.job("pull-payments")
    assert [office.shown(each) for each in ids] == [
        ("posted", before["INV-2026-0001"][1], "paid"),
        ("posted", before["INV-2026-0002"][1], "paid"),
        ("posted", before["INV-2026-0003"][1], "open"),
    ]


def test_an_intuit_that_cannot_be_told_stops_nothing(office):
    """The revoke fails: said, with what to do in QuickBooks; the rest is done, and no seed of any plugin reconnects."""
    office.bridge.quickbooks.fault("5xx_before", method="POST", path="/v2/oauth2/tokens/revoke", times=20)
    settings = {"TARGET_QUICKBOOKS_MAX_WAIT_SECONDS": "0", "TAP_QUICKBOOKS_PAYMENTS_REFRESH_TOKEN": "RT-of-the-tap"}
    done = office.run("books", "disconnect", "--yes", **settings)
    assert done.code == 0, done.out
    assert "could not be revoked at Intuit" in done.out
    assert "under Apps" in done.out
    seeds = {hashlib.sha256(each.encode()).hexdigest() for each in ("RT-sandbox-0001", "RT-of-the-tap")}
    assert {row["sha256"] for row in office.rows(token_seed)} == seeds
