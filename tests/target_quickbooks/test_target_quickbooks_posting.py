"""Posting through the real target to the simulated QuickBooks, on both kinds of store."""

from __future__ import annotations

from decimal import Decimal

import pytest


def test_an_open_invoice_is_posted_once(bridge, record):
    """A new invoice is created with its number, note and totals; the second run makes no call at all."""
    first = bridge.push(record(1))
    (invoice,) = bridge.books()
    posting = bridge.postings()["inv_1"]
    assert (invoice["DocNumber"], invoice["PrivateNote"]) == ("INV-2026-0001", "OpsMerge invoice inv_1")
    assert (invoice["TotalAmt"], invoice["TxnTaxDetail"]["TotalTax"]) == (Decimal("120.00"), Decimal("20.00"))
    assert (posting["outcome"], posting["external_id"]) == ("created", invoice["Id"])
    assert (posting["ledger_total"], posting["ledger_tax"]) == (Decimal("120.00"), Decimal("20.00"))
    assert (posting["net"], posting["tax"], posting["total"]) == (Decimal(100), Decimal(20), Decimal(120))
    assert posting["vendor_request_id"]
    assert first.states == ['{"upto": 1}']
    again = bridge.push(record(1))
    assert sum(again.calls.values()) == 0
    assert "1 already posted and unchanged" in again.log
    assert len(bridge.attempts()) == 1


def test_nothing_due_makes_no_call_not_even_for_a_token(bridge, record):
    """Drafts, voided and opted-out invoices are counted and left."""
    pushed = bridge.push(
        record(1, status="draft"),
        record(2, status="voided"),
        record(3, accounting_excluded=True),
        record(4, status="paid"),
    )
    assert not pushed.calls
    assert bridge.postings() == {}
    for words in ("1 left: draft", "1 left: voided", "1 left: opted out", "1 left: paid", "no call to QuickBooks"):
        assert words in pushed.log
    (run,) = bridge.runs()
    assert (run["complete"], run["seen"], run["left_out"]) == (True, 4, 4)


BUDGETS = {"known customers": (200, 45), "new customers": (0, 60)}


@pytest.mark.parametrize("name", BUDGETS)
def test_a_thousand_invoices_of_200_customers_stay_in_their_budget_of_calls(sqlite_bridge, record, name):
    """45 calls where the customers are known, 60 where all are new: 34 batches, and look-ups by IN lists."""
    known, calls_max = BUDGETS[name]
    customers = [{"DisplayName": f"Client {n}"} for n in range(known)]
    income, cost = {"name": "Sales of Product Income"}, {"name": "Cost of sales"}
    item = {"Name": "Managed Support", "Type": "Service", "IncomeAccountRef": income, "ExpenseAccountRef": cost}
    sqlite_bridge.sim.control.seed({"entities": {"Customer": customers, "Item": [item]}})
    rows = [record(n, client_id=f"cl_{n % 200}", client_name=f"Client {n % 200}") for n in range(1000)]
    pushed = sqlite_bridge.push(*rows)
    calls = sum(count for (_, path), count in pushed.calls.items() if path != "bearer")
    assert calls <= calls_max, pushed.calls
    assert {each["outcome"] for each in sqlite_bridge.postings().values()} == {"created"}
    assert len(sqlite_bridge.books()) == 1000
    reads = sum(count for (_, path), count in pushed.calls.items() if path not in ("batch", "bearer"))
    assert f"{calls} calls to QuickBooks, {reads} of them metered reads" in pushed.log


def test_a_known_customer_and_item_are_not_asked_for_again(sqlite_bridge, record):
    """A later invoice of the same client costs a look-up of its number and a batch."""
    sqlite_bridge.push(record(1))
    pushed = sqlite_bridge.push(record(4))
    assert dict(pushed.calls) == {("GET", "query"): 1, ("POST", "batch"): 1}


def test_streams_may_come_in_any_order(sqlite_bridge, record, line):
    """What OpsMerge carries for a service or a tax code counts, though it comes after the invoices."""
    lines = [line(tax_code_id="tx_9", tax_code_name="VAT Standard 20%")]
    streams = {
        "tax_codes": [{"id": "tx_9", "name": "VAT Standard 20%", "rate": 20, "quickbooks_tax_code": "20.0% S"}],
        "services": [{"id": "svc_1", "name": "Managed Support", "quickbooks_item": "Support retainer"}],
        "clients": [{"id": "cl_1", "name": "Acme & Søn", "email": "ap@acme.example", "active": True}],
        "payments": [{"id": "pay_1"}],
    }
    pushed = sqlite_bridge.push(record(1, lines=lines), streams=streams)
    assert sqlite_bridge.postings()["inv_1"]["outcome"] == "created"
    assert [each["Name"] for each in sqlite_bridge.books("Item")] == ["Support retainer"]
    (customer,) = sqlite_bridge.books("Customer")
    assert (customer["DisplayName"], customer["PrimaryEmailAddr"]["Address"]) == ("Acme & Søn", "ap@acme.example")
    assert pushed.log.count("'payments' is not posted") == 1


REJECTIONS = {
    "no service": ({"lines": "no_service"}, "missing_service", "lines[0].service"),
    "no tax code": ({"lines": "no_tax_code"}, "missing_tax_code", "lines[0].tax_code"),
    "no lines": ({"lines": []}, "no_lines", "lines"),
    "total is a text": ({"total": "many"}, "wrong_type", "total"),
    "date is a number": ({"issue_date": 20261102}, "wrong_type", "issue_date"),
    "lines is a text": ({"lines": "text"}, "wrong_type", "lines"),
    "negative": ({"lines": "negative"}, "negative_total", "total"),
    "too many lines": ({"lines": "many"}, "too_many_lines", "lines"),
    "number too long": ({"number": "INV-2026-0001-A-B-C-D-E"}, "number_too_long", "number"),
    "totals disagree": ({"subtotal": Decimal("99.00")}, "totals_disagree", "subtotal"),
    "wrong VAT": ({"tax_total": Decimal("17.00"), "total": Decimal("117.00")}, "vat_differs", "tax_total"),
    "rate differs": ({"lines": "rate"}, "tax_rate_differs", "lines[0].tax_code"),
    "currency off": ({"currency": "EUR"}, "currency_off", "currency"),
}


def _lines(kind, line):
    made = {
        "no_service": [line(service_id=None, service_name=None)],
        "no_tax_code": [line(tax_code_id=None, tax_code_name=None)],
        "negative": [line("-5.00")],
        "many": [line("1.00") for _ in range(751)],
        "rate": [line(rate="5")],
    }
    return made.get(kind, kind) if isinstance(kind, str) else kind


@pytest.mark.parametrize("name", REJECTIONS)
def test_a_bad_record_is_rejected_with_code_field_and_remedy_and_stops_no_other(sqlite_bridge, record, line, name):
    """The good neighbour is posted; the bad one is stored, said at once, and not sent again unchanged."""
    changes, code, place = REJECTIONS[name]
    changes = dict(changes)
    kind = changes.pop("lines", None)
    lines = _lines(kind, line) if kind is not None else [line()]
    bad = {**record(1), **changes} if isinstance(lines, str) else record(1, **{"lines": lines, **changes})
    if isinstance(lines, str):
        bad["lines"] = lines
    pushed = sqlite_bridge.push(bad, record(2))
    postings = sqlite_bridge.postings()
    assert postings["inv_2"]["outcome"] == "created"
    assert (postings["inv_1"]["outcome"], postings["inv_1"]["fault_code"]) == ("rejected", code)
    assert postings["inv_1"]["fault_field"] == place
    assert postings["inv_1"]["remedy"]
    assert "INV-2026-0001" in pushed.log
    assert len(pushed.states) == 1
    again = sqlite_bridge.push(bad)
    assert not again.calls
    assert "1 still rejected" in again.log


def test_a_rejected_invoice_is_sent_when_it_or_the_mapping_changes(bridge, record, line):
    """A corrected mapping alone is enough: the invoice is taken from the store, not from the tap."""
    bad = record(1, lines=[line(tax_code_name="VAT 20", tax_code_id="tx_7")])
    assert bridge.push(bad).halt is None
    assert bridge.postings()["inv_1"]["fault_code"] == "tax_code_missing"
    assert not bridge.push().calls
    bridge.map('tax_codes: {"VAT 20": {tax_code: "20.0% S"}}\n')
    bridge.push()
    assert bridge.postings()["inv_1"]["outcome"] == "created"


def _by_hand(bridge, number, **changes):
    """A bookkeeper enters an invoice of 100.00 net for Client 1."""
    line = {
        "DetailType": "SalesItemLineDetail",
        "Amount": changes.pop("Amount", 100),
        "SalesItemLineDetail": {"ItemRef": {"name": "Managed Support"}, "TaxCodeRef": {"name": "20.0% S"}},
    }
    body = {
        "DocNumber": number,
        "TxnDate": "2026-11-02",
        "CustomerRef": {"name": "Client 1"},
        "Line": [line],
        **changes,
    }
    bridge.sim.control.seed({"entities": {"Invoice": [body]}})


ADOPTIONS = {
    "the same invoice": ({}, "adopted", None),
    "another net": ({"Amount": 90}, "conflict", "number_taken"),
    "another date": ({"TxnDate": "2026-11-03"}, "conflict", "number_taken"),
    "another customer": ({"CustomerRef": {"name": "Client 2"}}, "conflict", "number_taken"),
    "with our note, whatever else": ({"PrivateNote": "OpsMerge invoice inv_4", "Amount": 1}, "adopted", None),
}


@pytest.mark.parametrize("name", ADOPTIONS)
def test_what_was_in_the_books_before_us_is_adopted_or_a_conflict(sqlite_bridge, record, name):
    """Number, customer, currency, date and net agree: the same invoice; gross is not compared; our note decides."""
    changes, outcome, code = ADOPTIONS[name]
    sqlite_bridge.push(record(1), record(2))
    _by_hand(sqlite_bridge, "INV-2026-0004", **changes)
    sqlite_bridge.push(record(4))
    posting = sqlite_bridge.postings()["inv_4"]
    assert (posting["outcome"], posting["fault_code"]) == (outcome, code)
    assert len(sqlite_bridge.books()) == 3
    assert not sqlite_bridge.push(record(4)).calls


def test_a_change_after_posting_is_one_conflict_per_content(bridge, record, line):
    """The id stays, nothing is created twice, the conflict is told once and ends when the change is undone."""
    bridge.push(record(1))
    posted = bridge.postings()["inv_1"]
    edited = record(1, lines=[line("150.00")])
    first = bridge.push(edited)
    conflict = bridge.postings()["inv_1"]
    assert (conflict["outcome"], conflict["fault_code"]) == ("conflict", "changed_after_posting")
    assert conflict["external_id"] == posted["external_id"]
    assert "total 120.00 -> 180.00" in conflict["fault_message"]
    assert "conflict" in first.log
    assert bridge.push(edited).log.count("changed in OpsMerge") == 0
    assert bridge.postings()["inv_1"]["seq"] == conflict["seq"]
    bridge.push(record(1, status="overdue"))
    assert bridge.postings()["inv_1"]["outcome"] == "created"
    assert len(bridge.books()) == 1


def test_status_names_and_payments_are_no_change(sqlite_bridge, record):
    """Only number, dates, currency, client id, lines and totals are content."""
    sqlite_bridge.push(record(1))
    before = sqlite_bridge.postings()
    pushed = sqlite_bridge.push(record(1, status="overdue", client_name="Renamed Ltd", notes="x", balance=0))
    assert not pushed.calls
    assert sqlite_bridge.postings() == before


def test_a_deleted_invoice_is_posted_again_only_on_request(bridge, record):
    """`retry` posts it under a new generation; without it the run leaves it alone."""
    bridge.push(record(1))
    old = bridge.postings()["inv_1"]
    bridge.sim.control.deed("delete_invoice", invoice="INV-2026-0001")
    assert not bridge.push(record(1)).calls
    assert bridge.retry("INV-2026-0001") == ["INV-2026-0001"]
    bridge.push()
    new = bridge.postings()["inv_1"]
    assert (new["outcome"], new["generation"]) == ("created", 2)
    assert new["external_id"] != old["external_id"]
    assert new["request_id"] != old["request_id"]
    assert len(bridge.books()) == 1


def test_a_voided_invoice_is_posted_again_only_on_request(bridge, record):
    """Under the same number, which the voided one keeps; without `retry` the run leaves it alone."""
    bridge.push(record(1))
    old = bridge.postings()["inv_1"]
    bridge.sim.control.deed("void_invoice", invoice="INV-2026-0001")
    assert not bridge.push(record(1)).calls
    bridge.retry("INV-2026-0001")
    bridge.push(record(1))
    new = bridge.postings()["inv_1"]
    assert (new["outcome"], new["generation"], new["total"]) == ("created", 2, old["total"])
    assert new["external_id"] != old["external_id"]
    assert sorted(each["Balance"] > 0 for each in bridge.books()) == [False, True]
    assert not bridge.push(record(1)).calls


def test_a_retry_of_what_is_still_there_changes_nothing(sqlite_bridge, record):
    """Created stays created, as sent; nothing is adopted, and nothing is doubled."""
    sqlite_bridge.push(record(1))
    before = sqlite_bridge.postings()["inv_1"]
    sqlite_bridge.retry("INV-2026-0001")
    pushed = sqlite_bridge.push(record(1))
    after = sqlite_bridge.postings()["inv_1"]
    assert "nothing to send" in pushed.log
    assert {**after, "seq": None} == {**before, "seq": None}
    assert len(sqlite_bridge.books()) == 1


def test_a_retry_of_a_changed_invoice_stays_a_conflict_while_the_old_one_stands(sqlite_bridge, record, line):
    """What was posted stays on record, so nobody is told that QuickBooks was edited; the remedy says what first."""
    sqlite_bridge.push(record(1))
    before = sqlite_bridge.postings()["inv_1"]
    changed = record(1, lines=[line("77.00")])
    sqlite_bridge.push(changed)
    sqlite_bridge.retry("INV-2026-0001")
    sqlite_bridge.push(changed)
    after = sqlite_bridge.postings()["inv_1"]
    assert (after["outcome"], after["fault_code"], after["retry"]) == ("conflict", "changed_after_posting", False)
    assert [after[name] for name in ("external_id", "net", "total")] == [
        before["external_id"],
        before["net"],
        before["total"],
    ]
    assert "void this one in QuickBooks" in after["remedy"]


def test_go_live_date(bridge, record):
    """Earlier invoices are never posted, only adopted, and looked for once; paid ones are posted from then on."""
    early, paid = record(1, issue_date="2026-10-31"), record(2, status="paid")
    pushed = bridge.push(early, paid, post_from="2026-11-01")
    assert set(bridge.postings()) == {"inv_2"}
    assert "1 left: before post from" in pushed.log
    assert not bridge.push(early, paid, post_from="2026-11-01").calls


def test_production_wants_a_go_live_date(sqlite_bridge):
    """Without post_from nothing starts: exit code 78."""
    assert sqlite_bridge.push(environment="production").halt.exit_code == 78


def test_a_dry_run_reads_plans_and_writes_nothing(bridge, record, line, tmp_path):
    """The plan goes to the log and the file; no STATE, no posting, nothing in QuickBooks."""
    bad = record(2, lines=[line(service_id=None, service_name=None)])
    pushed = bridge.push(record(1), bad, dry_run=True, plan_file=str(tmp_path / "plan.json"))
    assert pushed.states == []
    assert bridge.postings() == {}
    assert ("POST", "batch") not in pushed.calls
    assert "create" in pushed.log
    assert "missing service" in pushed.log
    text = (tmp_path / "plan.json").read_text()
    assert '"action":"create"' in text
    assert '"action":"reject"' in text


def test_fail_on_rejected_ends_with_65_after_state(sqlite_bridge, record, line):
    """STATE leaves first, because what was rejected is stored."""
    pushed = sqlite_bridge.push(record(1, lines=[line(service_id=None, service_name=None)]), fail_on_rejected=True)
    assert (len(pushed.states), pushed.halt.exit_code) == (1, 65)


@pytest.mark.parametrize(
    ("preference", "code"), [({"VAT": False}, "vat_off"), ({"CustomTxnNumbers": False}, "custom_numbers_off")]
)
def test_a_company_that_is_not_ready_gets_one_message_before_the_first_write(sqlite_bridge, record, preference, code):
    """Exit code 78, nothing written, no STATE."""
    sqlite_bridge.sim.control.deed("set_preferences", **preference)
    pushed = sqlite_bridge.push(record(1), record(2))
    assert (pushed.halt.exit_code, pushed.halt.code, pushed.states) == (78, code, [])
    assert sqlite_bridge.postings() == {}


def test_closed_books_reject_what_is_dated_in_them(sqlite_bridge, record):
    """Seen before the first write, not by a refusal."""
    sqlite_bridge.sim.control.deed("set_preferences", BookCloseDate="2026-11-02")
    sqlite_bridge.push(record(1), record(2, issue_date="2026-11-03"))
    postings = sqlite_bridge.postings()
    assert postings["inv_1"]["fault_code"] == "period_closed"
    assert postings["inv_2"]["outcome"] == "created"


def test_vat_rounding_is_posted_or_held_by_policy(sqlite_bridge, record, line):
    """Two lines of 0.03 at 20 %: OpsMerge says 0.02, QuickBooks 0.01; proved rounding."""
    lines = [line("0.03"), line("0.03")]
    sqlite_bridge.push(record(1, lines=lines), vat_difference="hold")
    held = sqlite_bridge.postings()["inv_1"]
    assert (held["outcome"], held["fault_code"]) == ("held", "vat_rounding")
    sqlite_bridge.push(vat_difference="post")
    posted = sqlite_bridge.postings()["inv_1"]
    assert (posted["outcome"], posted["tax"], posted["ledger_tax"]) == ("created", Decimal("0.02"), Decimal("0.01"))


def test_a_foreign_invoice_goes_at_quickbooks_own_rate(sqlite_bridge, record):
    """The customer is created in the currency; the rate of the date is sent, because QuickBooks would take 1."""
    sqlite_bridge.sim.control.deed("set_preferences", MultiCurrency=True)
    sqlite_bridge.sim.control.post("rates", {"rates": {"EUR": {"2026-11-01": "0.8642"}}})
    sqlite_bridge.push(record(1, currency="EUR"), record(4, currency="USD", client_id="cl_9", client_name="US Co"))
    postings = sqlite_bridge.postings()
    assert postings["inv_1"]["outcome"] == "created"
    assert postings["inv_4"]["fault_code"] == "no_exchange_rate"
    assert sqlite_bridge.books()[0]["ExchangeRate"] == Decimal("0.8642")
    sqlite_bridge.push(record(7, client_id="cl_1"))
    assert sqlite_bridge.postings()["inv_7"]["fault_code"] == "customer_currency"


def test_an_item_may_be_named_by_its_id_and_by_its_name_in_one_run(sqlite_bridge, record, line):
    """Two services that are one item: found twice by QuickBooks, it is still one."""
    accounts = {"IncomeAccountRef": {"value": "1"}, "ExpenseAccountRef": {"value": "2"}}
    seeded = sqlite_bridge.sim.control.seed({"entities": {"Item": [{"Name": "Labour", **accounts}]}})
    sqlite_bridge.map(f'services: {{svc_2: {{item_id: "{seeded["ids"]["Item"]["Labour"]}"}}}}\n')
    lines = [line(service_id="svc_2", service_name="Overtime"), line(service_id="svc_3", service_name="Labour")]
    sqlite_bridge.push(record(1, lines=lines))
    assert sqlite_bridge.postings()["inv_1"]["outcome"] == "created"
