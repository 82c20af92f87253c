"""The simulator's own side: planned faults, seeds, persistence, speed; and nothing a client sends breaks it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

SERVER = """
import sys
from pathlib import Path
from sandbox.quickbooks import QuickBooksState, create_app
from sandbox.server import running
with running(create_app(QuickBooksState(Path(sys.argv[1]))), port=int(sys.argv[2])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


def _count(qbo):
    return qbo.query("select count(*) from Invoice").body["QueryResponse"]["totalCount"]


@pytest.mark.parametrize(
    ("kind", "options", "outcome", "applied"),
    [
        ("refuse", {"seconds": 0.2}, "broken", 0),
        ("delay", {"seconds": 0.01}, 200, 1),
        ("hang", {}, "timeout", 0),
        ("hang", {"after": True}, "timeout", 1),
        ("cut_before", {}, "broken", 0),
        ("cut_after", {}, "broken", 1),
        ("5xx_before", {}, 503, 0),
        ("5xx_after", {}, 504, 1),
        ("5xx_after", {"html": True}, 504, 1),
        ("html", {}, 502, 0),
        ("truncated", {}, "broken", 1),
        ("late", {}, "timeout", 1),
        ("401", {}, 401, 0),
        ("429", {"retry_after": 7}, 429, 0),
        ("code", {"code": "5020"}, 400, 0),
        ("5xx_before", {"status": 500, "html": True}, 500, 0),
        ("html", {"after": True}, 502, 1),
    ],
)
def test_every_planned_fault(qbo, kind, options, outcome, applied):
    """The second matching request is hit, the first and third are not; what is applied is as the kind says."""
    body = qbo.invoice_body(qbo.customer(), qbo.line("1.00"))
    qbo.control.fault(kind, method="POST", path="/invoice", nth=2, **options)
    assert qbo.post("invoice", body).status == 200
    assert _outcome(qbo, body) == outcome
    deadline = time.monotonic() + 5
    while _count_patiently(qbo) != 1 + applied and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _count(qbo) == 1 + applied
    assert qbo.post("invoice", body).status == 200
    hit = [row for row in qbo.control.requests() if row["fault"]]
    assert [(row["fault"], row["applied"]) for row in hit] == [(kind, bool(applied))]


def _outcome(qbo, body):
    headers = {"Authorization": f"Bearer {qbo.token}", "Accept": "application/json"}
    url = f"{qbo.url}/v3/company/{qbo.realm}/invoice"
    try:
        return requests.post(url, json=body, headers=headers, timeout=0.3).status_code
    except requests.Timeout:
        return "timeout"
    except requests.RequestException:
        return "broken"


def _count_patiently(qbo):
    try:
        return _count(qbo)
    except requests.ConnectionError:  # the listener is closed for a moment
        return -1


def test_a_refused_connection_is_refused_by_the_kernel(qbo):
    """After `refuse` strikes, new connections fail at once until the time is over."""
    qbo.control.fault("refuse", seconds=0.3)
    with pytest.raises(requests.ConnectionError):
        requests.get(qbo.url + "/v3/company/1/query", timeout=1)
    port = int(qbo.url.rsplit(":", 1)[1])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and _refused(port):
        time.sleep(0.02)
    assert not _refused(port)


def _refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def test_a_fault_page_is_html_and_a_429_tells_when(qbo):
    """The gateway's page ignores Accept; the planned 429 carries the vendor's body and the header asked for."""
    qbo.control.fault("html", path="/preferences", status=502)
    page = qbo.get("preferences")
    assert (page.status, page.headers["content-type"].split(";")[0]) == (502, "text/html")
    qbo.control.fault("429", path="/preferences", retry_after=7)
    throttled = qbo.get("preferences")
    assert (throttled.code, throttled.headers["Retry-After"]) == ("3001", "7")
    qbo.control.fault("401", path="/preferences")
    assert qbo.get("preferences").body["fault"]["type"] == "AUTHENTICATION"


def test_the_request_log_keeps_no_secret(qbo):
    """The log has method, path, status, timings and bodies, but neither tokens nor keys."""
    qbo.refresh()
    qbo.customer("Logged")
    rows = qbo.control.requests()
    assert {"method", "path", "status", "ms", "at", "body"} <= set(rows[-1])
    assert "Logged" in rows[-1]["body"]
    text = json.dumps(rows, default=str)
    assert qbo.token not in text
    assert "RT-sandbox-0001" not in text
    assert "sandbox-secret" not in text


def test_a_seed_goes_through_the_api_and_gives_ids_by_name(qbo):
    """References may be names, payments may name invoices by number; a mistake names the object and keeps nothing."""
    accounts = {"IncomeAccountRef": {"name": "Sales of Product Income"}, "ExpenseAccountRef": {"name": "Cost of sales"}}
    detail = {"ItemRef": {"name": "Backup"}, "TaxCodeRef": {"name": "20.0% S"}}
    line = {"DetailType": "SalesItemLineDetail", "Amount": "10.00", "SalesItemLineDetail": detail}
    entities = {
        "Customer": [{"DisplayName": "Acme"}],
        "Item": [{"Name": "Backup", **accounts}],
        "Invoice": [{"DocNumber": "S-1", "CustomerRef": {"name": "Acme"}, "Line": [line]}],
        "Payment": [
            {
                "CustomerRef": {"name": "Acme"},
                "TotalAmt": 5,
                "Line": [{"Amount": 5, "LinkedTxn": [{"TxnNumber": "S-1"}]}],
            }
        ],
    }
    ids = qbo.control.seed({"entities": entities})["ids"]
    assert qbo.read("Invoice", ids["Invoice"]["S-1"])["Balance"] == 7
    with pytest.raises(RuntimeError, match="Invoice 2: 6140"):
        qbo.control.seed(
            {"entities": {"Invoice": [{**entities["Invoice"][0], "DocNumber": "S-2"}, entities["Invoice"][0]]}}
        )
    assert _count(qbo) == 1


def test_reset_and_setup_of_a_company(qbo):
    """Reset forgets everything and may set up the company anew; an unknown setting is refused."""
    qbo.invoice(qbo.customer())
    setup = {
        "CompanyName": "New",
        "VAT": False,
        "CustomTxnNumbers": False,
        "MultiCurrency": True,
        "BookCloseDate": "2026-01-31",
    }
    qbo.control.post("reset", {"company": setup})
    qbo.connect()
    preferences = qbo.get("preferences").body["Preferences"]
    assert preferences["CurrencyPrefs"]["MultiCurrencyEnabled"] is True
    assert preferences["TaxPrefs"]["UsingSalesTax"] is False
    assert _count(qbo) == 0
    with pytest.raises(RuntimeError, match="no company setting 'Nonsense'"):
        qbo.control.post("reset", {"company": {"Nonsense": 1}})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("switches", {"nonsense": 1}),
        ("switches", {"retry_after": "maybe"}),
        ("switches", {"limits": "yes"}),
        ("faults", {"kind": "nonsense"}),
        ("faults", {"kind": "delay", "nth": 0}),
        ("clock", {"now": "yesterday"}),
        ("clock", {"advance_seconds": 1e300}),
        ("deeds", {"deed": "nonsense"}),
        ("deeds", {}),
        ("deeds", {"deed": "record_payment", "invoice": "none"}),
        ("seed", {"entities": {"Nonsense": []}}),
        ("seed", {"realm": "none"}),
        ("rates", {"rates": {"USD": {"soon": 1}}}),
    ],
)
def test_control_says_what_is_wrong(qbo, path, body):
    """A mistake in a control request is a 400 with a sentence."""
    with pytest.raises(RuntimeError, match="400"):
        qbo.control.post(path, body)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _start(folder, port):
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(folder), str(port)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    url = process.stdout.readline().strip()
    assert url
    return process, url


def test_a_killed_simulator_goes_on_with_every_acknowledged_write(tmp_path):
    """SIGKILL loses nothing that was answered: books, tokens, clock, switches and request ids survive."""
    from sandbox.control import Control

    port = _free_port()
    process, url = _start(tmp_path, port)
    token = {"grant_type": "refresh_token", "refresh_token": "RT-sandbox-0001"}
    access = requests.post(
        url + "/oauth2/v1/tokens/bearer", auth=("sandbox-client", "sandbox-secret"), data=token, timeout=5
    )
    headers = {"Authorization": "Bearer " + access.json()["access_token"], "Accept": "application/json"}
    base = f"{url}/v3/company/9341453000000001"
    control = Control(url)
    control.switches(limits=False)
    control.set_clock("2026-11-20T09:00:00Z")
    control.post("clock", {"frozen": True})
    made = [
        requests.post(f"{base}/customer?requestid=r{n}", json={"DisplayName": f"C{n}"}, headers=headers, timeout=5).text
        for n in range(20)
    ]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process, url = _start(tmp_path, port)
    try:
        query = {"query": "select count(*) from Customer"}
        count = requests.get(f"{base}/query", params=query, headers=headers, timeout=5).json()
        again = requests.post(f"{base}/customer?requestid=r7", json={"DisplayName": "C7"}, headers=headers, timeout=5)
        assert count["QueryResponse"]["totalCount"] == 20
        assert again.text == made[7]
        assert Control(url).clock().startswith("2026-11-20T09:00:00"), "a frozen clock stands still"
        assert Control(url).get("switches")["limits"] is False
    finally:
        process.kill()
        process.wait()


def test_a_thousand_invoices_a_second_in_batches(qbo):
    """30 invoices a batch: over 300 a second even on a busy machine, 1,000 and more on a free core."""
    customer, item = qbo.customer(), qbo.item()
    line = qbo.line("10.00", ItemRef={"value": item})
    best = 0.0
    for turn in range(5):
        items = [
            {"bId": str(n), "operation": "create", "Invoice": qbo.invoice_body(customer, line, number=f"{turn}-{n}")}
            for n in range(30)
        ]
        began = time.perf_counter()
        assert all("Invoice" in row for row in qbo.batch(*items, requestid=f"t{turn}").body["BatchItemResponse"])
        best = max(best, 30 / (time.perf_counter() - began))
    assert best > 300


def test_twenty_thousand_invoices_are_seeded_and_paged_without_a_stall(qbo):
    """A large company is there in seconds, its last page as quick as its first, and its books add up."""
    began = time.perf_counter()
    qbo.control.seed({"synthetic": {"invoices": 20_000, "customers": 100}})
    assert time.perf_counter() - began < 10
    for start in (1, 19_001):
        began = time.perf_counter()
        where = "MetaData.LastUpdatedTime >= '2026-01-01'"
        text = f"select * from Invoice where {where} startposition {start} maxresults 1000"
        rows = qbo.rows(text, "Invoice")
        assert len(rows) == 1000
        assert time.perf_counter() - began < 2
    assert all(
        row["TotalAmt"] == row["Balance"] == sum(line["Amount"] for line in row["Line"][:1]) * 12 / 10 for row in rows
    )
    customers = qbo.rows("select * from Customer", "Customer")
    assert sum(row["Balance"] for row in customers) == qbo.read("Account", "3")["CurrentBalance"]


# -- fuzz

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["1", "6", "2026-11-20", "", "-1", "1e400", "٣"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "Id",
                    "SyncToken",
                    "sparse",
                    "DisplayName",
                    "Name",
                    "CustomerRef",
                    "value",
                    "name",
                    "Line",
                    "Amount",
                    "DetailType",
                    "SalesItemLineDetail",
                    "Qty",
                    "UnitPrice",
                    "TaxCodeRef",
                    "ItemRef",
                    "LinkedTxn",
                    "TxnId",
                    "TxnType",
                    "TotalAmt",
                    "TxnDate",
                    "DocNumber",
                    "BillEmail",
                    "Address",
                    "Active",
                    "ParentRef",
                    "Job",
                    "IncomeAccountRef",
                    "ExpenseAccountRef",
                    "AccountType",
                    "DepositToAccountRef",
                    "DiscountLineDetail",
                    "DiscountPercent",
                    "PercentBased",
                    "GlobalTaxCalculation",
                    "CurrencyRef",
                    "ExchangeRate",
                    "TxnTaxDetail",
                    "TotalTax",
                    "SalesTermRef",
                    "Deposit",
                    "TaxInclusiveAmt",
                    "bId",
                    "operation",
                    "Invoice",
                    "Query",
                    "BatchItemRequest",
                    "optionsData",
                    "TaxCode",
                    "TaxRateDetails",
                    "TaxRateName",
                    "RateValue",
                    "Type",
                    "PrivateNote",
                    "MetaData",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)
PATHS = [
    "invoice",
    "payment",
    "customer",
    "item",
    "account",
    "creditmemo",
    "deposit",
    "vendor",
    "employee",
    "batch",
    "taxservice/taxcode",
    "invoice/1/send",
    "query",
    "preferences",
    "x",
]
FUZZ = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "40")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def fuzzed(qbo):
    customer = qbo.customer()
    invoice = qbo.invoice(customer)
    qbo.made("Payment", qbo.payment_body(customer, 10, (invoice["Id"], 5, "Invoice")))
    qbo.item()
    return qbo


def _sane(answer):
    assert answer.status in (200, 400, 404), answer.text
    assert "Traceback" not in answer.text
    return answer


@FUZZ
@given(
    path=st.sampled_from(PATHS),
    body=JSON,
    operation=st.sampled_from(["", "update", "delete", "void", "void&include=void", "x"]),
)
def test_no_body_breaks_the_simulator(fuzzed, path, body, operation):
    """Any JSON to any path is answered with 200, 400 or 404, never with a 500."""
    query = f"?operation={operation}" if operation else ""
    _sane(fuzzed.call("POST", path + query, json.dumps(body), headers={"Content-Type": "application/json"}))


@FUZZ
@given(
    change=st.dictionaries(
        st.sampled_from(
            [
                "TxnDate",
                "DueDate",
                "Line",
                "TotalAmt",
                "ExchangeRate",
                "Deposit",
                "CustomerRef",
                "SalesTermRef",
                "TxnTaxDetail",
                "BillEmail",
                "CustomerMemo",
                "GlobalTaxCalculation",
            ]
        ),
        JSON,
        max_size=4,
    ),
    path=st.sampled_from(["invoice", "payment", "creditmemo"]),
)
def test_no_change_to_a_good_body_breaks_it(fuzzed, change, path):
    """A good document with some fields replaced by anything at all is accepted or refused, never a 500."""
    good = fuzzed.invoice_body("1", fuzzed.line("10.00")) if path != "payment" else fuzzed.payment_body("1", 5)
    _sane(fuzzed.call("POST", path, json.dumps({**good, **change}), headers={"Content-Type": "application/json"}))


@FUZZ
@given(
    raw=st.binary(max_size=60),
    kind=st.sampled_from(["application/json", "application/text", "text/xml", ""]),
    path=st.sampled_from(PATHS),
)
def test_no_bytes_break_it(fuzzed, raw, kind, path):
    """Bytes that are no JSON, no UTF-8, no query are refused."""
    _sane(fuzzed.call("POST", path, raw, headers={"Content-Type": kind}))


WORDS = [
    "select",
    "*",
    "from",
    "Invoice",
    "Customer",
    "where",
    "and",
    "in",
    "like",
    "orderby",
    "startposition",
    "maxresults",
    "count",
    "(",
    ")",
    ",",
    "=",
    ">",
    "<=",
    "'1'",
    "'x\\'y'",
    "Id",
    "DocNumber",
    "TotalAmt",
    "TxnDate",
    "Active",
    "true",
    "0",
    "1",
    "-5",
    "99999999999",
    "MetaData.LastUpdatedTime",
    "'2026-11-20'",
    "%",
    "'",
    "\\",
    "'1e999'",
    "'NaN'",
]


@FUZZ
@given(words=st.lists(st.sampled_from(WORDS) | st.text(max_size=5), max_size=14))
def test_no_query_breaks_it(fuzzed, words):
    """Any text as a query is answered or refused with 4000 or 4001."""
    for text in (" ".join(words), "select * from Invoice where " + " ".join(words)):
        answer = _sane(fuzzed.query(text))
        assert answer.status == 200 or answer.code in ("4000", "4001")


@FUZZ
@given(
    clause=st.sampled_from(["startposition", "maxresults", "where Id =", "where TotalAmt ="]), text=st.text(max_size=6)
)
@example(clause="startposition", text="--5")
@example(clause="maxresults", text="²")
def test_no_number_in_a_query_breaks_it(fuzzed, clause, text):
    """Where a number belongs, anything else is 4000 or 4001."""
    answer = _sane(fuzzed.query(f"select * from Invoice {clause} {text}"))
    assert answer.status == 200 or answer.code in ("4000", "4001")


OAUTH = ["/connect/oauth2", "/oauth2/v1/tokens/bearer", "/v2/oauth2/tokens/revoke", "/v1/openid_connect/userinfo"]
FORM = st.dictionaries(
    st.sampled_from(["client_id", "redirect_uri", "state", "scope", "code", "grant_type", "refresh_token", "token"])
    | st.sampled_from(["response_type", "realm", "decision"]),
    st.sampled_from(
        ["sandbox-client", "authorization_code", "refresh_token", "code", "connect", "https://[", "\r\nX: 1"]
    )
    | st.sampled_from(["http://localhost:9/cb", "com.intuit.quickbooks.accounting", "RT-sandbox-0001"])
    | st.text(max_size=8),
)


@FUZZ
@given(
    path=st.sampled_from(OAUTH),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    form=FORM,
    how=st.sampled_from(["params", "data", "json", "files"]),
    authorization=st.sampled_from(
        ["", "Basic", "Basic !", "Basic " + "/" * 8, "Bearer x", "Basic c2FuZGJveC1jbGllbnQ6"]
    ),
)
@example(
    path="/connect/oauth2",
    method="GET",
    form={"client_id": "sandbox-client", "redirect_uri": "https://["},
    how="params",
    authorization="",
)
def test_nothing_sent_to_oauth_breaks_it(fuzzed, path, method, form, how, authorization):
    """Any form to any OAuth endpoint is answered with a redirect, a page, JSON or a refusal; always with a tid."""
    sent = {"files": {"a": ("a", repr(form))}} if how == "files" else {how: form}
    headers = {"Authorization": authorization}
    answer = fuzzed.session.request(
        method, fuzzed.url + path, headers=headers, allow_redirects=False, timeout=5, **sent
    )
    assert answer.status_code in (200, 302, 400, 401, 405), answer.text
    assert "Traceback" not in answer.text
    assert "X" not in answer.headers, "no header is smuggled in through a redirect"


@FUZZ
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]),
    path=st.text(alphabet="ab/1%.~ü?&=\x7f", max_size=12),
    accept=st.sampled_from(["", "*/*", "application/json", "text/xml"]),
    token=st.sampled_from(["", "Bearer", "Bearer x", "Bearer " + "x" * 4000, "Basic eA=="]),
)
def test_no_path_or_header_breaks_it(fuzzed, method, path, accept, token):
    """Any method and path under the API, with any token, is 4xx in a shape that clients know, with an intuit_tid."""
    headers = {"Accept": accept, "Authorization": token}
    url = f"{fuzzed.url}/v3/company/{path}"
    answer = fuzzed.session.request(method, url, headers=headers, timeout=5, allow_redirects=False)
    assert answer.status_code in (400, 401, 403, 404, 405), answer.text
    assert answer.headers["intuit_tid"]


def test_every_answer_has_a_tid(qbo):
    """Successes, refusals, wrong paths and methods, tokens: each with an intuit_tid of its own."""
    answers = [
        qbo.get("preferences"),
        qbo.get("invoice/99"),
        qbo.get("nothing/here"),
        qbo.call("PUT", "invoice"),
        qbo.refresh(),
        qbo.refresh("nonsense"),
        qbo.session.get(qbo.url + "/nowhere"),
    ]
    tids = {answer.headers["intuit_tid"] for answer in answers}
    assert len(tids) == len(answers)


def test_an_error_of_the_simulator_itself_is_a_10000_without_a_trace(qbo, monkeypatch):
    """Should its own code fail, the client gets HTTP 500 with a SystemFault; the trace stays in the server's log."""
    monkeypatch.setattr(type(qbo.state.books().company), "preferences", lambda _company: 1 / 0)
    answer = qbo.get("preferences")
    assert (answer.status, answer.code, answer.body["Fault"]["type"]) == (500, "10000", "SystemFault")
    assert "ZeroDivision" not in answer.text
    assert answer.headers["intuit_tid"]
    qbo.session.close()
    assert qbo.get("companyinfo/" + qbo.realm).status == 200


@FUZZ
@given(entities=st.text(max_size=20) | st.just("Invoice"), since=st.text(max_size=25) | st.datetimes().map(str))
def test_no_cdc_breaks_it(fuzzed, entities, since):
    """Any parameters of change data capture are answered or refused."""
    _sane(fuzzed.get("cdc", entities=entities, changedSince=since))


@FUZZ
@given(
    path=st.sampled_from(["switches", "faults", "clock", "deeds", "seed", "rates", "companies", "tokens", "webhooks"]),
    body=JSON,
)
def test_no_control_request_breaks_it(fuzzed, path, body):
    """Any JSON to /_control is done or refused with 400."""
    answer = requests.post(f"{fuzzed.url}/_control/{path}", data=json.dumps(body), timeout=10)
    assert answer.status_code in (200, 400), answer.text
    fuzzed.control.post("faults/release", {})


def test_every_switch_stands_in_the_docs_with_its_default(qbo):
    """docs/quickbooks.md names every switch."""
    from pathlib import Path

    import sandbox

    text = (Path(sandbox.__file__).parents[2] / "docs" / "quickbooks.md").read_text()
    assert [name for name in qbo.control.get("switches") if f"`{name}`" not in text] == []
