"""Checklist 1 to 4 and 12 of the fact sheet: tokens, refusals, limits, request ids, wire quirks."""

from __future__ import annotations

import re
import threading
import xml.etree.ElementTree as ET
from decimal import Decimal

import pytest
import requests

from sandbox.quickbooks import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN

DAY = 86_400


def _xml(text):
    return ET.fromstring(text)  # noqa: S314 -- the simulator's own


def test_checklist_1_access_token_lives_an_hour(qbo):
    """An access token works for an hour of virtual time, then gives 401 code 3200."""
    assert qbo.get("companyinfo/" + qbo.realm).status == 200
    qbo.control.advance(3601)
    assert (qbo.get("preferences").status, qbo.get("preferences").code) == (401, "3200")


def test_checklist_1_refresh_token_rotates_after_a_day(qbo):
    """The refresh value stays for a day, then changes at the next refresh, and the old value is dead."""
    assert qbo.refresh().json()["refresh_token"] == REFRESH_TOKEN
    qbo.control.advance(DAY + 1)
    fresh = qbo.refresh().json()["refresh_token"]
    assert fresh != REFRESH_TOKEN
    dead = qbo.refresh()
    assert (dead.status_code, dead.json()["error"]) == (400, "invalid_grant")
    assert qbo.refresh(fresh).status_code == 200


@pytest.mark.parametrize(("idle_days", "status"), [(99, 200), (101, 400)])
def test_checklist_1_a_refresh_token_dies_after_100_idle_days(qbo, idle_days: int, status: int):
    """100 days without a refresh end the connection; each refresh renews the window."""
    qbo.control.advance(idle_days * DAY)
    assert qbo.refresh().status_code == status


def test_checklist_1_five_years_are_the_end(qbo):
    """Refreshing does not extend the five years from authorization; the opt-in header tells how long is left."""
    token, left = REFRESH_TOKEN, []
    for _ in range(19):
        answer = qbo.refresh(token, **{"x-include-refresh-token-hard-expires-in": "true"}).json()
        token = answer["refresh_token"]
        left.append(answer["x_refresh_token_hard_expires_in"])
        qbo.control.advance(96 * DAY)
    assert left[0] in (157_680_000, 157_679_999)
    assert left[1] < left[0]
    assert "x_refresh_token_hard_expires_in" not in qbo.refresh(token).json()
    qbo.control.advance(2 * DAY)
    assert qbo.refresh(token).json()["error"] == "invalid_grant"


def test_checklist_1_revoke_kills_both_tokens(qbo):
    """Revoking either token ends the pair: the API says 401, a refresh invalid_grant."""
    url = f"{qbo.url}/v2/oauth2/tokens/revoke"
    assert qbo.session.post(url, json={"token": qbo.token}, auth=(CLIENT_ID, CLIENT_SECRET)).status_code == 200
    assert qbo.get("preferences").status == 401
    assert qbo.refresh().json()["error"] == "invalid_grant"


def test_checklist_1_wrong_client(qbo):
    """Another app's token, an access token, and wrong keys are told apart as Intuit does."""
    qbo.control.post("clients", {"client_id": "other", "client_secret": "x", "environment": "production"})
    data = {"grant_type": "refresh_token", "refresh_token": REFRESH_TOKEN}
    other = qbo.session.post(f"{qbo.url}/oauth2/v1/tokens/bearer", auth=("other", "x"), data=data)
    assert (other.status_code, other.json()["error_description"]) == (400, "Incorrect Token type or clientID")
    assert qbo.refresh(qbo.token).json()["error_description"] == "Incorrect Token type or clientID"
    wrong = qbo.refresh(secret="nonsense")
    assert (wrong.status_code, wrong.json()) == (401, {"error": "invalid_client"})


def test_oauth_page_code_exchange_and_cancel(qbo):
    """The consent page sends code, state and realmId back; Cancel sends access_denied; a code works once."""
    redirect = "http://localhost:9/callback"
    params = {
        "client_id": CLIENT_ID,
        "response_type": "code",
        "scope": "com.intuit.quickbooks.accounting",
        "redirect_uri": redirect,
        "state": "s1",
    }
    page = qbo.session.get(f"{qbo.url}/connect/oauth2", params=params)
    assert "Connect" in page.text
    assert "Cancel" in page.text
    form = {name: params[name] for name in ("client_id", "redirect_uri", "state", "scope")}
    cancelled = _press(qbo, {**form, "decision": "cancel"})
    assert cancelled == f"{redirect}?error=access_denied&state=s1"
    target = _press(qbo, {**form, "decision": "connect", "realm": qbo.realm})
    code = re.search(r"code=([^&]+)", target)
    assert code
    assert f"realmId={qbo.realm}&state=s1" in target
    data = {"grant_type": "authorization_code", "code": code[1], "redirect_uri": redirect}
    first = qbo.session.post(f"{qbo.url}/oauth2/v1/tokens/bearer", auth=(CLIENT_ID, CLIENT_SECRET), data=data)
    assert first.json()["token_type"] == "bearer"
    again = qbo.session.post(f"{qbo.url}/oauth2/v1/tokens/bearer", auth=(CLIENT_ID, CLIENT_SECRET), data=data)
    assert again.json()["error"] == "invalid_grant"
    assert qbo.refresh(first.json()["refresh_token"]).status_code == 400, "a code used twice kills its tokens"


def _press(qbo, form: dict[str, str]) -> str:
    answer = qbo.session.post(f"{qbo.url}/connect/oauth2", data=form, allow_redirects=False)
    assert answer.status_code == 302
    return answer.headers["location"]


def test_oauth_page_refuses_what_it_must(qbo):
    """An unknown app or an unsafe redirect is never redirected to; a bad scope is told to the app."""
    base = {"client_id": CLIENT_ID, "response_type": "code", "state": "s", "redirect_uri": "https://app.example/cb"}
    page = f"{qbo.url}/connect/oauth2"
    assert qbo.session.get(page, params={**base, "client_id": "nobody"}).status_code == 400
    assert qbo.session.get(page, params={**base, "redirect_uri": "http://evil.example/"}).status_code == 400
    scope = qbo.session.get(page, params={**base, "scope": "nonsense"}, allow_redirects=False)
    assert scope.headers["location"] == "https://app.example/cb?error=invalid_scope&state=s"


def test_discovery_points_back_here(qbo):
    """The discovery documents name this server's endpoints."""
    for name in ("openid_configuration", "openid_sandbox_configuration/"):
        document = qbo.session.get(f"{qbo.url}/.well-known/{name}").json()
        assert document["token_endpoint"] == f"{qbo.url}/oauth2/v1/tokens/bearer"
        assert document["revocation_endpoint"] == f"{qbo.url}/v2/oauth2/tokens/revoke"


def test_checklist_2_gateway_shape_of_401(qbo):
    """401 comes in the lower-case envelope with epoch milliseconds."""
    qbo.token = "short"
    answer = qbo.get("preferences")
    assert answer.body["fault"]["type"] == "AUTHENTICATION"
    assert answer.body["fault"]["error"][0]["detail"] == "Malformed bearer token: too short or too long"
    assert answer.body["time"] > 10**12
    assert answer.body["batchItemResponse"] == []


def test_checklist_2_another_realm_or_environment_is_403_3100(qbo):
    """A token of another company, or of the other environment, gives 403 code 3100."""
    qbo.control.post("companies", {"realm": "123", "CompanyName": "Other"})
    qbo.realm = "123"
    assert (qbo.get("preferences").status, qbo.get("preferences").code) == (403, "3100")
    qbo.realm = "9341453000000001"
    qbo.control.switches(environment="production")
    assert (qbo.get("preferences").status, qbo.get("preferences").code) == (403, "3100")


def test_disconnecting_in_the_product_ends_everything(qbo):
    """After the bookkeeper disconnects the app, the API says 401 and the token endpoint invalid_grant."""
    qbo.control.deed("disconnect")
    assert qbo.get("preferences").status == 401
    assert qbo.refresh().json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("setting", "count", "wait", "batch"),
    [
        ({"requests_per_second": 3, "requests_per_minute": 0}, 3, 1, False),
        ({"requests_per_minute": 5, "requests_per_second": 0}, 5, 60, False),
        ({"batches_per_minute_app": 4, "requests_per_second": 0}, 4, 60, True),
        ({"batches_per_minute_realm": 4, "requests_per_second": 0}, 4, 60, True),
    ],
)
def test_checklist_3_limits(qbo, setting: dict[str, int], count: int, wait: int, batch: bool):
    """Each budget admits exactly its number, then 429 code 3001 until the window has moved on."""
    qbo.control.post("clock", {"frozen": True})
    qbo.control.switches(limits=True, **setting)
    ask = qbo.batch if batch else (lambda: qbo.get("preferences"))
    assert [ask().status for _ in range(count)] == [200] * count
    refused = ask()
    assert (refused.status, refused.code, refused.body["Fault"]["type"]) == (429, "3001", "SERVICE")
    assert "Retry-After" not in refused.headers
    qbo.control.advance(wait)
    assert ask().status == 200


def test_checklist_3_defaults_are_the_documented_limits(qbo):
    """500 a minute and realm, 10 a second, 40 and 120 batches a minute; a batch counts as one."""
    switches = qbo.control.get("switches")
    names = ("requests_per_minute", "requests_per_second", "batches_per_minute_app", "batches_per_minute_realm")
    assert [switches[name] for name in names] == [500, 10, 40, 120]
    assert (switches["batch_counts_as"], switches["retry_after"]) == ("one", "none")


def test_checklist_3_a_batch_may_count_as_its_items(qbo):
    """By switch, 30 items use up 30 of the 500."""
    qbo.control.post("clock", {"frozen": True})
    qbo.control.switches(limits=True, requests_per_minute=10, requests_per_second=0, batch_counts_as="items")
    items = [{"bId": str(n), "Query": "select * from Term"} for n in range(6)]
    assert [qbo.batch(*items).status for _ in range(2)] == [200, 429]


def test_checklist_3_concurrent_requests_are_a_switch(qbo):
    """By switch, a request that arrives while another is in work is refused with 429."""
    qbo.control.switches(concurrent_requests=1)
    assert qbo.get("preferences").status == 200
    qbo.control.fault("hang", path="/customer/")
    with pytest.raises(requests.Timeout):
        qbo.call("GET", "customer/1", timeout=0.05)
    qbo.control.fault("delay", path="/item/", seconds=0.5)
    slow = threading.Thread(target=lambda: qbo.call("GET", "item/1"))
    slow.start()
    while not any("/item/" in row["path"] for row in qbo.control.requests()):
        pass
    other = requests.get(
        f"{qbo.url}/v3/company/{qbo.realm}/preferences",
        headers={"Authorization": f"Bearer {qbo.token}", "Accept": "application/json"},
        timeout=5,
    )
    slow.join()
    assert other.status_code == 429


@pytest.mark.parametrize(("switch", "pattern"), [("seconds", r"\d+"), ("date", r"\w{3}, \d\d \w{3} 2026 .* GMT")])
def test_checklist_3_retry_after_is_a_switch(qbo, switch: str, pattern: str):
    """Retry-After comes only when asked for, in either form."""
    qbo.control.post("clock", {"frozen": True})
    qbo.control.switches(limits=True, requests_per_minute=1, retry_after=switch)
    qbo.get("preferences")
    assert re.fullmatch(pattern, qbo.get("preferences").headers["Retry-After"])


def test_checklist_3_only_successful_reads_are_metered(qbo):
    """Reads, queries and CDC that succeed count; writes, refusals and OAuth do not; a quota gives 429."""
    customer = qbo.customer()
    for path in (f"customer/{customer}", "customer/999", "preferences"):
        qbo.get(path)
    qbo.query("select * from Customer")
    qbo.query("select nonsense")
    assert qbo.control.get("metered")["reads"] == 3
    qbo.control.switches(metered_quota=3)
    assert (qbo.get("preferences").status, qbo.get("preferences").code) == (429, "3001")


def test_checklist_4_a_repeated_request_id_gets_the_first_answer(qbo):
    """The same requestid gives the same bytes and makes nothing; another id makes another invoice."""
    body = qbo.invoice_body(qbo.customer(), qbo.line("10.00"))
    first, again = (qbo.post("invoice", body, requestid="r-1") for _ in range(2))
    assert first.text == again.text
    qbo.post("invoice", body, requestid="r-2")
    assert qbo.query("select count(*) from Invoice").body["QueryResponse"]["totalCount"] == 2


def test_checklist_4_batch_replay_by_request_id_and_bid(qbo):
    """In a batch, (requestid, bId) is the key: same pair replays, a new bId is a new operation."""
    body = qbo.invoice_body(qbo.customer(), qbo.line("10.00"))
    items = [{"bId": bid, "operation": "create", "Invoice": body} for bid in ("1", "2")]
    first = qbo.batch(*items, requestid="b-1").body["BatchItemResponse"]
    again = qbo.batch(items[1], {**items[0], "bId": "3"}, requestid="b-1").body["BatchItemResponse"]
    assert again[0] == first[1]
    assert again[1]["Invoice"]["Id"] not in {row["Invoice"]["Id"] for row in first}
    assert qbo.query("select count(*) from Invoice").body["QueryResponse"]["totalCount"] == 3


@pytest.mark.parametrize(
    ("request_id", "bid", "code"),
    [("r" * 36, "1" * 10, None), ("r" * 37, "1", "2130"), ("r" * 36, "1" * 15, "6000"), ("r" * 30, "1" * 11, "2130")],
)
def test_checklist_4_lengths_in_a_batch(qbo, request_id: str, bid: str, code: str | None):
    """36 for the id, 10 for the bId, 50 together."""
    answer = qbo.batch({"bId": bid, "Query": "select * from Term"}, requestid=request_id)
    assert answer.status == (200 if code is None else 400)
    assert code is None or answer.code == code


def test_checklist_4_length_of_a_single_id(qbo):
    """50 characters are the most; the refusal tells the length."""
    body = {"DisplayName": "A"}
    assert qbo.post("customer", body, requestid="r" * 50).status == 200
    refused = qbo.post("customer", body, requestid="r" * 51)
    assert refused.code == "6000"
    assert "which is 51 characters" in refused.detail


def test_request_ids_retention_and_changed_body_are_switches(qbo):
    """After the retention the id means nothing; a changed body replays, or is refused by switch."""
    qbo.post("customer", {"DisplayName": "A"}, requestid="x")
    assert qbo.post("customer", {"DisplayName": "B"}, requestid="x").body["Customer"]["DisplayName"] == "A"
    qbo.control.switches(replay_changed_body="fault")
    assert qbo.post("customer", {"DisplayName": "B"}, requestid="x").code == "600"
    qbo.control.switches(replay_retention_seconds=60, access_token_seconds=99999)
    qbo.control.advance(61)
    assert qbo.post("customer", {"DisplayName": "B"}, requestid="x").body["Customer"]["DisplayName"] == "B"


@pytest.mark.parametrize("failures", [False, True])
def test_whether_a_refusal_is_replayed_is_a_switch(qbo, failures: bool):
    """By default a refused write runs again under its id; by switch the refusal is repeated."""
    qbo.control.switches(replay_failures=failures)
    body = qbo.invoice_body(customer := qbo.customer(), qbo.line("1.00"), number="N-1")
    qbo.invoice(customer, number="N-1")
    assert qbo.post("invoice", body, requestid="again").code == "6140"
    qbo.control.deed("delete_invoice", invoice="N-1")
    assert qbo.post("invoice", body, requestid="again").status == (400 if failures else 200)


@pytest.mark.parametrize("accept", [None, "*/*", "application/xml", "text/html"])
def test_checklist_12_xml_unless_json_is_asked_for(qbo, accept: str | None):
    """Without an Accept header that names JSON the answer is XML, faults too; intuit_tid is always there."""
    fault = qbo.call("GET", "invoice/999", accept=accept)
    assert fault.headers["intuit_tid"]
    root = _xml(fault.text)
    error = root.find(".//{*}Error")
    assert root.tag.endswith("IntuitResponse")
    assert error is not None
    assert error.get("code") == "610"
    good = _xml(qbo.call("GET", "preferences", accept=accept).text)
    assert good.find(".//{*}CustomTxnNumbers").text == "true"


def test_checklist_12_a_fault_may_come_with_200_or_in_lower_case(qbo):
    """By switch: validation faults with HTTP 200, and in the gateway's casing."""
    qbo.control.switches(fault_with_200=True)
    assert (qbo.get("invoice/999").status, qbo.get("invoice/999").code) == (200, "610")
    qbo.control.switches(fault_casing="lower")
    assert qbo.get("invoice/999").body["fault"]["error"][0]["code"] == "610"


def test_checklist_12_unknown_fields_and_short_numbers(qbo):
    """By switch: properties nobody knows, and `0` in place of `0.00`; values stay the same."""
    qbo.control.switches(extra_fields=True, short_numbers=True)
    customer = qbo.get("customer/" + qbo.customer())
    assert "SimulatedNewField" in customer.body["Customer"]
    assert '"Balance":0,' in customer.text
    qbo.control.switches(extra_fields=False, short_numbers=False)
    assert '"Balance":0.00' in qbo.get("customer/1").text
    assert qbo.get("customer/1").body["Customer"]["Balance"] == Decimal(0)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "nonsense/1", 404),
        ("POST", "nonsense", 404),
        ("POST", "taxcode", 400),
        ("POST", "invoice?operation=send", 400),
    ],
)
def test_paths_that_lead_nowhere(qbo, method: str, path: str, status: int):
    """An unknown path is 404, an operation the entity does not have 400 code 500."""
    answer = qbo.call(method, path, {} if method == "POST" else None)
    assert (answer.status, answer.code) == (status, "500")


def test_minor_versions_are_all_75(qbo):
    """Minorversion below 75, or absent, is answered as 75."""
    answers = [
        qbo.get("preferences", **params).body["Preferences"]
        for params in ({}, {"minorversion": "40"}, {"minorversion": "75"})
    ]
    assert answers[0] == answers[1] == answers[2]


def test_an_ended_subscription_can_be_read_but_not_written(qbo):
    """6190 on every write, reads go on."""
    customer = qbo.customer()
    qbo.control.deed("set_preferences", Subscribed=False)
    assert qbo.post("customer", {"DisplayName": "B"}).code == "6190"
    assert qbo.get(f"customer/{customer}").status == 200


def test_e_mail_and_pdf(qbo):
    """Sending marks the invoice; the PDF is one; a sandbox sends 40 mails a day."""
    invoice = qbo.invoice(qbo.customer())
    sent = qbo.call("POST", f"invoice/{invoice['Id']}/send?sendTo=ap@acme.example").body["Invoice"]
    assert (sent["EmailStatus"], sent["SyncToken"]) == ("EmailSent", "1")
    assert qbo.call("GET", f"invoice/{invoice['Id']}/pdf").text.startswith("%PDF-1.4")
    assert qbo.call("POST", f"invoice/{invoice['Id']}/send").status == 200, "the address is known now"
    assert qbo.key(sent)["SyncToken"] == "1"


@pytest.mark.parametrize(
    ("redirect", "registered", "status"),
    [
        ("http://localhost:9/cb", "*", 200),
        ("https://app.example/cb", "*", 200),
        ("http://127.0.0.1:9/cb", "*", 400),
        ("https://127.0.0.1/cb", "*", 400),
        ("http://app.example/cb", "*", 400),
        ("https://[", "*", 400),
        ("https://app.example/cb", "https://app.example/cb https://app.example/other", 200),
        ("https://app.example/cb/", "https://app.example/cb", 400),
    ],
)
def test_where_the_consent_page_sends_people(qbo, redirect, registered, status):
    """Https or localhost for development keys, no IP address, and exactly what the app registered."""
    client = {"client_id": "app", "client_secret": "s", "environment": "sandbox", "redirect_uris": registered}
    qbo.control.post("clients", client)
    params = {"client_id": "app", "response_type": "code", "state": "s", "redirect_uri": redirect}
    page = qbo.session.get(
        f"{qbo.url}/connect/oauth2",
        params={**params, "scope": "com.intuit.quickbooks.accounting"},
        allow_redirects=False,
    )
    assert page.status_code == status


def test_localhost_is_for_development_keys_only(qbo):
    """A production app must redirect to https."""
    qbo.control.post("clients", {"client_id": "live", "client_secret": "s", "environment": "production"})
    params = {"client_id": "live", "response_type": "code", "state": "s", "redirect_uri": "http://localhost:9/cb"}
    assert qbo.session.get(f"{qbo.url}/connect/oauth2", params=params).status_code == 400


def test_a_code_is_good_for_ten_minutes_and_for_its_app(qbo):
    """Later, with another redirect, or for another app, the exchange is invalid_grant."""
    redirect = "http://localhost:9/cb"
    form = {"client_id": CLIENT_ID, "redirect_uri": redirect, "scope": "com.intuit.quickbooks.accounting", "state": "s"}
    qbo.control.post("clients", {"client_id": "other", "client_secret": "x"})

    def exchanged(app=(CLIENT_ID, CLIENT_SECRET), later=0, to=redirect):
        code = re.search("code=([^&]+)", _press(qbo, {**form, "decision": "connect"}))[1]
        assert len(code) <= 512
        qbo.control.advance(later)
        data = {"grant_type": "authorization_code", "code": code, "redirect_uri": to}
        return qbo.session.post(f"{qbo.url}/oauth2/v1/tokens/bearer", auth=app, data=data)

    assert exchanged(later=599).status_code == 200
    for answer in (exchanged(later=601), exchanged(app=("other", "x")), exchanged(to="http://localhost:9/other")):
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
