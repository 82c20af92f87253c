"""One record never stops the others: whatever a record holds, it is rejected by name, counted, and the rest goes on."""

from __future__ import annotations

from typing import Any

import duckdb
import simplejson
from plugin_process import invoice, record, schema

from target_duckdb.target import TargetDuckDB
from target_opsmerge.target import TargetOpsMerge
from target_quickbooks.target import TargetQuickBooks

DEEP = "[" * 50_000 + "]" * 50_000

RAW: dict[str, str] = {
    "a number with a huge exponent": "1e999999999",
    "a number with an endless exponent": "1e99999999999999999999999",
    "a number of 100,000 digits": "9" * 100_000,
    "a number of 5,000 decimals": "1." + "3" * 5_000,
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "50,000 levels": DEEP,
    "500 levels": "[" * 500 + "]" * 500,
    "half a character": '"\\ud800 x"',
    "a character that no database takes": '"a\\u0000b"',
    "10 MB of text": '"' + "x" * 10_000_000 + '"',
    "an object": '{"": {"": [1, null, {}]}}',
    "a list": "[1, null, {}]",
    "a truth": "true",
    "nothing": "null",
    "a negative number": "-1",
}
"""Values as they stand in a line of JSON, whatever the field."""

FIELDS = ("number", "issue_date", "currency", "client_id", "client_name", "client_email", "billing_address", "lines",
          "total", "accounting_excluded", "status", "notes", "")  # fmt: skip
LINE_FIELDS = ("description", "quantity", "unit_price", "service_id", "service_name", "tax_code_id", "tax_rate",
               "net_amount", "position", "")  # fmt: skip

BIG_PLACES = [("number",), ("lines", 0, "description")]


def spoilt(message: dict[str, Any], *place: Any, raw: str) -> str:
    """The message as a line, with a value at a place."""
    marked = simplejson.loads(simplejson.dumps(message, use_decimal=True), use_decimal=True)
    inner = marked
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = "MARK"
    return simplejson.dumps(marked, use_decimal=True).replace('"MARK"', raw)


def _posted_beside(world: Any, bad: list[str], *others: Any) -> Any:
    """Push bad invoices and a good one; all are read, the good one is posted, and STATE leaves."""
    good = world.number()
    last = [record("invoices", invoice(good)), {"type": "STATE", "value": {"x": 1}}]
    ended = world.run(TargetQuickBooks, *others, schema("invoices", "id"), *bad, *last)
    assert (ended.code, ended.messages, world.in_quickbooks(good)) == (0, [{"x": 1}], 1), ended.err[-3000:]
    assert "Traceback" not in ended.err
    return ended


def _for_itself(number: str, field: str) -> dict[str, Any]:
    """An invoice of a client of its own where the field is about the client: one name is one client."""
    return invoice(number, **({"client_id": number, "client_name": number} if field.startswith("client_") else {}))


def test_a_bad_value_in_any_field_of_an_invoice_stops_no_other(world):
    """target-quickbooks: the good invoice is posted; each of the bad ones is posted, rejected or left, and counted."""
    places = [*((field,) for field in FIELDS), *(("lines", 0, field) for field in LINE_FIELDS)]
    bad = []
    for at, (kind, raw) in enumerate(RAW.items()):  # each kind in every third field, and each field with many kinds
        for place in places[at % 3 :: 3] if kind != "10 MB of text" else BIG_PLACES:
            message = record("invoices", _for_itself(world.number(), place[-1]))
            bad.append(spoilt(message, "record", *place, raw=raw))
    ended = _posted_beside(world, bad)
    assert f"{len(bad) + 1} invoices read" in ended.err
    assert "total must be a finite number" in ended.err
    assert "lines[0].quantity must be a finite number" in ended.err


def test_an_invoice_without_a_usable_id_stops_no_other(world):
    """It cannot be kept track of; it is rejected, by its number."""
    numbers = {world.number(): raw for raw in RAW.values()}
    bad = [spoilt(record("invoices", invoice(number)), "record", "id", raw=raw) for number, raw in numbers.items()]
    ended = _posted_beside(world, bad)
    for number, raw in numbers.items():
        assert number in ended.err or raw.startswith('"'), number


def test_a_bad_row_of_services_tax_codes_or_clients_stops_nothing(sqlite_world):
    """They only help; what cannot be read helps nothing."""
    lines: list[Any] = []
    rows = {"services": {"id": "svc_9", "name": "S"}, "tax_codes": {"id": "t9", "name": "T", "rate": 1},
            "clients": {"id": "cl_9", "name": "C", "email": None, "billing_address": None}}  # fmt: skip
    for stream, row in rows.items():
        lines.append(schema(stream, "id"))
        lines += [spoilt(record(stream, row), "record", field, raw=raw) for raw in RAW.values() for field in [*row, ""]]
    _posted_beside(sqlite_world, [], *lines)


# --- target-opsmerge -----------------------------------------------------------------------------------------------

REALM = "9341453000000001"


def block(world: Any, external_id: str) -> tuple[str, dict[str, Any]]:
    """A new invoice in OpsMerge, and a row that says it was posted."""
    line = {"description": "S", "quantity": 1, "unit_price": 100, "service_id": "svc_1", "tax_code_id": "tax_1"}
    made = world.opsmerge.control.deed("create_invoice", client_id="cl_1", lines=[line])
    return made["id"], {
        "provider": "quickbooks", "connection": f"sandbox:{REALM}", "company_id": REALM,
        "opsmerge_invoice_id": made["id"],
        "number": made["number"], "outcome": "created", "external_id": external_id, "fault_code": None,
        "fault_message": None, "remedy": None, "finished_at": "2026-11-02T09:00:00+00:00", "seq": 1,
    }  # fmt: skip


def payment(invoice_id: str, external_id: str, key: str) -> dict[str, Any]:
    share = {"transaction_type": "Invoice", "transaction_id": external_id, "invoice_number": None,
             "opsmerge_invoice_id": invoice_id, "amount": 120}  # fmt: skip
    return {
        "connection": f"sandbox:{REALM}", "id": key, "txn_date": "2026-11-02", "total_amount": 120, "currency": "GBP",
        "payment_ref_number": "BACS", "payment_method": "BACS", "status": "active", "allocations": [share],
        "sync_token": "0", "updated_at": "2026-11-02T09:00:00+00:00",
    }  # fmt: skip


def balance(external_id: str) -> dict[str, Any]:
    return {"connection": f"sandbox:{REALM}", "id": external_id, "status": "live", "total_amount": 120,
            "balance": 0, "currency": "GBP", "sync_token": "1", "updated_at": "2026-11-02T09:00:00+00:00"}  # fmt: skip


def test_a_bad_row_for_opsmerge_stops_no_other(world):
    """target-opsmerge: the good invoice bears its id and is Paid, whatever the rows around it hold."""
    external = world.number()
    invoice_id, row = block(world, external)
    lines: list[Any] = []
    for stream, keys, sample in (
        ("postings", ("connection", "opsmerge_invoice_id"), row),
        ("payments", ("connection", "id"), payment(invoice_id, external, f"p-{external}")),
        ("invoices", ("connection", "id"), balance(external)),
    ):
        places: list[Any] = [(field,) for field in [*sample, ""]]
        if stream == "payments":
            places += [("allocations", 0, field) for field in [*sample["allocations"][0], ""]]
        other = {**sample, **({"id": "bad"} if "id" in sample else {"opsmerge_invoice_id": "bad"})}
        if "allocations" in sample:
            other["allocations"] = [{**sample["allocations"][0], "transaction_id": "x", "opsmerge_invoice_id": None}]
        lines.append(schema(stream, *keys))
        for kind, raw in RAW.items():
            chosen = places if kind != "10 MB of text" else [("currency",), (keys[-1],)]
            lines += [spoilt(record(stream, other), "record", *place, raw=raw) for place in chosen]
        lines.append(record(stream, sample))
    ended = world.run(TargetOpsMerge, *lines, {"type": "STATE", "value": {"x": 1}})
    assert ended.code == 0, ended.err[-3000:]
    assert "Traceback" not in ended.err
    document = world.opsmerge.state.need("invoice", invoice_id)
    assert (document["status"], document["accounting"]["status"]) == ("paid", "posted"), ended.err[-3000:]


# --- target-duckdb -------------------------------------------------------------------------------------------------

COLUMNS = {
    "n": {"type": ["number", "null"], "multipleOf": 0.01}, "i": {"type": ["integer", "null"]},
    "d": {"type": ["string", "null"], "format": "date"}, "b": {"type": ["boolean", "null"]},
    "f": {"type": ["number", "null"]}, "j": {"type": ["object", "null"]}, "s": {"type": ["string", "null"]},
    "": {"type": ["string", "null"]},
}  # fmt: skip
SOUND = {"n": 1, "i": 1, "d": "2026-11-02", "b": True, "f": 1, "j": {}, "s": "x", "": "x"}


def test_a_bad_value_stops_no_other_row_of_the_warehouse(sqlite_world):
    """target-duckdb: the good rows are loaded; a rejected one is named, and the extract is not complete."""
    bad = []
    for at, (kind, raw) in enumerate(RAW.items()):
        names = COLUMNS if kind != "10 MB of text" else ["s"]
        bad += [spoilt(record("t", {"id": f"bad-{at}-{name}", **SOUND}), "record", name, raw=raw) for name in names]
    good = [record("t", {"id": f"good-{each}", **SOUND}) for each in range(3)]
    shape = schema("t", "id", **COLUMNS)
    end = {**shape, "extract": {"mode": "full", "rows": len(bad) + 3, "complete": True}}
    for version in (1, 2):
        rows = [{**each, "version": version} for each in (good if version == 1 else good[:1])]
        last = [
            {"type": "ACTIVATE_VERSION", "stream": "t", "version": version},
            end,
            {"type": "STATE", "value": {"x": 1}},
        ]
        ended = sqlite_world.run(TargetDuckDB, shape, *(bad if version == 2 else ()), *rows, *last)
        assert (ended.code, "Traceback" in ended.err) == (0, False), ended.err[-3000:]
    with duckdb.connect(str(sqlite_world.folder / "build.duckdb"), read_only=True) as warehouse:
        live = warehouse.execute("SELECT id FROM raw.t WHERE _sdc_deleted_at IS NULL AND id LIKE 'good%'").fetchall()
        loads = warehouse.execute('SELECT "rows", complete FROM raw._loads ORDER BY loaded_at').fetchall()
        types = dict(row[:2] for row in warehouse.execute("DESCRIBE raw.t").fetchall())
    assert len(live) == 3, "a row that is missing beside a rejected one does not count as gone"
    assert loads[1] == (len(bad) + 1, False)
    assert (types["n"], types["unnamed"]) == ("DECIMAL(18,2)", "VARCHAR")
    assert "the row id=bad-0-n was rejected at n: '1e999999999' is no" in ended.err
    assert "was rejected at j: not a JSON value" in ended.err
    assert (ended.out, "STATE is not emitted" in ended.err) == ("", True)
