"""Every switch of the simulator in each of its positions: what the vendor leaves open can be turned, and does turn."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from sandbox.quickbooks import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from sandbox.quickbooks.switches import CHOICES, Switches

DAY = 86_400
HOOKED: list[bytes] = []


def _code(answer):
    return answer.status if answer.status == 200 else (answer.status, answer.code)


# -- tokens and transport


def _environment(qbo):
    return _code(qbo.get("preferences"))


def _admitted(qbo, most=3):
    """How many of `most` requests at one moment get in."""
    qbo.control.post("clock", {"frozen": True})
    return sum(qbo.get("preferences").status == 200 for _ in range(most))


def _limits(qbo):
    qbo.control.switches(requests_per_second=1)
    return _admitted(qbo)


def _batches(qbo):
    qbo.control.switches(limits=True)
    qbo.control.post("clock", {"frozen": True})
    return sum(qbo.batch({"bId": "1", "Query": "select * from Item"}).status == 200 for _ in range(3))


def _counted(qbo):
    qbo.control.switches(limits=True, requests_per_minute=2, requests_per_second=0)
    qbo.control.post("clock", {"frozen": True})
    queries = [{"bId": str(n), "Query": "select * from Item"} for n in range(2)]
    status = qbo.batch(*queries).status
    return status, qbo.control.get("metered")["reads"], qbo.get("preferences").status


def _retry_after(qbo):
    qbo.control.switches(limits=True, requests_per_second=1)
    qbo.control.post("clock", {"frozen": True})
    qbo.get("preferences")
    return qbo.get("preferences").headers.get("Retry-After", "").partition(",")[0]


def _concurrent(qbo):
    qbo.control.switches(limits=True)
    qbo.control.fault("hang", path="/preferences")

    def hang():
        with suppress(requests.ConnectionError):
            qbo.get("preferences")

    waiting = threading.Thread(target=hang)
    waiting.start()
    while not any(row["fault"] for row in qbo.control.requests()):
        pass
    headers = {"Authorization": f"Bearer {qbo.token}", "Accept": "application/json"}
    url = f"{qbo.url}/v3/company/{qbo.realm}/companyinfo/{qbo.realm}"
    status = requests.get(url, headers=headers, timeout=5).status_code
    qbo.control.post("faults/release", {})
    waiting.join()
    return status


def _quota(qbo):
    qbo.get("preferences")
    return qbo.get("preferences").status


def _url(qbo):
    return qbo.get("query", query=f"select * from Item where Name = '{'x' * 600}'").status


def _refused_status(qbo):
    answer = qbo.post("customer", {})
    return answer.status, "Fault" in answer.body


def _number(qbo):
    return str(qbo.read("Customer", qbo.customer())["Balance"])


def _extra(qbo):
    return "SimulatedNewField" in qbo.read("Customer", qbo.customer())


def _unknown(qbo):
    return _code(qbo.post("customer", {"DisplayName": "A", "Nonsense": 1}))


def _after(seconds):
    """Whether the access token lives on after so long."""

    def observe(qbo):
        qbo.connect()
        qbo.control.advance(seconds)
        return qbo.get("preferences").status

    return observe


def _rotates(qbo):
    return qbo.refresh().json()["refresh_token"] != REFRESH_TOKEN


def _refreshed_after(days):
    def observe(qbo):
        qbo.control.advance(days * DAY)
        return qbo.refresh().status_code

    return observe


def _old_token(qbo):
    qbo.control.advance(DAY + 1)
    return qbo.refresh().status_code, qbo.refresh().status_code


def _code_reuse(qbo):
    redirect = "http://localhost:9/cb"
    form = {"client_id": CLIENT_ID, "redirect_uri": redirect, "scope": "com.intuit.quickbooks.accounting"}
    target = qbo.session.post(
        f"{qbo.url}/connect/oauth2", data={**form, "decision": "connect"}, allow_redirects=False
    ).headers["location"]
    code = target.partition("code=")[2].partition("&")[0]
    data = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect}
    first, second = (
        qbo.session.post(f"{qbo.url}/oauth2/v1/tokens/bearer", auth=(CLIENT_ID, CLIENT_SECRET), data=data)
        for _ in range(2)
    )
    return second.status_code, qbo.refresh(first.json()["refresh_token"]).status_code


# -- request ids


def _replayed(qbo, seconds=100):
    first = qbo.made("Customer", {"DisplayName": "A"}, requestid="r")
    qbo.control.advance(seconds)
    again = qbo.post("customer", {"DisplayName": "A"}, requestid="r")
    return "again" if again.status == 200 and again.body["Customer"] == first else again.code


def _failure(qbo):
    body = qbo.invoice_body("1", qbo.line("1.00"))
    qbo.post("invoice", body, requestid="r")
    qbo.customer()
    return _code(qbo.post("invoice", body, requestid="r"))


def _changed(qbo):
    qbo.made("Customer", {"DisplayName": "A"}, requestid="r")
    answer = qbo.post("customer", {"DisplayName": "B"}, requestid="r")
    return answer.body["Customer"]["DisplayName"] if answer.status == 200 else answer.code


def _other_app(qbo):
    qbo.made("Customer", {"DisplayName": "A"}, requestid="r")
    qbo.control.post("clients", {"client_id": "app2", "client_secret": "x"})
    qbo.control.post("tokens", {"client_id": "app2", "refresh_token": "RT-2"})
    data = {"grant_type": "refresh_token", "refresh_token": "RT-2"}
    url = f"{qbo.url}/oauth2/v1/tokens/bearer"
    qbo.token = qbo.session.post(url, auth=("app2", "x"), data=data).json()["access_token"]
    return _code(qbo.post("customer", {"DisplayName": "A"}, requestid="r"))


# -- books


def _name_taken(qbo):
    qbo.customer("A")
    return qbo.post("customer", {"DisplayName": "A"}).detail.rpartition(" : ")[2][:7]


def _deactivated(qbo):
    qbo.customer("A")
    return qbo.control.deed("deactivate_customer", customer="A")["DisplayName"]


def _inactive_name(qbo):
    _deactivated(qbo)
    return _code(qbo.post("customer", {"DisplayName": "A"}))


def _inactive_reference(qbo):
    _deactivated(qbo)
    return _code(qbo.post("invoice", qbo.invoice_body("1", qbo.line("1.00"))))


def _negative(qbo):
    body = qbo.invoice_body(qbo.customer(), qbo.line("10.00"), qbo.line("-1.00"))
    return _code(qbo.post("invoice", body))


def _discount(qbo):
    line = {"DetailType": "DiscountLineDetail", "DiscountLineDetail": {"PercentBased": True, "DiscountPercent": 10}}
    return qbo.made("Invoice", qbo.invoice_body(qbo.customer(), qbo.line("100.00"), line))["TotalAmt"]


def _override(qbo):
    body = {**qbo.invoice_body(qbo.customer(), qbo.line("10.00")), "TxnTaxDetail": {"TotalTax": "2.01"}}
    return qbo.made("Invoice", body)["TotalAmt"]


def _paid(qbo, amount="10", total="120"):
    customer = qbo.customer()
    invoice = qbo.invoice(customer)
    return customer, invoice, qbo.post("payment", qbo.payment_body(customer, total, (invoice["Id"], amount, "Invoice")))


def _linked_delete(qbo):
    _, invoice, _ = _paid(qbo)
    return _code(qbo.post("invoice", qbo.key(qbo.read("Invoice", invoice["Id"])), operation="delete"))


def _foreign_link(qbo):
    invoice = qbo.invoice(qbo.customer("A"))
    return _code(qbo.post("payment", qbo.payment_body(qbo.customer("B"), 10, (invoice["Id"], 10, "Invoice"))))


def _too_much(qbo):
    _, _, answer = _paid(qbo, amount="130", total="130")
    return answer.body["Payment"]["UnappliedAmt"] if answer.status == 200 else answer.code


def _touched(qbo):
    _, invoice, _ = _paid(qbo)
    after = qbo.read("Invoice", invoice["Id"])
    return after["Balance"], after["SyncToken"]


def _stale(qbo):
    customer = qbo.made("Customer", {"DisplayName": "A"})
    qbo.made("Customer", {**qbo.key(customer), "sparse": True, "Notes": "n"})
    return qbo.rows("select * from Customer", "Customer")[0]["SyncToken"]


# -- reading


def _over_1000(qbo):
    return _code(qbo.query("select * from Item maxresults 1001"))


def _columns(qbo):
    qbo.customer("A")
    answer = qbo.query("select DisplayName from Customer")
    return sorted(answer.body["QueryResponse"]["Customer"][0])[:2] if answer.status == 200 else answer.code


def _old_changes(qbo):
    return _code(qbo.get("cdc", entities="Invoice", changedSince="2026-10-01T00:00:00Z"))


def _all_changes(qbo):
    qbo.control.seed({"synthetic": {"invoices": 600, "customers": 600}})
    parts = qbo.get("cdc", entities="Invoice,Customer", changedSince="2026-11-20T00:00:00Z").body["CDCResponse"][0]
    return [part["maxResults"] for part in parts["QueryResponse"]]


def _order(qbo):
    items = [{"bId": str(n), "Query": "select * from Item"} for n in range(3)]
    return [row["bId"] for row in qbo.batch(*items).body["BatchItemResponse"]]


# -- webhooks


@pytest.fixture(scope="module")
def hook():
    """An endpoint that answers 200 and keeps what it got in HOOKED."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            HOOKED.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def _told(qbo, deed=None):
    """The parsed body of the one POST that a change causes; None when there is none."""
    HOOKED.clear()
    if deed:
        deed()
    else:
        qbo.control.deed("create", entity="Customer", body={"DisplayName": "A"})
        qbo.control.deed("create", entity="Customer", body={"DisplayName": "B"})
    qbo.control.post("webhooks/deliver", {})
    return json.loads(HOOKED[0]) if HOOKED else None


def _shape(qbo):
    return type(_told(qbo)).__name__


def _events(qbo):
    return len(_told(qbo) or [])


def _later(qbo):
    now = _told(qbo)
    qbo.control.advance(300)
    return now is None, qbo.control.post("webhooks/deliver", {})["deliveries"] != []


def _shuffled(qbo):
    names = [{"entity": "Customer", "body": {"DisplayName": f"C{number}"}} for number in range(12)]
    events = _told(qbo, lambda: [qbo.control.deed("create", **name) for name in names])
    ids = [int(event["intuitentityid"]) for event in events]
    return ids == sorted(ids)


def _own(qbo):
    return len(_told(qbo, qbo.customer) or [])


def _merge(qbo):
    def deed():
        qbo.control.deed("create", entity="Customer", body={"DisplayName": "A"})
        qbo.control.deed("create", entity="Customer", body={"DisplayName": "B"})
        qbo.control.deed("merge_customers", **{"from": "B", "into": "A"})

    return [event["intuitentityid"] for event in _told(qbo, deed) if event["type"] == "qbo.customer.merged.v1"]


TABLE = [
    ("environment", _environment, {"sandbox": 200, "production": (403, "3100")}),
    ("limits", _limits, {False: 3, True: 1}),
    ("requests_per_minute", lambda qbo: (qbo.control.switches(limits=True), _admitted(qbo))[1], {500: 3, 2: 2, 0: 3}),
    ("requests_per_second", lambda qbo: (qbo.control.switches(limits=True), _admitted(qbo))[1], {10: 3, 2: 2, 0: 3}),
    ("batches_per_minute_app", _batches, {40: 3, 2: 2, 0: 3}),
    ("batches_per_minute_realm", _batches, {120: 3, 1: 1, 0: 3}),
    ("batch_counts_as", _counted, {"one": (200, 1, 200), "items": (200, 2, 429)}),
    ("retry_after", _retry_after, {"none": "", "seconds": "1", "date": "Fri"}),
    ("concurrent_requests", _concurrent, {0: 200, 1: 429, 2: 200}),
    ("metered_quota", _quota, {0: 200, 1: 429, 2: 200}),
    ("url_characters_max", _url, {8192: 200, 500: 414, 0: 200}),
    ("fault_with_200", _refused_status, {False: (400, True), True: (200, True)}),
    ("fault_casing", _refused_status, {"upper": (400, True), "lower": (400, False)}),
    ("short_numbers", _number, {False: "0.00", True: "0"}),
    ("extra_fields", _extra, {False: False, True: True}),
    ("unknown_properties", _unknown, {"refuse": (400, "2010"), "ignore": 200}),
    ("access_token_seconds", _after(3500), {3600: 200, 60: 401}),
    ("refresh_rotation_seconds", _rotates, {86_400: False, 0: True}),
    ("refresh_idle_seconds", _refreshed_after(99), {8_640_000: 200, DAY: 400}),
    ("refresh_hard_seconds", _refreshed_after(99), {157_680_000: 200, DAY: 400}),
    ("old_refresh_grace_seconds", _old_token, {0: (200, 400), 3600: (200, 200)}),
    ("code_reuse_revokes", _code_reuse, {True: (400, 400), False: (400, 200)}),
    ("replay_retention_seconds", _replayed, {86_400: "again", 60: "6240"}),
    ("replay_failures", _failure, {False: 200, True: (400, "2500")}),
    ("replay_changed_body", _changed, {"replay": "A", "fault": "600"}),
    ("replay_scope", _other_app, {"realm": 200, "app": (400, "6240")}),
    ("duplicate_name_detail", _name_taken, {"text": "Another", "id": "Id=1", "null": "null"}),
    ("inactive_suffix", _deactivated, {True: "A (deleted)", False: "A"}),
    ("inactive_name_taken", _inactive_name, {False: 200, True: (400, "6240")}),
    ("inactive_reference", _inactive_reference, {"2500": (400, "2500"), "610": (400, "610")}),
    ("negative_lines", _negative, {"accept": 200, "refuse": (400, "2290")}),
    ("discount_vat", _discount, {"pro_rata": Decimal(108), "none": Decimal(110)}),
    ("tax_override", _override, {"ignore": Decimal("12.00"), "apply": Decimal("12.01")}),
    ("linked_delete", _linked_delete, {"refuse": (400, "620"), "unlink": 200}),
    ("foreign_link", _foreign_link, {"unapplied": 200, "refuse": (400, "620")}),
    ("over_application", _too_much, {"refuse": "6000", "620": "620", "cap": Decimal(10)}),
    ("payment_touches_invoice", _touched, {True: (Decimal(110), "1"), False: (Decimal(110), "0")}),
    ("stale_lists_seconds", _stale, {0: "1", 30: "0"}),
    ("maxresults_over_1000", _over_1000, {"refuse": (400, "4001"), "cap": 200}),
    ("column_lists", _columns, {"refuse": "4001", "answer": ["DisplayName", "Id"]}),
    ("cdc_too_old", _old_changes, {"refuse": (400, "4001"), "truncate": 200}),
    ("cdc_limit", _all_changes, {"response": [600, 400], "entity": [600, 600]}),
    ("batch_unordered", _order, {False: ["0", "1", "2"], True: ["2", "1", "0"]}),
    ("batch_empty_answers", _order, {0: ["0", "1", "2"], 2: ["0"]}),
    ("webhook_shape", _shape, {"cloudevents": "list", "legacy": "dict"}),
    ("webhook_delay_seconds", _later, {0: (False, False), 300: (True, True)}),
    ("webhook_copies", _events, {1: 2, 2: 4}),
    ("webhook_shuffle", _shuffled, {False: True, True: False}),
    ("webhook_loss", _events, {False: 2, True: 0}),
    ("webhook_own_writes", _own, {True: 1, False: 0}),
    ("webhook_merge_id", _merge, {"losing": ["2"], "winning": ["1"]}),
]


@pytest.mark.parametrize(
    ("switch", "position", "observe", "expected"),
    [
        pytest.param(name, position, observe, expected, id=f"{name}={position}")
        for name, observe, positions in TABLE
        for position, expected in positions.items()
    ],
)
def test_each_position_of_each_switch(qbo, hook, switch, position, observe, expected):
    """A switch in this position makes the simulator do this, and nothing else in the test turns it."""
    qbo.control.post("webhooks", {"url": hook, "verifier_token": "v"})
    qbo.control.switches(**{switch: position})
    assert observe(qbo) == expected


def test_the_table_is_complete_and_begins_with_the_defaults():
    """Every switch is in the table, with its default first (limits: off in these tests) and every choice it has."""
    positions = {name: list(found) for name, _, found in TABLE}
    defaults = Switches().as_json()
    assert sorted(positions) == sorted(defaults)
    assert {name: found[0] for name, found in positions.items()} == defaults | {"limits": False}
    assert {name: set(positions[name]) for name in CHOICES} == {name: set(values) for name, values in CHOICES.items()}
