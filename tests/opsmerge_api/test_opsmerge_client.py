"""The client against the simulator over real HTTP; only the waits are virtual."""

from __future__ import annotations

import logging
import socket
from contextlib import closing
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest
import yaml
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Route

from books.core.clock import VirtualClock
from books.core.faults import Exit, Halt, Reject
from books.opsmerge import OpsMergeSettings, api, open_client
from books.opsmerge.fields import Field, ListOf, ObjectOf
from books.opsmerge.payments import Settlement
from sandbox.server import running

PAID = Settlement(Decimal("10.00"), "GBP", "2026-11-02", "BACS", "BACS 8831")


@pytest.mark.parametrize("page_size", [1, 7, 200])
def test_every_row_comes_once_whatever_the_page_size(tenant: Any, page_size: int) -> None:
    """A list is read to its end: every row once, in the order of change."""
    made = [tenant.invoice()["id"] for _ in range(15)]
    rows = list(tenant.client().records(api.INVOICES, page_size=page_size))
    assert [row["id"] for row in rows] == made
    assert [row["updated_at"] for row in rows] == sorted(row["updated_at"] for row in rows)


def test_numbers_are_exact(tenant: Any) -> None:
    """Money has two places and is what OpsMerge says, quantities and prices keep their decimals; no float appears."""
    made = tenant.invoice()
    row = tenant.client().invoice(made["id"])
    line = row["lines"][0]
    assert (line["quantity"], line["unit_price"], line["tax_rate"]) == (Decimal("1.5"), Decimal("33.335"), Decimal(20))
    assert [row["subtotal"], row["tax_total"], row["total"]] == [Decimal("50.00"), Decimal("10.00"), Decimal("60.00")]
    assert all(isinstance(row[name], Decimal) for name in ("subtotal", "tax_total", "total", "amount_paid", "balance"))
    assert str(row["balance"]) == "60.00"


@pytest.mark.parametrize(
    ("style", "asked", "waited"),
    [("seconds", 7, 7.0), ("date", 7, 7.0), ("seconds", 119, 119.0)],
)
def test_retry_after_is_kept_to_the_second(tenant: Any, style: str, asked: int, waited: float) -> None:
    """A 429 is waited out for as long as it says, in either form, and then the call goes through."""
    tenant.control.switches(retry_after=style)
    tenant.control.fault("429", path="/psa/invoices", retry_after=asked)
    tenant.invoice()
    assert len(list(tenant.client().records(api.INVOICES))) == 1
    assert tenant.clock.elapsed_seconds == pytest.approx(waited, abs=1.0 if style == "date" else 0.001)


def test_a_429_beyond_patience_ends_the_run(tenant: Any) -> None:
    """A Retry-After longer than the longest wait is not waited for: exit 75."""
    tenant.control.fault("429", path="/psa/invoices", retry_after=3600, times=0)
    with pytest.raises(Halt) as halt:
        list(tenant.client().records(api.INVOICES))
    assert halt.value.exit_code is Exit.TRY_LATER
    assert tenant.clock.elapsed_seconds < 3600


@pytest.mark.parametrize("kind", ["5xx_before", "5xx_after", "cut_before", "cut_after", "truncated"])
@pytest.mark.parametrize("call", ["read", "put", "delete"])
def test_what_may_be_repeated_is_repeated(tenant: Any, kind: str, call: str) -> None:
    """A failing read, PUT or DELETE is made again, and its effect is there once."""
    client, made = tenant.client(), tenant.invoice()
    client.put_payment(made["id"], "1:2:3", PAID)
    tenant.control.fault(kind, method={"read": "GET", "put": "PUT", "delete": "DELETE"}[call], path="/psa/", times=2)
    if call == "read":
        assert len(list(client.records(api.PAYMENTS))) == 1
    elif call == "put":
        assert client.put_payment(made["id"], "1:2:4", PAID).settlement == PAID
        assert tenant.client().invoice(made["id"])["amount_paid"] == Decimal("20.00")
    else:
        client.void_payment(made["id"], "1:2:3")
        assert client.invoice(made["id"])["amount_paid"] == Decimal("0.00")


@pytest.mark.parametrize("kind", ["5xx_before", "html"])
def test_repeats_are_bounded(tenant: Any, kind: str) -> None:
    """An API that stays down ends the run with exit 75 after five tries, naming the host."""
    tenant.control.fault(kind, path="/psa/payments", times=0)
    with pytest.raises(Halt, match=r"127\.0\.0\.1") as halt:
        list(tenant.client().records(api.PAYMENTS))
    assert halt.value.exit_code is Exit.TRY_LATER
    assert len([row for row in tenant.control.requests() if row["path"].endswith("/psa/payments")]) == 5


def test_a_bad_key_is_named(tenant: Any) -> None:
    """A key that OpsMerge does not know ends the run with exit 78 and says what to set; the key is not repeated."""
    with pytest.raises(Halt, match="does not accept the API key") as halt:
        list(tenant.client("om_wrong_canary").records(api.INVOICES))
    assert halt.value.exit_code is Exit.MISCONFIGURED
    assert "api_key" in halt.value.remedy
    assert halt.value.vendor_request_id
    assert "canary" not in f"{halt.value.message}{halt.value.remedy}"


CALLS = [
    (api.LIST_INVOICES, lambda client: list(client.records(api.INVOICES))),
    (api.LIST_PAYMENTS, lambda client: list(client.records(api.PAYMENTS))),
    (api.LIST_CLIENTS, lambda client: list(client.records(api.CLIENTS))),
    (api.LIST_SERVICES, lambda client: list(client.records(api.SERVICES))),
    (api.LIST_TAX_CODES, lambda client: list(client.records(api.TAX_CODES))),
    (api.GET_INVOICE, lambda client: client.invoice("inv_1")),
    (api.PUT_PAYMENT, lambda client: client.put_payment("inv_1", "1:2:3", PAID)),
    (api.VOID_PAYMENT, lambda client: client.void_payment("inv_1", "1:2:3")),
]


@pytest.mark.parametrize(("operation", "call"), CALLS, ids=[operation.path for operation, _ in CALLS])
def test_a_missing_scope_is_named(tenant: Any, operation: Any, call: Any) -> None:
    """A key without the scope of a call ends the run with exit 78 and the scope's name."""
    others = sorted({each.scope for each in api.OPERATIONS} - {"", operation.scope})
    tenant.control.seed({"keys": {"om_narrow_key": others}})
    tenant.invoice()
    with pytest.raises(Halt, match=operation.scope) as halt:
        call(tenant.client("om_narrow_key"))
    assert halt.value.exit_code is Exit.MISCONFIGURED
    assert operation.scope in halt.value.remedy


def test_an_unreachable_host_is_named() -> None:
    """Nobody listening ends the run with exit 75 and the host's name, after bounded tries."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    clock = VirtualClock()
    client = open_client(OpsMergeSettings(api_key="om_k", api_url=f"http://127.0.0.1:{port}/api/v1"), clock)
    with pytest.raises(Halt, match=f"127.0.0.1:{port} cannot be reached") as halt:
        list(client.records(api.INVOICES))
    assert halt.value.exit_code is Exit.TRY_LATER
    assert 0 < clock.elapsed_seconds < 60


@pytest.mark.parametrize(
    ("invoice", "payment", "code"),
    [
        ("inv_999", PAID, "not_found"),
        ("inv_1", Settlement(Decimal("1.00"), "USD", "2026-11-02", None, None), "conflict"),
    ],
)
def test_a_refusal_of_one_record_is_a_reject(tenant: Any, invoice: str, payment: Settlement, code: str) -> None:
    """What OpsMerge refuses about one record is that record's fault, with OpsMerge's code, words and request id."""
    tenant.invoice()
    with pytest.raises(Reject) as reject:
        tenant.client().put_payment(invoice, "1:2:3", payment)
    assert reject.value.code == code
    assert reject.value.remedy
    assert reject.value.vendor_request_id


def test_voiding_what_is_not_there_is_done(tenant: Any) -> None:
    """A payment that OpsMerge does not have need not be voided: no fault."""
    made = tenant.invoice()
    assert tenant.client().void_payment(made["id"], "1:2:3") is False
    tenant.client().put_payment(made["id"], "1:2:3", PAID)
    assert tenant.client().void_payment(made["id"], "1:2:3") is True


def strange(answer: Any) -> Starlette:
    """An API that answers every call alike."""
    return Starlette(routes=[Route("/{path:path}", lambda _request: answer(), methods=["GET", "PUT"])])


INVOICE = {"id": "inv_1", "number": "INV-2026-0001", "updated_at": "2026-11-02T09:00:00Z"}


@pytest.mark.parametrize(
    ("answer", "words", "exit_code"),
    [
        (lambda: JSONResponse({"data": [], "next_cursor": "same"}), "twice", Exit.FAILED),
        (lambda: JSONResponse({"rows": []}), "data is not a list", Exit.FAILED),
        (lambda: PlainTextResponse("<html>welcome"), "JSON object", Exit.TRY_LATER),
        (lambda: RedirectResponse("https://elsewhere.example/"), "307", Exit.MISCONFIGURED),
        (lambda: JSONResponse({}, 404), "404", Exit.MISCONFIGURED),
        (
            lambda: JSONResponse({"data": [{**INVOICE, "total": 10.005}], "next_cursor": None}),
            "INV-2026-0001: total: 10.005 has more decimal places",
            Exit.FAILED,
        ),
        (
            lambda: JSONResponse({"data": [{**INVOICE, "lines": [{}, {"quantity": "x"}]}], "next_cursor": None}),
            r"lines\[1\].quantity",
            Exit.FAILED,
        ),
        (
            lambda: JSONResponse({"data": [{"id": "inv_1"}], "next_cursor": None}),
            "inv_1: updated_at: is missing",
            Exit.FAILED,
        ),
    ],
    ids=["endless", "no rows", "html", "redirect", "no such path", "fractions of pennies", "no number", "no time"],
)
def test_a_strange_answer_is_named(answer: Any, words: str, exit_code: Exit) -> None:
    """An answer that is not as described ends the run in words that say where, and never loops."""
    with running(strange(answer)) as url:
        client = open_client(OpsMergeSettings(api_key="om_k", api_url=url), VirtualClock())
        with pytest.raises(Halt, match=words) as halt:
            list(client.records(api.INVOICES))
    assert halt.value.exit_code is exit_code


def test_the_noise_of_a_double_is_not_money() -> None:
    """0.30000000000000004, which a vendor's own floats may print, is 0.30."""
    answer = lambda: JSONResponse({"data": [{**INVOICE, "total": 0.1 + 0.2}], "next_cursor": None})  # noqa: E731
    with running(strange(answer)) as url:
        client = open_client(OpsMergeSettings(api_key="om_k", api_url=url), VirtualClock())
        assert next(iter(client.records(api.INVOICES)))["total"] == Decimal("0.30")


@pytest.mark.parametrize(
    "times",
    ["2026-10-01T00:01:00Z", "2026-10-01T01:01:00+01:00", "2026-10-01T00:01:00.000Z", "2026-10-01T00:01:00"],
)
def test_times_have_one_form(times: str) -> None:
    """One moment is one text, whatever offset and precision OpsMerge writes, so that bookmarks compare as text."""
    row = api.INVOICES.record({**INVOICE, "updated_at": times})
    assert row["updated_at"] == "2026-10-01T00:01:00.000000+00:00"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "api_key is required"),
        ({"api_key": "  "}, "api_key is required"),
        ({"api_key": "om_canary\nX-Evil: 1"}, "api_key has spaces"),
        ({"api_key": "om_k", "api_url": "http://app.opsmerge.cloud/api/v1"}, "api_url must be an https address"),
        ({"api_key": "om_k", "api_url": "https://u:canary@app.opsmerge.cloud/api/v1"}, "api_url must be"),
        ({"api_key": "om_k", "api_url": "ftp://app.opsmerge.cloud"}, "api_url must be"),
        ({"api_key": "om_k", "api_url": "http://127.0.0.1.evil.example/"}, "api_url must be"),
    ],
)
def test_settings_are_refused_by_name(config: dict[str, Any], words: str) -> None:
    """A setting that cannot be used is named, exit 78, and its value is not repeated."""
    with pytest.raises(Halt, match=words) as halt:
        OpsMergeSettings.from_config(config)
    assert halt.value.exit_code is Exit.MISCONFIGURED
    assert "canary" not in str(halt.value) + halt.value.remedy


def test_the_key_is_in_no_log_and_no_fault(tenant: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The key leaves in the Authorization header and nowhere else, at any log level."""
    caplog.set_level(logging.DEBUG)
    key = "om_canary_0123456789"
    tenant.control.seed({"keys": {key: ["psa_invoices:read"]}})
    settings = OpsMergeSettings(api_key=key, api_url=tenant.api_url)
    client = open_client(settings, tenant.clock)
    tenant.control.fault("5xx_before", path="/psa/invoices")
    list(client.records(api.INVOICES))
    with pytest.raises(Halt) as halt:
        list(client.records(api.PAYMENTS))
    told = f"{caplog.text}{halt.value!r}{halt.value.remedy}{settings!r}"
    assert "canary" not in told


def leaves(fields: Any, prefix: str = "") -> list[tuple[str, Field]]:
    """Every plain field with its dotted path in the API's JSON, `[]` for the items of a list."""
    found: list[tuple[str, Field]] = []
    for each in fields:
        if isinstance(each, Field):
            found.append((prefix + each.path, each))
        else:
            inner = f"{prefix}{each.path}{'[]' if isinstance(each, ListOf) else ''}."
            found += leaves(each.fields, inner)
            assert isinstance(each, ListOf | ObjectOf)
    return found


def described(document: Any, schema: Any, path: str) -> Any:
    """The schema at a dotted path of the description; None where it has none."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    parts = [*schema.get("oneOf", ()), *schema.get("allOf", ())]
    if not path:
        return schema
    for part in parts:
        found = described(document, part, path)
        if found is not None:
            return found
    step, _, rest = path.partition(".")
    inner = schema.get("properties", {}).get(step.removesuffix("[]"))
    if inner is None:
        return schema if "properties" not in schema and not parts and schema.get("type") != "null" else None
    return described(document, inner["items"] if step.endswith("[]") else inner, rest)


@pytest.mark.parametrize(
    ("schema", "fields"),
    [
        ("Invoice", api.INVOICE),
        ("Payment", api.PAYMENT),
        ("Client", api.CLIENT),
        ("Service", api.SERVICE),
        ("TaxCode", api.TAX_CODE),
    ],
)
def test_the_assumed_fields_are_those_described(schema: str, fields: Any) -> None:
    """Every field and operation that we rely on stands in the API description that the simulator serves."""
    document = yaml.safe_load(files("sandbox.opsmerge").joinpath("openapi.yaml").read_text("utf-8"))
    for path, field in leaves(fields):
        found = described(document, document["components"]["schemas"][schema], path)
        assert found is not None, path
        kinds = found.get("type", field.kind.json_type)
        assert field.kind.json_type in ([kinds] if isinstance(kinds, str) else kinds), path


def parameter_names(document: Any, operation: Any) -> set[str]:
    """The parameters that the description gives an operation."""
    found = document["paths"][operation.path][operation.method.lower()].get("parameters", ())
    shared = document["components"].get("parameters", {})
    resolved = (shared[each["$ref"].rpartition("/")[2]] if "$ref" in each else each for each in found)
    return {each["name"] for each in resolved}


@pytest.mark.parametrize("operation", api.OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
def test_the_assumed_operations_are_those_described(operation: Any) -> None:
    """Every call that we make, with its parameters and its scope, stands in the API description."""
    document = yaml.safe_load(files("sandbox.opsmerge").joinpath("openapi.yaml").read_text("utf-8"))
    described_as = document["paths"][operation.path][operation.method.lower()]
    assert set(operation.parameters) <= parameter_names(document, operation)
    assert described_as.get("x-scope", "") == operation.scope
