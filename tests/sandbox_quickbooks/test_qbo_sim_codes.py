"""Every error code of the fact sheet's table, by the request that meets it: status, type, envelope, JSON and XML."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from sandbox.quickbooks.faults import PLANNED

NAMESPACE = "{http://schema.intuit.com/finance/v3}"


def _invoice(qbo, *lines, **change):
    return qbo.post("invoice", {**qbo.invoice_body(qbo.customer("C"), *(lines or [qbo.line("1.00")])), **change})


def _known(qbo):
    return qbo.key(qbo.made("Customer", {"DisplayName": "Known"}))


def _duplicate_request(qbo):
    qbo.control.switches(replay_changed_body="fault")
    qbo.post("customer", {"DisplayName": "A"}, requestid="r")
    return qbo.post("customer", {"DisplayName": "B"}, requestid="r")


def _linked(qbo):
    invoice = qbo.invoice(qbo.customer("L"), number="L-1")
    qbo.control.deed("record_payment", invoice="L-1")
    return qbo.post("invoice", qbo.key(qbo.read("Invoice", invoice["Id"])), operation="delete")


def _switched(qbo, request, **switches):
    qbo.control.switches(**switches)
    return request(qbo)


def _company(qbo, request, **settings):
    qbo.control.deed("set_preferences", **settings)
    return request(qbo)


def _american(qbo):
    qbo.control.post("reset", {"company": {"Country": "US", "HomeCurrency": "USD"}})
    qbo.control.switches(limits=False)
    qbo.connect()
    return _invoice(qbo, qbo.line("1.00", "4"))


def _twice(qbo):
    body = qbo.invoice_body(qbo.customer(), qbo.line("1.00"), number="D-1")
    qbo.post("invoice", body)
    return qbo.post("invoice", body)


def _old(qbo):
    invoice = qbo.invoice(qbo.customer())
    qbo.control.deed("set_preferences", BookCloseDate="2026-11-20")
    return qbo.post("invoice", qbo.key(invoice), operation="void")


def _banked(qbo):
    payment = qbo.made("Payment", qbo.payment_body(qbo.customer(), 10))
    qbo.control.deed("deposit", payments=[payment["Id"]])
    return qbo.post("payment", qbo.key(payment), operation="delete")


def _throttled(qbo):
    qbo.control.switches(limits=True, requests_per_second=1)
    qbo.control.post("clock", {"frozen": True})
    qbo.get("preferences")
    return qbo.get("preferences")


def _elsewhere(qbo):
    qbo.realm = "1"
    return qbo.get("preferences")


def _signed_out(qbo):
    qbo.token = "x" * 40
    return qbo.get("preferences")


def _stale(qbo):
    return qbo.post("customer", {**_known(qbo), "SyncToken": "9", "sparse": True})


DISCOUNT = {"DetailType": "DiscountLineDetail", "Amount": 1, "DiscountLineDetail": {}}
MET = [
    ("500", 400, lambda q: q.post("customer", _known(q), operation="delete")),
    ("600", 400, _duplicate_request),
    ("2130", 400, lambda q: q.batch({"bId": "1", "Query": "select * from Item"}, requestid="r" * 37)),
    ("610", 400, lambda q: q.get("invoice/99")),
    ("620", 400, _linked),
    ("1040", 400, lambda q: q.batch(*[{"bId": str(n), "Query": "select * from Item"} for n in range(31)])),
    ("2010", 400, lambda q: _invoice(q, Nonsense=1)),
    ("2020", 400, lambda q: _invoice(q, CustomerRef=None)),
    ("2030", 400, lambda q: q.post("customer", {"Id": "x", "SyncToken": "0"})),
    ("2040", 400, lambda q: _invoice(q, TxnDate="soon")),
    ("2050", 400, lambda q: _invoice(q, DocNumber="N" * 22)),
    ("2060", 400, lambda q: _invoice(q, GlobalTaxCalculation="TaxIncluded")),
    ("2290", 400, lambda q: _switched(q, lambda q: _invoice(q, q.line("-1.00")), negative_lines="refuse")),
    ("2500", 400, lambda q: _invoice(q, CustomerRef={"value": "99"})),
    ("3001", 429, _throttled),
    ("3100", 403, _elsewhere),
    ("3200", 401, _signed_out),
    ("4000", 400, lambda q: q.query("select")),
    ("4001", 400, lambda q: q.query("select * from Invoice where PrivateNote = 'x'")),
    ("5010", 400, _stale),
    ("5030", 400, lambda q: _company(q, lambda q: _invoice(q, q.line("9.00"), DISCOUNT), AllowDiscount=False)),
    ("6000", 400, lambda q: _invoice(q, q.line("1.00", None))),
    ("6070", 400, lambda q: _invoice(q, q.line("1.00", Qty=2, UnitPrice=1))),
    ("6080", 400, lambda q: q.post("customer", {"DisplayName": "A:B"})),
    ("6100", 400, _american),
    ("6140", 400, _twice),
    ("6170", 400, lambda q: _invoice(q, GlobalTaxCalculation="NotApplicable", TxnTaxDetail={"TotalTax": 1})),
    ("6190", 400, lambda q: _company(q, lambda q: q.post("customer", {"DisplayName": "A"}), Subscribed=False)),
    ("6200", 400, _old),
    ("6210", 400, lambda q: _company(q, _invoice, BookCloseDate="2026-11-20")),
    ("6240", 400, lambda q: (q.customer("A"), q.post("customer", {"DisplayName": "A"}))[1]),
    ("6540", 400, _banked),
]
SENT = [("100", 401), ("120", 403), ("10000", 500), *((code, 400) for code in ("2280", "4002", "5020", "6160"))]
SENT += [("6230", 400), ("6470", 400)]
TABLE = """100 120 500 600 2130 610 620 1040 2010 2020 2030 2040 2060 2050 2290 2500 3001 3100 3200 4000 4001 4002 5010
5020 5030 6000 6070 6080 6100 6140 6160 6170 6230 6470 6190 6200 6210 6240 6540 10000"""


@pytest.mark.parametrize(("code", "status", "meet"), MET, ids=[code for code, _, _ in MET])
def test_a_code_is_met_with_its_http_status(qbo, code, status, meet):
    """The request that the table names gets this code, this status, a type, a text and an intuit_tid."""
    answer = meet(qbo)
    assert (answer.status, answer.code) == (status, code), answer.text
    assert answer.headers["intuit_tid"]
    fault = answer.body.get("Fault") or answer.body["fault"]
    assert fault["type"] == {401: "AUTHENTICATION", 403: "SERVICE", 429: "SERVICE"}.get(status, "ValidationFault")
    assert all(
        len(str(text)) > 5 for error in fault["Error" if "Error" in fault else "error"] for text in _texts(error)
    )


def _texts(error):
    return (error.get("Message") or error["message"], error.get("Detail") or error["detail"])


@pytest.mark.parametrize(("code", "status"), SENT)
def test_a_code_without_a_known_cause_comes_when_planned(qbo, code, status):
    """The other codes of the table come for the n-th request that matches, once, and nothing is applied."""
    body = {"DisplayName": "A"}
    qbo.control.fault("code", code=code, method="POST", path="/customer", nth=2)
    assert qbo.post("customer", {"DisplayName": "First"}).status == 200
    answer = qbo.post("customer", body)
    assert (answer.status, answer.code) == (status, code)
    assert qbo.control.requests()[-1]["applied"] is False
    assert qbo.post("customer", body).status == 200


def test_a_system_fault_may_come_with_200(qbo):
    """A 10000 inside HTTP 200, as voids of unsupported entities were seen to give it."""
    qbo.control.fault("code", code="10000", status=200)
    answer = qbo.get("preferences")
    assert (answer.status, answer.code, answer.body["Fault"]["type"]) == (200, "10000", "SystemFault")


def test_the_whole_table_is_covered():
    """Every code of the fact sheet's table is met above or can be planned; a code that is neither is refused."""
    assert set(TABLE.split()) == {code for code, _, _ in MET} | (set(PLANNED) - {"2280"})


def test_an_unknown_code_cannot_be_planned(qbo):
    """A plan for a code that the simulator does not word is refused with those it does."""
    with pytest.raises(RuntimeError, match="code must be one of 100, 10000, 120"):
        qbo.control.fault("code", code="6140")


@pytest.mark.parametrize(("code", "status", "meet"), MET, ids=[code for code, _, _ in MET])
def test_the_same_fault_in_xml_and_in_lower_case(qbo, code, status, meet):
    """Without Accept the fault is XML; by switch it has the gateway's casing: code and status stay the same."""
    answer = meet(qbo)
    request = qbo.control.requests()[-1]
    path = request["path"].partition(f"/company/{qbo.realm}/")[2] + ("?" + request["query"] if request["query"] else "")
    again = (request["method"], path, request["body"] or None)
    headers = {"headers": {"Content-Type": "application/json"}}
    xml = qbo.call(*again, accept=None, **headers)
    assert (xml.status, xml.headers["content-type"]) == (status, "application/xml")
    root = ET.fromstring(xml.text)  # noqa: S314 -- the simulator's own
    errors = root.findall(f"{NAMESPACE}Fault/{NAMESPACE}Error")
    assert [error.get("code") for error in errors] == [code]
    shown = answer.body.get("Fault") or answer.body["fault"]
    assert root.find(f"{NAMESPACE}Fault").get("type") == shown["type"]
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}-0[78]:00", root.get("time"))
    qbo.control.switches(fault_casing="lower")
    lower = qbo.call(*again, **headers)
    assert (lower.status, lower.body["fault"]["error"][0]["code"]) == (status, code)
    assert "Fault" not in lower.body
    assert isinstance(lower.body["time"], int)


def test_faults_of_a_batch_keep_the_codes(qbo):
    """Inside HTTP 200, each item's Fault has the code that the single request would have had."""
    customer = qbo.customer()
    items = [
        ("2020", {"operation": "create", "Invoice": {}}),
        ("5010", {"operation": "update", "Customer": {"Id": customer, "SyncToken": "9"}}),
        ("610", {"operation": "delete", "Payment": {"Id": "99", "SyncToken": "0"}}),
        ("500", {"operation": "delete", "Customer": {"Id": customer, "SyncToken": "0"}}),
        ("4000", {"Query": "select"}),
        ("2010", {"operation": "create", "Nonsense": {}}),
    ]
    answer = qbo.batch(*[{"bId": str(n), **item} for n, (_, item) in enumerate(items)])
    assert answer.status == 200
    codes = {row["bId"]: row["Fault"]["Error"][0]["code"] for row in answer.body["BatchItemResponse"]}
    assert codes == {str(n): code for n, (code, _) in enumerate(items)}
