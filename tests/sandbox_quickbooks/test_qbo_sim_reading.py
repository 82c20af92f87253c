"""Checklist 6, 7 and 11 of the fact sheet, and batches: queries, change data capture, webhooks."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sandbox.control import Control
from sandbox.quickbooks import QuickBooksState, create_app
from sandbox.quickbooks.webhooks import sign
from sandbox.server import running


@pytest.fixture
def people(qbo):
    for name in ("O'Brien", "Back\\slash", "Müller", "a_b", "axb", "100%"):
        qbo.customer(name)
    return qbo


@pytest.mark.parametrize(
    ("where", "names"),
    [
        (r"DisplayName = 'O\'Brien'", ["O'Brien"]),
        (r"DisplayName = 'o\'BRIEN'", ["O'Brien"]),
        (r"DisplayName = 'Back\\slash'", ["Back\\slash"]),
        ("DisplayName = 'MÜLLER'", ["Müller"]),
        ("DisplayName LIKE 'a_b'", ["a_b"]),
        ("DisplayName LIKE '%B%'", ["O'Brien", "Back\\slash", "a_b", "axb"]),
        ("DisplayName LIKE 'M%' AND Active = true", ["Müller"]),
        ("Id = '3'", ["Müller"]),
        ("Id IN ('1', '3', 'x')", ["O'Brien", "Müller"]),
        ("displayname in ('axb','a_b') ORDERBY DisplayName DESC", ["axb", "a_b"]),
        ("Balance = '0' AND MetaData.CreateTime >= '2026-11-20T08:00:00+00:00' STARTPOSITION 5", ["axb", "100%"]),
        ("MetaData.LastUpdatedTime > '2027-01-01'", []),
    ],
)
def test_checklist_6_what_a_query_finds(people, where, names):
    r"""AND only, `\'` and `\\` as escapes, case-insensitive, % the only wildcard."""
    found = people.rows(f"select * from customer where {where}", "Customer")
    assert [row["DisplayName"] for row in found] == names


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("select * from", "4000"),
        ("selekt * from Customer", "4000"),
        ("select * from Customer where Id = '1' or Id = '2'", "4000"),
        ("select * from Customer where not Active = true", "4000"),
        ("select * from Customer where Id != '1'", "4000"),
        ("select * from Customer where DisplayName = 'O'Brien'", "4000"),
        ("select * from Customer where DisplayName = 'open", "4000"),
        ("select * from Customer maxresults x", "4000"),
        ("select * from Customer startposition 0", "4001"),
        ("select * from Customer maxresults 1001", "4001"),
        ("select * from Nonsense", "4001"),
        ("select * from Invoice where PrivateNote = 'x'", "4001"),
        ("select * from Payment where DocNumber = 'x'", "4001"),
        ("select * from Customer where Id > '1'", "4001"),
        ("select * from Customer where Id like '1%'", "4001"),
        ("select * from Invoice where TxnDate > 'soon'", "4001"),
        ("select * from Invoice where TotalAmt > 'much'", "4001"),
        ("", "4000"),
    ],
)
def test_checklist_6_what_a_query_may_not(qbo, text, code):
    """4000 where it cannot be read, 4001 where it asks what is not queryable."""
    answer = qbo.query(text)
    assert (answer.status, answer.code) == (400, code)


def test_checklist_6_pages_counts_and_empty_results(qbo):
    """100 rows by default, 1000 at most, 1-based; count(*) gives totalCount; nothing found is {}."""
    qbo.control.seed({"synthetic": {"invoices": 1100, "customers": 3}})
    first = qbo.query("select * from Invoice").body["QueryResponse"]
    assert (len(first["Invoice"]), first["startPosition"], first["maxResults"]) == (100, 1, 100)
    ids = []
    for start in (1, 1001):
        ids += [
            row["Id"] for row in qbo.rows(f"select * from Invoice startposition {start} maxresults 1000", "Invoice")
        ]
    assert (len(ids), len(set(ids))) == (1100, 1100)
    assert qbo.query("select count(*) from Invoice where TotalAmt > 100").body["QueryResponse"]["totalCount"] > 0
    assert qbo.query("select * from Invoice where DocNumber = 'none'").body["QueryResponse"] == {}
    assert len(qbo.rows("select * from Invoice orderby Id desc maxresults 1", "Invoice")) == 1


def test_checklist_6_over_1000_is_a_switch(qbo):
    """Refused by default, capped by switch."""
    qbo.control.switches(maxresults_over_1000="cap")
    assert qbo.query("select * from Customer maxresults 5000").status == 200


def test_checklist_6_long_queries_go_by_post(qbo):
    """POST /query with the statement as text."""
    customer = qbo.customer()
    ids = ",".join(f"'{n}'" for n in range(1, 900))
    answer = qbo.call(
        "POST", "query", f"select * from Customer where Id in ({ids})", headers={"Content-Type": "application/text"}
    )
    assert [row["Id"] for row in answer.body["QueryResponse"]["Customer"]] == [customer]


def test_company_and_preferences_can_be_read_and_queried(qbo):
    """CompanyInfo and Preferences answer by path and by query."""
    info = qbo.get(f"companyinfo/{qbo.realm}").body["CompanyInfo"]
    assert (info["Country"], info["CompanyAddr"]["Country"]) == ("GB", "GBR")
    assert qbo.rows("select * from CompanyInfo", "CompanyInfo")[0]["CompanyName"] == info["CompanyName"]
    preferences = qbo.rows("select * from Preferences", "Preferences")[0]
    assert preferences["TaxPrefs"]["UsingSalesTax"] is True
    assert preferences["SalesFormsPrefs"]["CustomTxnNumbers"] is True


def test_the_uk_codes_of_a_new_company(qbo):
    """Five usable codes under the names of Intuit's UK help; EC codes are hidden, reverse charge has no sales rate."""
    codes = qbo.rows("select * from TaxCode", "TaxCode")
    usable = [c["Name"] for c in codes if not c["Hidden"] and c["SalesTaxRateList"]["TaxRateDetail"]]
    assert sorted(usable) == sorted(["20.0% S", "5.0% R", "0.0% Z", "Exempt", "No VAT"])
    assert len(qbo.rows("select * from TaxCode where Active in (true,false)", "TaxCode")) == len(codes) + 2


# -- 7


def _cdc(qbo, entities, since="2026-11-20T08:00:00+00:00"):
    return qbo.get("cdc", entities=entities, changedSince=since)


def test_checklist_7_changes_and_deleted_stubs(qbo):
    """Latest states of what changed, stubs of what was deleted after them, [{}] when nothing changed."""
    assert _cdc(qbo, "Invoice,Payment").body["CDCResponse"] == [{"QueryResponse": [{}]}]
    customer = qbo.customer()
    first, second = qbo.invoice(customer), qbo.invoice(customer)
    qbo.control.advance(10)
    qbo.post("invoice", qbo.key(first), operation="delete")
    parts = _cdc(qbo, "Invoice,Payment,Customer").body["CDCResponse"][0]["QueryResponse"]
    assert [next(iter(part)) for part in parts] == ["Invoice", "Customer"]
    rows = parts[0]["Invoice"]
    assert rows[0]["Id"] == second["Id"]
    assert (rows[1]["status"], rows[1]["Id"], rows[1]["domain"]) == ("Deleted", first["Id"], "QBO")
    later = _cdc(qbo, "Invoice", rows[1]["MetaData"]["LastUpdatedTime"]).body["CDCResponse"][0]["QueryResponse"]
    assert [row["Id"] for row in later[0]["Invoice"]] == [first["Id"]]


def test_checklist_7_thirty_days_and_a_thousand_objects(qbo):
    """Further back than 30 days is refused (cut off by switch); 1,000 objects in all; tax codes have no changes."""
    assert _cdc(qbo, "Invoice", "2026-10-20T00:00:00Z").code == "4001"
    qbo.control.switches(cdc_too_old="truncate")
    assert _cdc(qbo, "Invoice", "2026-10-20T00:00:00Z").status == 200
    assert _cdc(qbo, "TaxCode").code == "4001"
    assert _cdc(qbo, "Invoice", "nonsense").code == "2040"
    assert _cdc(qbo, "").code == "2020"
    qbo.control.seed({"synthetic": {"invoices": 1100, "customers": 3}})
    parts = _cdc(qbo, "Customer,Invoice").body["CDCResponse"][0]["QueryResponse"]
    assert [part["maxResults"] for part in parts] == [3, 997]


# -- batches


def test_a_batch_has_an_outcome_per_item(qbo):
    """Created, stale, voided, deleted, queried, unknown: each item by its bId, HTTP 200 for all."""
    customer = qbo.customer()
    first, second = qbo.invoice(customer), qbo.invoice(customer)
    payment = qbo.made("Payment", qbo.payment_body(customer, 5))
    answer = qbo.batch(
        {"bId": "1", "operation": "create", "Invoice": qbo.invoice_body(customer, qbo.line("1.00"))},
        {"bId": "2", "operation": "update", "Invoice": {"Id": first["Id"], "SyncToken": "9", "sparse": True}},
        {"bId": "3", "operation": "update", "optionsData": "void", "Invoice": qbo.key(second)},
        {"bId": "4", "operation": "delete", "Payment": qbo.key(payment)},
        {"bId": "5", "Query": "select * from Customer where DisplayName = 'Acme Ltd'"},
        {"bId": "6", "operation": "create", "Nonsense": {}},
        {"bId": "7", "operation": "revert", "Invoice": qbo.key(first)},
    )
    rows = {row["bId"]: row for row in answer.body["BatchItemResponse"]}
    assert answer.status == 200
    assert rows["1"]["Invoice"]["TotalAmt"] > 1
    assert rows["2"]["Fault"]["Error"][0]["code"] == "5010"
    assert rows["3"]["Invoice"]["TotalAmt"] == 0
    assert rows["4"]["Payment"]["status"] == "Deleted"
    assert rows["5"]["QueryResponse"]["Customer"][0]["Id"] == customer
    assert rows["6"]["Fault"]["Error"][0]["code"] == "2010"
    assert rows["7"]["Fault"]["Error"][0]["code"] == "500"


def test_a_batch_of_31_is_1040_and_order_is_a_switch(qbo):
    """More than 30 items are refused; by switch answers come in another order, or some are missing."""
    items = [{"bId": str(n), "Query": "select * from Term"} for n in range(31)]
    assert qbo.batch(*items).code == "1040"
    qbo.control.switches(batch_unordered=True, batch_empty_answers=1)
    assert [row["bId"] for row in qbo.batch(*items[:3]).body["BatchItemResponse"]] == ["1", "0"]


# -- 11


@pytest.fixture
def endpoint():
    """A webhook endpoint that answers what the test says and keeps what it got."""
    received, answers = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((body, dict(self.headers)))
            self.send_response(answers.pop(0) if answers else 200)
            self.end_headers()

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hook", received, answers
    server.shutdown()
    server.server_close()


def _deliver(qbo):
    return [delivery["status"] for delivery in qbo.control.post("webhooks/deliver", {})["deliveries"]]


def test_checklist_11_cloudevents_of_several_realms_in_one_signed_post(qbo, endpoint):
    """One POST holds the events of every realm; the signature is over the raw bytes; each object can be re-read."""
    url, received, _ = endpoint
    qbo.control.post("companies", {"realm": "77", "CompanyName": "Second"})
    qbo.control.post("webhooks", {"url": url, "verifier_token": "verify-me"})
    invoice = qbo.invoice(qbo.customer())
    qbo.control.post("deeds", {"realm": "77", "deed": "create", "entity": "Customer", "body": {"DisplayName": "B"}})
    qbo.post("invoice", qbo.key(invoice), operation="void")
    assert _deliver(qbo) == [200]
    body, headers = received[0]
    assert headers["intuit-signature"] == sign(body, "verify-me")
    assert headers["User-Agent"] == "intuit_notification_server/0.1"
    assert {"intuit-created-time", "intuit-t-id", "intuit-notification-schema-version"} <= set(headers)
    events = json.loads(body)
    assert [(e["type"], e["intuitaccountid"]) for e in events] == [
        ("qbo.customer.created.v1", qbo.realm),
        ("qbo.invoice.created.v1", qbo.realm),
        ("qbo.customer.created.v1", "77"),
        ("qbo.invoice.voided.v1", qbo.realm),
    ]
    assert {"specversion", "id", "source", "type", "time", "intuitentityid", "data"} <= set(events[0])
    assert len({e["id"] for e in events}) == 4


def test_checklist_11_a_payment_tells_of_the_invoice_too(qbo, endpoint):
    """Recording a payment gives events for the payment and for the invoice it pays; a refused write gives none."""
    url, received, _ = endpoint
    invoice = qbo.invoice(qbo.customer(), number="N1")
    qbo.control.post("webhooks", {"url": url, "verifier_token": "v"})
    qbo.control.deed("record_payment", invoice="N1")
    qbo.post("invoice", {"Id": invoice["Id"], "SyncToken": "0", "sparse": True})
    _deliver(qbo)
    types = sorted(e["type"] for e in json.loads(received[0][0]))
    assert types == ["qbo.invoice.updated.v1", "qbo.payment.created.v1"]


def test_checklist_11_retries_follow_the_schedule_on_the_virtual_clock(qbo, endpoint):
    """A failed delivery is due again after 10 s, 20 s, 30 s, 5 min ..., and not before."""
    url, received, answers = endpoint
    qbo.control.post("clock", {"frozen": True})
    qbo.control.post("webhooks", {"url": url, "verifier_token": "v"})
    qbo.customer()
    answers.extend([500] * 4)
    assert _deliver(qbo) == [500]
    for wait in (10, 20, 30):
        qbo.control.advance(wait - 1)
        assert _deliver(qbo) == []
        qbo.control.advance(1)
        assert _deliver(qbo) == [500]
    qbo.control.advance(300)
    assert _deliver(qbo) == [200]
    assert len({body for body, _ in received}) == 1
    assert qbo.control.get("webhooks")["waiting"] == 0


def test_checklist_11_duplicates_reordering_delay_loss_and_legacy(qbo, endpoint):
    """By switch: each event twice with the same id, shuffled, late, never, or in the shape of before."""
    url, received, _ = endpoint
    qbo.control.post("webhooks", {"url": url, "verifier_token": "v"})
    qbo.control.switches(webhook_copies=2, webhook_shuffle=True, webhook_delay_seconds=300)
    for name in "abcdefgh":
        qbo.customer(name)
    assert _deliver(qbo) == []
    qbo.control.advance(300)
    assert _deliver(qbo) == [200]
    ids = [e["id"] for e in json.loads(received[-1][0])]
    assert (len(ids), len(set(ids))) == (16, 8)
    order = [int(e["intuitentityid"]) for e in json.loads(received[-1][0])]
    assert order != sorted(order)
    qbo.control.switches(webhook_loss=True)
    qbo.customer("lost")
    assert qbo.control.get("webhooks")["waiting"] == 0
    assert len(_cdc(qbo, "Customer").body["CDCResponse"][0]["QueryResponse"][0]["Customer"]) == 9, "CDC heals"
    qbo.control.switches(webhook_loss=False, webhook_shape="legacy", webhook_copies=1, webhook_delay_seconds=0)
    qbo.customer("old")
    _deliver(qbo)
    legacy = json.loads(received[-1][0])["eventNotifications"][0]
    assert (legacy["realmId"], legacy["dataChangeEvent"]["entities"][0]["operation"]) == (qbo.realm, "Create")


def _wait_for(received, count):
    deadline = time.monotonic() + 10
    while len(received) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    return [len(json.loads(body)) for body, _ in received]


def test_auto_delivery_needs_no_call_and_outlives_a_restart(serve, endpoint, tmp_path):
    """With `auto` the server sends what falls due by itself: at once, by the retry schedule, and after a restart."""
    url, received, answers = endpoint
    answers.extend([200, 500])
    state = QuickBooksState(tmp_path)
    with running(create_app(state)) as base:
        control = Control(base)
        control.post("webhooks", {"url": url, "verifier_token": "v", "auto": True})
        control.deed("create", entity="Customer", body={"DisplayName": "A"})
        assert _wait_for(received, 1) == [1]
        control.deed("create", entity="Customer", body={"DisplayName": "B"})
        assert _wait_for(received, 2) == [1, 1]
    state.close()
    assert sign(received[1][0], "v") == received[1][1]["intuit-signature"]
    again = serve(tmp_path, on_start=lambda state: state.clock.advance(10))
    assert _wait_for(received, 3) == [1, 1, 1], "what failed is sent again without a request to the server"
    assert received[2][0] == received[1][0]
    again.control.post("webhooks", {"url": url, "verifier_token": "v"})
    again.control.deed("create", entity="Customer", body={"DisplayName": "C"})
    assert again.control.get("webhooks")["auto"] is False
    assert again.control.get("webhooks")["waiting"] == 1, "without auto somebody has to ask"


def test_a_dead_endpoint_is_tried_again_and_a_bad_url_is_no_end(qbo):
    """Nobody answers, or the URL can be none: the notice stays and is due again."""
    for number, url in enumerate(("http://127.0.0.1:9/", "http://[", "nonsense")):
        qbo.control.post("webhooks", {"url": url, "verifier_token": "v"})
        qbo.control.deed("create", entity="Customer", body={"DisplayName": f"For {number}"})
        assert set(_deliver(qbo)) == {None}
        qbo.control.advance(7 * 3600)
    assert qbo.control.get("webhooks")["waiting"] == 3


def test_entities_that_are_not_simulated_are_empty_not_unknown(qbo):
    """The product has bills and estimates, this company has none: queries and changes find nothing."""
    assert qbo.query("select * from Bill where TxnDate > '2026-01-01'").body["QueryResponse"] == {}
    assert qbo.query("select count(*) from Estimate").body["QueryResponse"] == {"totalCount": 0}
    assert _cdc(qbo, "Bill,Purchase").body["CDCResponse"] == [{"QueryResponse": [{}]}]
    assert _cdc(qbo, "TimeActivity").code == "4001"
    assert qbo.query("select * from Nonsense").code == "4001"


def test_vat_code_ids_of_another_company_are_others(qbo):
    """FirstTaxCodeId moves the ids: a client that fixed them is refused, one that looks names up is not."""
    qbo.control.post("reset", {"company": {"FirstTaxCodeId": 41}})
    qbo.control.switches(limits=False)
    qbo.connect()
    code = qbo.rows("select * from TaxCode where Name = '20.0% S'", "TaxCode")[0]["Id"]
    customer = qbo.customer()
    assert qbo.post("invoice", qbo.invoice_body(customer, qbo.line("10.00"))).code == "2500"
    assert qbo.made("Invoice", qbo.invoice_body(customer, qbo.line("10.00", code)))["TotalAmt"] == 12


def test_a_batch_returns_a_thousand_objects_at_most(qbo):
    """The queries of one batch share 1,000 objects; what is beyond is on the next page."""
    qbo.control.seed({"synthetic": {"invoices": 700, "customers": 600}})
    queries = [f"select * from {name} maxresults 1000" for name in ("Invoice", "Customer", "Customer")]
    rows = qbo.batch(*[{"bId": str(n), "Query": text} for n, text in enumerate(queries)]).body["BatchItemResponse"]
    assert [row["QueryResponse"].get("maxResults", 0) for row in rows] == [700, 300, 0]
    rest = qbo.rows("select * from Customer startposition 301 maxresults 1000", "Customer")
    assert len(rest) == 300


FIELDS = {
    "Customer": "DisplayName GivenName MiddleName FamilyName CompanyName FullyQualifiedName PrimaryEmailAddr Active "
    "Balance",
    "Invoice": "DocNumber TxnDate DueDate CustomerRef Balance TotalAmt SalesTermRef ProjectRef",
    "Payment": "TotalAmt TxnDate CustomerRef PaymentRefNum ProjectRef",
    "Item": "Name FullyQualifiedName Type Sku Active Taxable SubItem",
    "TaxCode": "Name Active Description",
    "TaxRate": "Name Active Description AgencyRef",
    "Account": "Name AccountType AccountSubType Classification Active FullyQualifiedName CurrentBalance",
    "Preferences": "",
}
VALUES = {"Active": "true", "Taxable": "true", "SubItem": "true", "TxnDate": "2026-11-20", "DueDate": "2026-11-20"}


@pytest.mark.parametrize("entity", FIELDS)
def test_checklist_6_what_can_be_filtered_by(qbo, entity):
    """Exactly the fields of the fact sheet's table, and Id and MetaData where the entity has them."""
    for field in FIELDS[entity].split():
        value = VALUES.get(field, "1")
        assert qbo.query(f"select * from {entity} where {field} = '{value}'").status == 200, field
    since = qbo.query(f"select * from {entity} where MetaData.LastUpdatedTime >= '2026-11-01T00:00:00+00:00'")
    assert since.status == 200
    for field in ("PrivateNote", "LinkedTxn", "Nonsense", *(["DocNumber"] if entity == "Payment" else [])):
        assert qbo.query(f"select * from {entity} where {field} = '1'").code == "4001", field
    if entity != "Preferences":
        assert qbo.query(f"select * from {entity} where Id = '1'").status == 200
        assert qbo.query(f"select * from {entity} where Id > '1'").code == "4001"


def test_user_info_and_the_times_of_answers(qbo):
    """Userinfo answers a living token only; every JSON answer has a time with the company's offset."""
    url = f"{qbo.url}/v1/openid_connect/userinfo"
    assert qbo.session.get(url, headers={"Authorization": f"Bearer {qbo.token}"}).json()["emailVerified"] is True
    assert qbo.session.get(url, headers={"Authorization": "Bearer x"}).status_code == 401
    for answer in (qbo.get("preferences"), qbo.query("select * from Item"), qbo.get("invoice/9")):
        assert answer.body["time"].endswith("-08:00")
