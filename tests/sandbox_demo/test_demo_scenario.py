"""The demo on running simulators: furnished once, worked on by a bookkeeper once, over restarts."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
import simplejson

from sandbox.control import Control, ControlError
from sandbox.demo.cast import RENAMED_TO, cast
from sandbox.demo.catalogue import CLIENTS, SERVICES
from sandbox.demo.company import existing_items
from sandbox.demo.deeds import do_stage
from sandbox.demo.furnish import furnish
from sandbox.demo.month import invoices, posted
from sandbox.opsmerge import OpsMergeState
from sandbox.opsmerge import create_app as opsmerge_app
from sandbox.quickbooks import QuickBooksState
from sandbox.quickbooks import create_app as quickbooks_app
from sandbox.server import running

SANDBOX = Path(sys.executable).with_name("sandbox")
REALM = "9341453000000001"
KEY = {"Authorization": "Bearer om_sandbox_key"}


class QuickBooks:
    """Reads the company's books through the API, with a token of its own."""

    def __init__(self, url):
        self.url = url
        form = {"grant_type": "refresh_token", "refresh_token": "RT-sandbox-0001"}
        token = requests.post(
            url + "/oauth2/v1/tokens/bearer", data=form, auth=("sandbox-client", "sandbox-secret"), timeout=5
        ).json()["access_token"]
        self.headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    def query(self, entity, where=""):
        found = []
        while True:
            statement = f"select * from {entity} {where} startposition {len(found) + 1} maxresults 1000"
            answer = requests.get(
                f"{self.url}/v3/company/{REALM}/query", params={"query": statement}, headers=self.headers, timeout=5
            )
            rows = simplejson.loads(answer.text, use_decimal=True)["QueryResponse"].get(entity, [])
            found += rows
            if len(rows) < 1000:
                return found

    def invoice(self, number):
        (found,) = self.query("Invoice", f"where DocNumber = '{number}'")
        return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Furnished simulators, with the month's invoices put into QuickBooks as the bridge would."""
    opsmerge_state, quickbooks_state = OpsMergeState(), QuickBooksState()
    with running(opsmerge_app(opsmerge_state)) as opsmerge_url, running(quickbooks_app(quickbooks_state)) as books_url:
        opsmerge, quickbooks = Control(opsmerge_url), Control(books_url)
        assert furnish(opsmerge, quickbooks) is True
        quickbooks.switches(limits=False)  # the tests read faster than ten calls a second
        yield SimpleNamespace(
            opsmerge=opsmerge, quickbooks=quickbooks, opsmerge_url=opsmerge_url, books=QuickBooks(books_url)
        )


def _bills(demo):
    found, cursor = [], None
    while True:
        params = {"limit": 200} | ({"cursor": cursor} if cursor else {})
        answer = requests.get(demo.opsmerge_url + "/api/v1/psa/invoices", params=params, headers=KEY, timeout=5)
        page = simplejson.loads(answer.text, use_decimal=True)
        found += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            return {bill["number"]: bill for bill in found}


def _push(demo):
    """Post what can be posted; names that are not there yet are created first."""
    there = {customer["DisplayName"] for customer in demo.books.query("Customer")}
    names = {client.id: client.in_quickbooks or client.name for client in CLIENTS}
    items = {service.id: service.item or service.name for service in SERVICES}
    accounts = {"IncomeAccountRef": {"name": "Sales of Product Income"}, "ExpenseAccountRef": {"name": "Cost of sales"}}
    codes = {"tax_1": "20.0% S", "tax_2": "5.0% R", "tax_3": "0.0% Z", "tax_4": "Exempt", "tax_5": "No VAT"}
    bodies = [
        {
            "DocNumber": invoice.number,
            "TxnDate": invoice.issue_date,
            "CustomerRef": {"name": names[invoice.client_id]},
            "GlobalTaxCalculation": "TaxExcluded",
            "Line": [
                {
                    "DetailType": "SalesItemLineDetail",
                    "Amount": line.amount,
                    "Description": line.description,
                    "SalesItemLineDetail": {
                        "ItemRef": {"name": items[line.service_id]},
                        "TaxCodeRef": {"name": codes[line.tax_code_id]},
                        **({"Qty": line.quantity, "UnitPrice": line.unit_price} if line.net is None else {}),
                    },
                }
                for line in invoice.lines
            ],
        }
        for invoice in posted()
    ]
    demo.quickbooks.seed(
        {
            "entities": {
                "Customer": [{"DisplayName": name} for name in sorted(set(names.values()) - there)],
                "Item": [
                    {"Name": name, "Type": "Service", **accounts}
                    for name in sorted(set(items.values()) - set(existing_items()))
                ],
                "Invoice": bodies,
            }
        }
    )


def test_furnished_as_planned(demo):
    """OpsMerge holds the month exactly as planned: numbers, dates, statuses, money."""
    bills = _bills(demo)
    assert sorted(bills) == [invoice.number for invoice in invoices()]
    for invoice in invoices():
        bill = bills[invoice.number]
        found = (bill["client"]["id"], bill["issue_date"], bill["subtotal"], bill["tax_total"], len(bill["lines"]))
        assert found == (invoice.client_id, invoice.issue_date, invoice.net, invoice.opsmerge_tax, len(invoice.lines))
        assert bill["accounting_excluded"] is (invoice.becomes == "excluded")
    statuses = Counter(bill["status"] for bill in bills.values())
    assert (statuses["draft"], statuses["voided"], statuses["paid"]) == (4, 3, 0)
    assert statuses["overdue"] > 0
    run = [bills[invoice.number] for invoice in invoices()[:60]]
    assert {bill["opened_at"] for bill in run} == {"2026-09-30T23:01:00.000000Z"}


def test_company_before_the_push(demo):
    """QuickBooks holds some customers and items under the names the bridge looks for, and no invoice."""
    before = {customer["DisplayName"] for customer in demo.books.query("Customer")}
    assert before == {client.in_quickbooks for client in CLIENTS if client.in_quickbooks}
    assert {item["Name"] for item in demo.books.query("Item")} == set(existing_items())
    assert demo.books.query("Invoice") == []


def test_furnishing_again_changes_nothing(demo):
    """A second furnishing leaves everything as it is."""
    before = _bills(demo)
    assert furnish(demo.opsmerge, demo.quickbooks) is False
    assert _bills(demo) == before


def test_deeds_need_the_push(demo):
    """Before the push the bookkeeper cannot work, and says why; nothing is counted as done."""
    with pytest.raises(ControlError, match=r"INV-2026-0001.*pushed before\?"):
        do_stage("first", demo.opsmerge, demo.quickbooks)
    assert not demo.opsmerge.get("state")["notes"].get("deeds first")


def test_deeds_of_both_stages(demo):
    """The two stages leave the books as the cast says, each deed once, however often they are asked for."""
    _push(demo)
    for invoice in posted():
        total = demo.books.invoice(invoice.number)["TotalAmt"]
        assert total == invoice.net + invoice.quickbooks_tax, invoice.number
    assert do_stage("first", demo.opsmerge, demo.quickbooks).startswith("98 deeds done")
    assert "already" in do_stage("first", demo.opsmerge, demo.quickbooks)
    _check_first_stage(demo.books)
    assert do_stage("second", demo.opsmerge, demo.quickbooks).startswith("2 deeds done")
    assert "already" in do_stage("second", demo.opsmerge, demo.quickbooks)
    parts = cast()
    for invoice in (parts.payment_voided, parts.payment_deleted):
        found = demo.books.invoice(invoice.number)
        assert found["Balance"] == found["TotalAmt"]
    assert len(demo.books.query("Payment")) == 93  # the voided one is still there, the deleted one is not


def _check_first_stage(books):
    parts = cast()
    for invoice in [*parts.paid, *parts.paid_penny_apart, *parts.paid_together]:
        assert books.invoice(invoice.number)["Balance"] == 0
    for invoice in parts.paid_in_part:
        found = books.invoice(invoice.number)
        assert 0 < found["Balance"] < found["TotalAmt"]
    assert _net(books.invoice(parts.edited.number)) == parts.edited.net - Decimal(25)
    assert books.query("Invoice", f"where DocNumber = '{parts.deleted.number}'") == []
    assert len(books.query("Invoice", f"where DocNumber = '{parts.copied.number}'")) == 2
    assert len(books.query("Customer", f"where DisplayName = '{RENAMED_TO}'")) == 1
    payments = books.query("Payment")
    assert len(payments) == 94
    assert all(payment["UnappliedAmt"] == 0 for payment in payments)
    assert all("2026-10-01" < payment["TxnDate"] <= "2026-11-13" for payment in payments)
    assert max(len(payment["Line"]) for payment in payments) == 3


def _net(invoice):
    return sum(line["Amount"] for line in invoice["Line"] if line["DetailType"] == "SalesItemLineDetail")


def test_foreign_state_is_left_alone():
    """A state that holds somebody's own invoices is not replaced by the demo."""
    with (
        running(opsmerge_app(OpsMergeState())) as opsmerge_url,
        running(quickbooks_app(QuickBooksState())) as books_url,
    ):
        opsmerge = Control(opsmerge_url)
        client = opsmerge.deed("save_client", name="Own client")
        opsmerge.deed("create_invoice", client_id=client["id"], lines=[])
        with pytest.raises(ControlError, match="not the demo's"):
            furnish(opsmerge, Control(books_url))
        assert opsmerge.get("state")["documents"]["invoice"] == 1


class Served:
    """`sandbox serve` as a process of its own."""

    def __init__(self, folder, *options):
        self.ready_file = folder / "ready.json"
        command = [SANDBOX, "serve", "--opsmerge-port", "0", "--quickbooks-port", "0", "--ready-file", self.ready_file]
        self.process = subprocess.Popen(
            [str(part) for part in [*command, *options]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def ready(self):
        deadline = time.monotonic() + 30
        while not self.ready_file.exists():
            assert self.process.poll() is None, self.process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return json.loads(self.ready_file.read_text())

    def end(self, number):
        self.process.send_signal(number)
        output, errors = self.process.communicate(timeout=20)
        return self.process.returncode, output, errors


def test_serve_survives_a_kill(tmp_path):
    """`sandbox serve --demo` answers when its ready file is there, survives SIGKILL, and ends cleanly on SIGTERM."""
    first = Served(tmp_path, "--demo", "--state", tmp_path / "state")
    urls = first.ready()
    assert urls["pid"] == first.process.pid
    demo = SimpleNamespace(opsmerge_url=urls["opsmerge_url"])
    before = _bills(demo)
    first.end(signal.SIGKILL)
    first.ready_file.unlink()
    second = Served(tmp_path, "--demo", "--state", tmp_path / "state")
    urls = second.ready()
    demo = SimpleNamespace(opsmerge_url=urls["opsmerge_url"])
    assert _bills(demo) == before
    assert QuickBooks(urls["quickbooks_url"]).query("Customer")
    code, output, errors = second.end(signal.SIGTERM)
    assert (code, errors) == (0, "")
    assert not second.ready_file.exists()
    for word in (urls["opsmerge_url"], urls["quickbooks_url"], "om_sandbox_key", "sandbox-secret", "RT-sandbox-0001"):
        assert word in output


def test_deeds_command(tmp_path):
    """`sandbox deeds` without simulators or before the push ends with 1 and a message, never a traceback."""
    served = Served(tmp_path, "--demo")
    urls = served.ready()
    options = ["--opsmerge-url", urls["opsmerge_url"], "--quickbooks-url", urls["quickbooks_url"]]
    before_the_push = subprocess.run([SANDBOX, "deeds", "first", *options], capture_output=True, text=True, check=False)
    served.end(signal.SIGTERM)
    gone = subprocess.run([SANDBOX, "deeds", "first", *options], capture_output=True, text=True, check=False)
    for answer, word in ((before_the_push, "pushed before?"), (gone, "refused")):
        assert answer.returncode == 1
        assert word in answer.stderr
        assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 -- the point
def test_serve_says_why_it_cannot(tmp_path, host):
    """A taken port and an open address end with 1 and one clear sentence."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        options = ["--quickbooks-port", str(taken.getsockname()[1]), "--host", host]
        served = Served(tmp_path, *options)
        _, errors = served.process.communicate(timeout=20)
    assert served.process.returncode == 1
    assert ("is taken" if host == "127.0.0.1" else "loopback") in errors
    assert "Traceback" not in errors
    assert not served.ready_file.exists()
