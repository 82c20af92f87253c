"""tap-opsmerge as a process: what it reads, where it goes on, and how it ends."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sandbox.server import running

STREAMS = ["clients", "invoices", "payments", "services", "tax_codes"]
INVOICE_FIELDS = [
    *("id", "number", "status", "issue_date", "due_date", "currency", "client_id", "client_name", "client_email"),
    *("billing_address", "lines", "subtotal", "tax_total", "total", "amount_paid", "balance", "notes"),
    *("accounting_excluded", "accounting", "opened_at", "voided_at", "created_at", "updated_at"),
]
LINE_FIELDS = [
    *("id", "position", "description", "quantity", "unit_price", "service_id", "service_name"),
    *("tax_code_id", "tax_code_name", "tax_rate", "net_amount", "tax_amount"),
]
SIGNALS = [signal.SIGTERM, signal.SIGINT]
LINE = {"description": "Support", "quantity": 1, "unit_price": 10, "service_id": "svc_1", "tax_code_id": "tax_1"}


def test_all_five_streams_come(tap: Any) -> None:
    """A run reads every stream of the contract, with keys, and ends with a bookmark for each incremental one."""
    made = tap.invoice()
    tap.control.deed("record_payment", invoice_id=made["id"], amount=1)
    run = tap()
    assert run.code == 0, run.stderr
    schemas = {each["stream"]: each for each in run.messages if each["type"] == "SCHEMA"}
    assert sorted(schemas) == STREAMS
    assert all(each["key_properties"] == ["id"] for each in schemas.values())
    assert all(run.rows(stream) for stream in STREAMS)
    assert set(run.state["bookmarks"]["invoices"]) >= {"replication_key", "replication_key_value"}


def test_an_invoice_has_the_contracts_shape(tap: Any) -> None:
    """An invoice carries exactly the fields of the contract, money exact."""
    tap.invoice()
    row = tap().rows("invoices")[0]
    assert list(row) == INVOICE_FIELDS
    assert list(row["lines"][0]) == LINE_FIELDS
    assert row["billing_address"] == {
        "line1": "1 High Street",
        "line2": None,
        "city": "Leeds",
        "postcode": "LS1 1AA",
        "country": "GB",
    }
    assert (row["client_name"], row["total"], row["balance"]) == ("O'Brien & Söhne", Decimal("12.00"), Decimal("12.00"))


def test_every_status_is_read(tap: Any) -> None:
    """Drafts, paid, overdue, voided and opted-out invoices come too: the target decides."""
    tap.control.post("clock", {"now": "2026-10-01T12:00:00Z", "frozen": True})
    late = tap.invoice(due_date="2026-09-01")["number"]
    numbers = [tap.invoice()["number"] for _ in range(3)]
    draft = tap.invoice(status="draft")["number"]
    tap.control.deed("void_invoice", number=numbers[0])
    tap.control.deed("record_payment", number=numbers[1])
    tap.control.deed("set_opt_out", number=numbers[2])
    rows = {row["number"]: row for row in tap().rows("invoices")}
    found = [rows[number]["status"] for number in (*numbers, draft, late)]
    assert found == ["voided", "paid", "open", "draft", "overdue"]
    assert rows[numbers[2]]["accounting_excluded"] is True


@pytest.mark.parametrize("asked", [["open", "voided"], " Open , VOIDED "])
def test_statuses_may_be_chosen(tap: Any, asked: Any) -> None:
    """`invoice_status` is a list, or text separated by commas as an environment variable has it."""
    numbers = [tap.invoice()["number"] for _ in range(3)]
    tap.control.deed("void_invoice", number=numbers[0])
    tap.control.deed("record_payment", number=numbers[1])
    found = {row["number"] for row in tap(invoice_status=asked).rows("invoices")}
    assert found == {numbers[0], numbers[2]}


def test_a_second_run_reads_only_what_changed(tap: Any) -> None:
    """From a bookmark on come the bookmark's own row and what changed since; nothing is skipped."""
    numbers = [tap.invoice()["number"] for _ in range(5)]
    state = tap().state
    tap.control.deed("void_invoice", number=numbers[0])
    assert [row["number"] for row in tap(state=state).rows("invoices")] == [numbers[4], numbers[0]]


def test_rows_of_one_moment_are_not_split(tap: Any) -> None:
    """A burst of invoices with one time of change is read whole, across pages and across runs."""
    tap.control.seed({"invoices": [{"client_id": "cl_1", "lines": [LINE]} for _ in range(25)]})
    first = tap(page_size=10)
    assert len({row["id"] for row in first.rows("invoices")}) == 25
    assert len({row["updated_at"] for row in first.rows("invoices")}) == 1
    assert len(tap(page_size=10, state=first.state).rows("invoices")) == 25


def test_start_date_is_where_a_first_run_begins(tap: Any) -> None:
    """Without a bookmark, rows changed before `start_date` are left out."""
    tap.control.post("clock", {"now": "2027-01-01T12:00:00Z", "frozen": True})
    tap.invoice()
    tap.control.post("clock", {"now": "2027-01-20T12:00:00Z", "frozen": True})
    late = tap.invoice()["number"]
    assert [row["number"] for row in tap(start_date="2027-01-20T00:00:00Z").rows("invoices")] == [late]
    assert [row["number"] for row in tap(start_date="2027-01-20").rows("invoices")] == [late]


def test_a_complete_read_ignores_the_bookmark(tap: Any, tmp_path: Any) -> None:
    """With replication method FULL_TABLE in the catalogue, as reconciliation sets it, every row comes again."""
    for _ in range(3):
        tap.invoice()
    state = tap().state
    catalog = json.loads(tap.raw("--discover"))
    for entry in catalog["streams"]:
        entry["replication_method"] = "FULL_TABLE"
        for each in entry["metadata"]:
            if not each["breadcrumb"]:
                each["metadata"] |= {"selected": True, "forced-replication-method": "FULL_TABLE"}
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps(catalog))
    run = tap("--catalog", str(path), state=state)
    assert run.code == 0, run.stderr
    assert len(run.rows("invoices")) == 3


@pytest.mark.parametrize(
    ("config", "code", "words"),
    [
        ({"api_key": "om_wrong_canary"}, 78, "does not accept the API key"),
        ({"api_key": None}, 78, "api_key"),
        ({"invoice_status": "unpaid"}, 78, "does not know unpaid"),
        ({"page_size": 500}, 78, "page_size"),
        ({"start_date": "last month"}, 78, "last month"),
    ],
)
def test_a_wrong_setting_is_named(tap: Any, config: Any, code: int, words: str) -> None:
    """A run that cannot start says which setting is wrong and what to do, without a traceback, and ends with 78."""
    run = tap(**config)
    assert (run.code, run.rows("invoices")) == (code, [])
    assert words in run.stderr
    assert "Traceback" not in run.stderr
    assert "canary" not in run.stderr


def test_a_missing_scope_is_named_by_the_process(tap: Any) -> None:
    """A key without a scope ends the run with 78 and the scope's name."""
    tap.control.seed({"keys": {"om_narrow_key": ["clients:read"]}})
    run = tap(api_key="om_narrow_key")
    assert run.code == 78
    assert "psa_invoices:read" in run.stderr


def test_an_outage_ends_with_75(tap: Any) -> None:
    """An API that stays down ends the run with 75, and what was read until then has its bookmark."""
    for _ in range(3):
        tap.invoice()
    tap.control.fault("5xx_before", path="/psa/payments", times=0)
    run = tap()
    assert run.code == 75
    assert "run again later" in run.stderr
    assert "invoices" in run.state["bookmarks"]
    assert "replication_key_value" in run.state["bookmarks"]["invoices"]


@pytest.mark.parametrize("stop", SIGNALS)
def test_a_stopped_run_is_no_success(tap: Any, wait_for: Callable[..., None], stop: signal.Signals) -> None:
    """Stopped by a signal in the middle of a list, the tap ends with 128 + n: a part is not taken for the whole."""
    for _ in range(3):
        tap.invoice()
    tap.control.fault("hang", path="/psa/invoices")
    process = tap.start()
    wait_for(lambda: any(row["path"].endswith("/psa/invoices") for row in tap.control.requests()))
    process.send_signal(stop)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 128 + stop
    assert "Stopped by signal" in stderr
    assert '"invoices"' not in "".join(line for line in stdout.splitlines() if '"STATE"' in line)


def unsorted_api() -> Starlette:
    """An API whose newest invoice comes first."""
    times = ["2026-11-02T09:00:00Z", "2026-11-01T09:00:00Z"]
    rows = [{"id": f"inv_{number}", "updated_at": when} for number, when in enumerate(times)]

    async def answer(request: Request) -> JSONResponse:
        return JSONResponse({"data": rows if "invoices" in request.url.path else [], "next_cursor": None})

    return Starlette(routes=[Route("/{path:path}", answer)])


def test_the_list_out_of_order_is_noticed(tap: Any) -> None:
    """A list that is not in the order of change would make bookmarks skip rows, so the run fails."""
    with running(unsorted_api()) as url:
        run = tap(api_url=url)
    assert run.code != 0
    assert "Unsorted data" in run.stderr


def test_connection_test_and_about(tap: Any) -> None:
    """`--test` reads a row of each stream and says what is wrong with 78; `--about` lists the contract's settings."""
    tap.invoice()
    assert tap("--test").code == 0
    wrong = tap("--test", api_key="om_wrong")
    assert wrong.code == 78
    assert "API key" in wrong.stderr
    about = json.loads(tap.raw("--about", "--format", "json"))
    assert {"api_url", "api_key", "start_date", "page_size", "invoice_status"} <= set(about["settings"]["properties"])
