"""The OpsMerge simulator's `/_control`, its faults, its persistence, and that nothing makes it fall over."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.opsmerge import OpsMergeState, create_app
from sandbox.opsmerge.deeds import perform, seed
from sandbox.server import CannotServeError, running

AUTHORISED = {"Authorization": "Bearer om_sandbox_key"}
SERVE = """
import sys
from sandbox.opsmerge import OpsMergeState, create_app
from sandbox.server import running
import time
with running(create_app(OpsMergeState(sys.argv[1]))) as url:
    print(url, flush=True)
    time.sleep(60)
"""


def test_fixture_is_cheap():
    """A simulator is up, has answered and is down again in less than 150 ms."""
    took = []
    for _ in range(3):
        started = time.perf_counter()
        with running(create_app(OpsMergeState())) as url:
            assert requests.get(url + "/api/v1/auth/me", headers=AUTHORISED, timeout=5).ok
        took.append(time.perf_counter() - started)
    assert min(took) < 0.15


def test_reset_forgets_everything(tenant):
    """After a reset the tenant is empty, in real time, without faults, switches or log."""
    tenant.invoice()
    tenant.api.get("/clients")
    tenant.control.switches(requests_per_minute=1)
    tenant.control.fault("401")
    tenant.control.reset()
    assert tenant.control.requests() == []
    assert tenant.control.get("state") == {"documents": {"tax_code": 5}, "notes": {}}
    assert tenant.control.get("switches")["requests_per_minute"] is None
    assert tenant.api.get("/psa/invoices") == {"data": [], "next_cursor": None}
    assert abs(time.time() - _epoch(tenant.control.clock())) < 5


def _epoch(text):
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("deeds", {"deed": "dance"}, "dance"),
        ("deeds", {"deed": "open_invoice"}, "invoice_id or number"),
        ("deeds", {"deed": "open_invoice", "number": "INV-1999-0001"}, "INV-1999-0001"),
        ("deeds", {"deed": "create_invoice"}, "client_id"),
        ("deeds", {"deed": "create_invoice", "client_id": "cl_9", "lines": []}, "no such client"),
        ("deeds", {"deed": "create_invoice", "client_id": "cl_1", "lines": [{"quantity": 1}]}, "lines[0].unit_price"),
        ("deeds", {"deed": "create_invoice", "client_id": "cl_1", "lines": 5}, "lines"),
        ("deeds", {"deed": "create_invoice", "client_id": "cl_1", "lines": [], "terms_days": 9999}, "terms_days"),
        ("deeds", {"deed": "save_client"}, "name"),
        ("deeds", {"deed": "void_payment"}, "payment_id"),
        ("seed", {"vendors": []}, "vendors"),
        ("seed", {"clients": 5}, "clients"),
        ("seed", {"clients": [5]}, "object"),
        ("seed", {"clients": [{"id": 5, "name": "x"}]}, "id"),
        ("seed", {"clients": [{"name": "x", "billing_address": {"street": "y"}}]}, "billing_address.street"),
        ("seed", {"tax_codes": [{"name": "x", "rate": "20"}]}, "rate"),
        ("seed", {"keys": {"om_a": ["everything"]}}, "om_a"),
        ("seed", {"agreements": [{"client_id": "cl_1"}]}, "lines"),
        ("switches", {"gravity": False}, "gravity"),
        ("switches", {"requests_per_minute": "many"}, "many"),
        ("switches", {"retry_after": 7}, "retry_after"),
        ("clock", {"now": "noon"}, "noon"),
        ("faults", {"kind": "earthquake"}, "kind"),
    ],
)
def test_control_refuses_clearly(tenant, path, body, word):
    """What `/_control` cannot do is refused with the reason."""
    with pytest.raises(RuntimeError, match=r": 4\d\d ") as refused:
        tenant.control.post(path, body)
    assert word in str(refused.value)


def test_log_holds_no_key(tenant):
    """The request log shows method, path, status and body, and never the key."""
    tenant.api.call("PUT", "/psa/invoices/inv_1/accounting", {})
    row = tenant.control.requests()[-1]
    assert (row["method"], row["path"], row["status"], row["body"]) == (
        "PUT",
        "/api/v1/psa/invoices/inv_1/accounting",
        422,
        "{}",
    ) or row["status"] == 404
    assert "om_sandbox_key" not in str(tenant.control.requests())


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [("401", 401, "invalid_api_key"), ("429", 429, "rate_limited"), ("5xx_before", 503, "unavailable")],
)
def test_planned_refusals(tenant, kind, status, code):
    """A planned refusal comes in OpsMerge's own shape, once."""
    tenant.control.fault(kind)
    answered, body, headers = tenant.api.call("GET", "/auth/me")
    assert (answered, body["error"]["code"]) == (status, code)
    assert (headers.get("Retry-After") == "30") is (kind == "429")
    assert tenant.api.call("GET", "/auth/me")[0] == 200


@pytest.mark.parametrize(("kind", "applied"), [("cut_before", False), ("cut_after", True)])
def test_cut_connection(tenant, kind, applied):
    """A connection cut before or after the write leaves the write undone or done; the same PUT again heals both."""
    invoice = tenant.invoice()
    path = f"/psa/invoices/{invoice['id']}/payments/a"
    body = {"amount": 120, "currency": "GBP", "paid_on": "2026-10-05"}
    tenant.control.fault(kind, method="PUT")
    with pytest.raises(requests.ConnectionError):
        tenant.api.call("PUT", path, body)
    assert (tenant.read(invoice)["status"] == "paid") is applied
    tenant.api.put(path, body)
    assert tenant.read(invoice)["amount_paid"] == 120


@pytest.mark.parametrize(
    ("kind", "options", "outcome", "applied"),
    [
        ("refuse", {"seconds": 0.1}, "broken", False),
        ("delay", {"seconds": 0.01}, 200, True),
        ("hang", {}, "timeout", False),
        ("hang", {"after": True}, "timeout", True),
        ("cut_before", {}, "broken", False),
        ("cut_after", {}, "broken", True),
        ("5xx_before", {}, 503, False),
        ("5xx_before", {"status": 500, "html": True}, 500, False),
        ("5xx_after", {}, 504, True),
        ("html", {}, 502, False),
        ("html", {"after": True}, 502, True),
        ("truncated", {}, "broken", True),
        ("late", {}, "timeout", True),
        ("401", {}, 401, False),
        ("429", {"retry_after": 7}, 429, False),
        ("code", {"code": "missing_scope"}, 403, False),
        ("code", {"code": "not_found"}, 404, False),
        ("code", {"code": "conflict"}, 409, False),
        ("code", {"code": "validation_failed"}, 422, False),
        ("code", {"code": "internal_error"}, 500, False),
    ],
)
def test_every_planned_fault(tenant, kind, options, outcome, applied):
    """The second write is hit, the first and third are not; what is applied is as the kind says, and the log knows."""
    invoice = tenant.invoice()
    base = f"/psa/invoices/{invoice['id']}/payments/"
    body = {"amount": 1, "currency": "GBP", "paid_on": "2026-10-05"}
    tenant.control.fault(kind, method="PUT", path="/payments/", nth=2, **options)
    tenant.api.put(base + "a", body)
    assert _outcome(tenant, base + "b", body) == outcome
    paid = 1 + applied
    deadline = time.monotonic() + 5
    while _paid(tenant, invoice) != paid and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _paid(tenant, invoice) == paid
    tenant.api.put(base + "c", body)
    hit = [row for row in tenant.control.requests() if row["fault"]]
    assert [(row["fault"], row["applied"]) for row in hit] == [(kind, applied)]


def _outcome(tenant, path, body):
    try:
        return requests.put(tenant.api.url + path, json=body, headers=AUTHORISED, timeout=0.3).status_code
    except requests.Timeout:
        return "timeout"
    except requests.RequestException:
        return "broken"


def _paid(tenant, invoice):
    try:
        return tenant.read(invoice)["amount_paid"]
    except requests.ConnectionError:  # the listener is closed for a moment
        return -1


def test_every_kind_of_fault_is_tried_on_both_simulators(tenant):
    """The tables of both tests name every kind that the simulators explain."""
    kinds = set(tenant.control.get("faults")["kinds"])
    for file in (__file__, Path(__file__).parents[1] / "sandbox_quickbooks" / "test_qbo_sim_control.py"):
        text = Path(file).read_text("utf-8")
        assert {kind for kind in kinds if f'("{kind}", {{' not in text} == set()


@pytest.mark.parametrize(
    ("switch", "positions"),
    [
        ("requests_per_minute", {None: 200, 1: 429}),
        ("retry_after", {"seconds": "60", "date": "Thu, 01 Oct 2026 12:01:00 GMT", "none": None}),
        ("identical_put_moves_updated_at", {False: False, True: True}),
        ("refuse_overpayment", {False: 200, True: 409}),
    ],
)
def test_each_position_of_each_switch(tenant, switch, positions):
    """The default comes first; each position makes the simulator do this."""
    assert tenant.control.get("switches")[switch] == next(iter(positions))
    for number, (position, expected) in enumerate(positions.items()):
        tenant.control.switches(**{switch: position})
        assert OBSERVED[switch](tenant, f"p{number}") == expected
    assert set(OBSERVED) == set(tenant.control.get("switches"))


def _admitted(tenant, _name):
    return [tenant.api.call("GET", "/auth/me")[0] for _ in range(2)][-1]


def _retry_after(tenant, _name):
    tenant.control.switches(requests_per_minute=1)
    tenant.api.call("GET", "/auth/me")
    return tenant.api.call("GET", "/auth/me")[2].get("Retry-After")


def _moved(tenant, name):
    path = f"/psa/invoices/{tenant.invoice()['id']}/payments/{name}"
    body = {"amount": 1, "currency": "GBP", "paid_on": "2026-10-05"}
    first = tenant.api.put(path, body)["updated_at"]
    return tenant.api.put(path, body)["updated_at"] != first


def _overpaid(tenant, name):
    path = f"/psa/invoices/{tenant.invoice()['id']}/payments/{name}"
    return tenant.api.call("PUT", path, {"amount": 121, "currency": "GBP", "paid_on": "2026-10-05"})[0]


OBSERVED = {
    "requests_per_minute": _admitted,
    "retry_after": _retry_after,
    "identical_put_moves_updated_at": _moved,
    "refuse_overpayment": _overpaid,
}


def test_hanging_request_does_not_hold_up_the_end():
    """A server with a hanging request still stops at once."""
    with running(create_app(OpsMergeState())) as url:
        requests.post(url + "/_control/faults", json={"kind": "hang"}, timeout=5)
        with pytest.raises(requests.Timeout):
            requests.get(url + "/api/v1/auth/me", timeout=0.05)
        started = time.perf_counter()
    assert time.perf_counter() - started < 1


def test_taken_port_is_said_clearly():
    """A taken port and an address that is not this machine's alone are refused with a remedy."""
    with running(create_app(OpsMergeState())) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(CannotServeError, match=f"Port {port} .* is taken"), running(None, port=port):
            pass
    with pytest.raises(CannotServeError, match="loopback"), running(None, host="0.0.0.0"):  # noqa: S104 -- the point
        pass


def test_state_outlives_a_killed_server(tmp_path):
    """A server killed without warning goes on where it was: documents, numbers, switches, notes and its clock."""
    state = OpsMergeState(tmp_path)
    seed(state, {"clients": [{"id": "cl_1", "name": "Acme"}]})
    state.close()
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().strip()
        _control(url, "clock", {"now": "2026-10-01T12:00:00Z"})
        _control(url, "switches", {"refuse_overpayment": True})
        _control(url, "notes", {"stage": 1})
        invoice = _control(url, "deeds", {"deed": "create_invoice", "client_id": "cl_1", "lines": []})
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    again = OpsMergeState(tmp_path)
    assert again.store.get("invoice", invoice["id"])["number"] == "INV-2026-0001"
    assert again.clock.now().date().isoformat() == "2026-10-01"
    assert (again.switches.refuse_overpayment, again.notes) == (True, {"stage": 1})
    assert perform(again, "create_invoice", {"client_id": "cl_1", "lines": []})["number"] == "INV-2026-0002"
    again.close()


def _control(url, path, body):
    return requests.post(f"{url}/_control/{path}", json=body, timeout=5).json()


_names = st.sampled_from(
    [
        "amount",
        "currency",
        "paid_on",
        "method",
        "provider",
        "connection",
        "status",
        "external_id",
        "lines",
        "client_id",
        "clients",
        "services",
        "tax_codes",
        "agreements",
        "invoices",
        "keys",
        "id",
        "rate",
        "billing_address",
        "date",
        "retry_after",
        "requests_per_minute",
        "active",
        "excluded",
        "reference",
        "notes",
        "description",
        "payment_id",
        "quantity",
        "unit_price",
        "synced_at",
        "terms_days",
        "invoice_id",
        "number",
        "issue_date",
        "name",
        "net",
    ]
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=6),
    max_leaves=12,
)
_paths = st.sampled_from(
    [
        "/api/v1/psa/invoices/inv_1/accounting",
        "/api/v1/psa/invoices/inv_1/payments/a",
        "/api/v1/psa/invoices",
        "/api/v1/clients",
        "/_control/deeds",
        "/_control/seed",
        "/_control/switches",
        "/api/v1/%ff/%00",
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE"]),
    path=_paths,
    body=_json,
    query=st.dictionaries(
        st.sampled_from(["limit", "cursor", "updated_since", "status"]), st.text(max_size=12), max_size=2
    ),
    deed=st.sampled_from(
        ["create_invoice", "edit_invoice", "record_payment", "save_client", "run_recurring", "set_opt_out"]
    ),
)
def test_nothing_makes_it_fall_over(tenant, method, path, body, query, deed):
    """Whatever is sent, the answer is never a 500 and always JSON or empty."""
    if "deeds" in path and isinstance(body, dict):
        body["deed"] = deed
    answer = requests.request(
        method, tenant.sim.url + path, headers=AUTHORISED, params=query, data=_dumps(body), timeout=5
    )
    assert answer.status_code < 500, answer.text
    if answer.content:
        answer.json()


def _dumps(body):
    import json

    return json.dumps(body).encode("utf-8", "surrogatepass")
