"""The OpsMerge simulator's API: keys, lists, paging, errors."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SCOPED = [
    ("GET", "/psa/invoices", "psa_invoices:read"),
    ("GET", "/psa/invoices/inv_1", "psa_invoices:read"),
    ("PUT", "/psa/invoices/inv_1/accounting", "psa_invoices:write"),
    ("PUT", "/psa/invoices/inv_1/payments/x", "psa_payments:write"),
    ("DELETE", "/psa/invoices/inv_1/payments/x", "psa_payments:write"),
    ("GET", "/psa/payments", "psa_payments:read"),
    ("GET", "/psa/services", "psa_services:read"),
    ("GET", "/psa/tax-codes", "psa_tax_codes:read"),
    ("GET", "/clients", "clients:read"),
]


def test_me(tenant):
    """A key may ask who it is; the demo key has every scope."""
    scopes = tenant.api.get("/auth/me")["scopes"]
    assert set(scopes) == {scope for _, _, scope in SCOPED}


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer om_wrong", "Basic om_sandbox_key"])
def test_bad_key(tenant, header):
    """A missing, unknown or wrongly sent key is answered 401, also on /auth/me."""
    tenant.api.session.headers["Authorization"] = header
    status, body, headers = tenant.api.call("GET", "/auth/me")
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")
    assert body["error"]["request_id"] == headers["X-Request-Id"]


@pytest.mark.parametrize(("method", "path", "scope"), SCOPED)
def test_missing_scope(tenant, method, path, scope):
    """A key without the scope is answered 403, and the message names the scope."""
    others = [other for _, _, other in SCOPED if other != scope]
    tenant.control.seed({"keys": {"om_narrow": others}})
    status, body, _ = tenant.with_key("om_narrow").call(method, path)
    assert status == 403
    assert scope in body["error"]["message"]


@pytest.mark.parametrize(
    ("path", "params", "status", "word"),
    [
        ("/psa/invoices", {"limit": "201"}, 422, "limit"),
        ("/psa/invoices", {"limit": "0"}, 422, "limit"),
        ("/psa/invoices", {"limit": "ten"}, 422, "limit"),
        ("/psa/invoices", {"limit": "²"}, 422, "limit"),
        ("/psa/invoices", {"cursor": "not-one"}, 422, "cursor"),
        ("/psa/invoices", {"cursor": "ÿ"}, 422, "cursor"),
        ("/psa/invoices", {"updated_since": "yesterday"}, 422, "updated_since"),
        ("/psa/invoices", {"updated_since": "2026-10-01T00:00:00"}, 422, "offset"),
        ("/psa/invoices", {"status": "open,lost"}, 422, "lost"),
        ("/psa/invoices", {"page": "2"}, 422, "page"),
        ("/clients", {"updated_since": "2026-10-01T00:00:00Z"}, 422, "updated_since"),
        ("/psa/invoices/inv_404", {}, 404, "inv_404"),
        ("/psa/tickets", {}, 404, "path"),
    ],
)
def test_refused_reads(tenant, path, params, status, word):
    """A wrong parameter, an unknown document and an unknown path are refused in the API's error shape."""
    answered, body, _ = tenant.api.call("GET", path, **params)
    assert answered == status
    assert word in body["error"]["message"]


def test_wrong_method(tenant):
    """A method that a path does not have is answered 405 in the same shape."""
    status, body, _ = tenant.api.call("POST", "/psa/invoices", {})
    assert (status, body["error"]["code"]) == (405, "method_not_allowed")


def test_list_order_and_pages(tenant):
    """Lists come oldest change first, every row once over pages of any size, and end with a null cursor."""
    made = [tenant.invoice()["number"] for _ in range(7)]
    for limit in (1, 2, 3, 7, 50):
        assert [row["number"] for row in tenant.api.pages("/psa/invoices", limit=limit)] == made


def test_paging_is_stable_while_rows_change(tenant):
    """A row that changes between two pages comes again at the end; none is missed, none else repeated."""
    made = [tenant.invoice() for _ in range(6)]
    first = tenant.api.get("/psa/invoices", limit=2)
    for changed in (made[0], made[3]):
        tenant.control.deed("set_opt_out", invoice_id=changed["id"])
    rest = tenant.api.pages("/psa/invoices", limit=2, cursor=first["next_cursor"])
    seen = [row["id"] for row in [*first["data"], *rest]]
    assert seen == [made[n]["id"] for n in (0, 1, 2, 4, 5, 0, 3)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 4), changes=st.lists(st.lists(st.integers(0, 7), max_size=3), max_size=6))
def test_no_reader_of_pages_misses_a_state(tenant, limit, changes):
    """Whatever changes or is added between pages: who reads to the end has the newest state of every invoice."""
    made = [tenant.invoice() for _ in range(4)]
    seen, cursor = {}, {"updated_since": made[0]["updated_at"]}
    turns = iter(changes)
    for _ in range(100):
        page = tenant.api.get("/psa/invoices", limit=limit, **cursor)
        seen.update({row["id"]: row for row in page["data"]})
        if page["next_cursor"] is None:
            break
        cursor["cursor"] = page["next_cursor"]
        for place in next(turns, []):
            if place < len(made):
                tenant.control.deed("edit_invoice", invoice_id=made[place]["id"], notes=f"{limit}-{place}-{len(seen)}")
            else:
                made.append(tenant.invoice())
    else:
        pytest.fail("the pages have no end")
    assert {row["id"]: row for row in (tenant.read(invoice) for invoice in made)} == {
        invoice["id"]: seen[invoice["id"]] for invoice in made
    }


def test_rows_of_one_time_are_paged_too(tenant):
    """Rows that share one updated_at, as a recurring run makes them, are told apart by id."""
    for _ in range(5):
        tenant.control.deed("save_agreement", client_id="cl_1", lines=[{"quantity": 1, "unit_price": 10}])
    run = tenant.control.deed("run_recurring", date="2026-10-01")
    assert len({row["updated_at"] for row in run}) == 1
    assert sorted(row["id"] for row in run) == [row["id"] for row in tenant.api.pages("/psa/invoices", limit=2)]


def test_updated_since_is_inclusive(tenant):
    """updated_since gives the rows of that very microsecond and later, in whatever offset it is written."""
    first, second = tenant.invoice(), tenant.invoice()
    since = second["updated_at"]
    assert [row["id"] for row in tenant.api.pages("/psa/invoices", updated_since=since)] == [second["id"]]
    summer = since.replace("T12:", "T13:").replace("Z", "+01:00")
    assert [row["id"] for row in tenant.api.pages("/psa/invoices", updated_since=summer)] == [second["id"]]
    assert len(tenant.api.pages("/psa/invoices", updated_since=first["updated_at"])) == 2


def test_status_filter(tenant):
    """The list can be narrowed to several statuses."""
    tenant.invoice(status="draft")
    kept = tenant.invoice()
    tenant.control.deed("void_invoice", invoice_id=tenant.invoice()["id"])
    assert [row["id"] for row in tenant.api.pages("/psa/invoices", status="open,overdue,paid")] == [kept["id"]]


def test_full_tables(tenant):
    """Clients, services and tax codes are listed whole, page by page."""
    assert [row["name"] for row in tenant.api.pages("/clients")] == ["O'Brien & Söhne"]
    assert tenant.api.pages("/psa/services") == [
        {"id": "svc_1", "name": "Support", "active": True, "quickbooks_item": None}
    ]
    codes = tenant.api.pages("/psa/tax-codes", limit=2)
    assert {code["quickbooks_tax_code"] for code in codes} == {"20.0% S", "5.0% R", "0.0% Z", "Exempt", "No VAT"}
    assert codes[0]["rate"] == Decimal(20)


def test_rate_limit(tenant):
    """Beyond the limit of a key a request is answered 429; Retry-After says when the next one is let in."""
    tenant.control.switches(requests_per_minute=2)
    for _ in range(2):
        assert tenant.api.call("GET", "/auth/me")[0] == 200
    tenant.control.advance(20)
    status, body, headers = tenant.api.call("GET", "/auth/me")
    assert (status, body["error"]["code"], headers["Retry-After"]) == (429, "rate_limited", "40")
    tenant.control.advance(39)
    assert tenant.api.call("GET", "/auth/me")[0] == 429
    tenant.control.advance(1)
    assert tenant.api.call("GET", "/auth/me")[0] == 200


@pytest.mark.parametrize(
    ("style", "expected"), [("seconds", "60"), ("date", "Thu, 01 Oct 2026 12:01:00 GMT"), ("none", None)]
)
def test_retry_after_styles(tenant, style, expected):
    """Retry-After comes as seconds, as a date, or not at all, by switch."""
    tenant.control.switches(requests_per_minute=1, retry_after=style)
    tenant.api.call("GET", "/auth/me")
    assert tenant.api.call("GET", "/auth/me")[2].get("Retry-After") == expected


def test_description_is_served(tenant):
    """The machine-readable description lies where OpsMerge has it and names every path and its scope."""
    yaml = pytest.importorskip("yaml")
    text = tenant.api.session.get(tenant.sim.url + "/api/docs/openapi.yaml", timeout=10).text
    described = yaml.safe_load(text)["paths"]
    for method, path, scope in SCOPED:
        template = path.replace("inv_1", "{id}").replace("/x", "/{external_id}")
        assert described[template][method.lower()]["x-scope"] == scope
