"""The pure rules: what a record says, what counts as a change, what to do next, what is the same invoice."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pendulum
import pytest

from books.core.backoff import backoff_seconds
from books.core.faults import Halt, Reject
from books.ledgers.contract import Company, LedgerInvoice
from books.posting import checks, records
from books.posting.adoption import Absent, Same, Taken, judge
from books.posting.mappings import load, parse
from books.posting.postings import Outcome, Posting
from books.posting.triage import Candidate, Policy, Step, decide

NOW = pendulum.datetime(2026, 11, 2, 9)
COMPANY = Company("s:1", "Co", "GB", "GBP", multi_currency=False, vat_on=True, custom_numbers=True, closed_until=None)

WRONG = {
    "number missing": ({"number": None}, "number"),
    "number empty": ({"number": " "}, "number"),
    "total is a bool": ({"total": True}, "total"),
    "total is NaN": ({"total": "NaN"}, "total"),
    "fraction of a penny": ({"total": Decimal("1.001")}, "total"),
    "no such day": ({"issue_date": "2026-02-30"}, "issue_date"),
    "a line is a text": ({"lines": ["x"]}, "lines[0]"),
    "quantity is a list": ({"lines": [{"quantity": [], "net_amount": 1}]}, "lines[0].quantity"),
    "net missing": ({"lines": [{"description": "x"}]}, "lines[0].net_amount"),
    "description is a number": ({"lines": [{"description": 5, "net_amount": 1}]}, "lines[0].description"),
    "client missing": ({"client_id": 7}, "client_id"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_type_is_a_rejection_that_names_the_field(record, name):
    """Never an exception of another kind."""
    changes, place = WRONG[name]
    with pytest.raises(Reject) as caught:
        records.parse({**record(1), **changes})
    assert (caught.value.field, caught.value.code) == (place, "wrong_type")


def test_numbers_as_json_gives_them_are_all_read(record):
    """Whole numbers, exact decimals, texts; a float by its shortest spelling."""
    for total in (120, Decimal("120.00"), "120.00", 120.0):
        assert records.parse({**record(1), "total": total}).total == Decimal("120.00")


CONTENT = {
    "status": ({"status": "overdue"}, True),
    "client's name": ({"client_name": "New"}, True),
    "payments": ({"balance": 0, "amount_paid": 120}, True),
    "spelling of a number": ({"total": Decimal("120.0")}, True),
    "number": ({"number": "INV-2"}, False),
    "issue date": ({"issue_date": "2026-11-03"}, False),
    "due date": ({"due_date": None}, False),
    "client": ({"client_id": "cl_9"}, False),
    "currency": ({"currency": "EUR"}, False),
    "total": ({"total": Decimal("121.00")}, False),
}


@pytest.mark.parametrize("name", CONTENT)
def test_what_counts_as_a_change(record, name):
    """Number, dates, currency, client id, lines and totals; never status, payments or names."""
    changes, same = CONTENT[name]
    before, now = (records.content_sha256(records.parse({**record(1), **more})) for more in ({}, changes))
    assert (before == now) is same


def test_the_order_of_lines_is_their_position(record, line):
    """The same lines in another order of the list are the same content."""
    first, second = line("1.00", position=1), line("2.00", position=2)
    told = [records.content_sha256(records.parse(record(1, lines=rows))) for rows in ([first, second], [second, first])]
    assert told[0] == told[1]


def test_what_the_store_keeps_can_be_read_back(record):
    """Exactly, whatever strange came with it."""
    kept = records.kept({**record(1), "notes": "secret", "lines": record(1)["lines"]})
    from books.core import money

    assert records.parse(money.loads(kept)) == records.parse(record(1))
    assert "secret" not in kept
    records.kept({"id": "x", "lines": [{1: object(), "d": date(2026, 1, 1), "n": Decimal("NaN")}]})


def _candidate(record, posting=None, **changes):
    row = record(1, **changes)
    invoice = records.parse(row)
    return Candidate(
        "inv_1", "INV-2026-0001", records.kept(row), records.content_sha256(invoice), "m1", invoice, None, posting
    )


def _posting(record, outcome, **changes):
    content = records.content_sha256(records.parse(record(1)))
    posting = Posting(
        connection="s:1",
        opsmerge_invoice_id="inv_1",
        provider="quickbooks",
        realm_id="1",
        number="INV-2026-0001",
        outcome=Outcome(outcome),
        content_sha256=content,
        seen_sha256=content,
        mapping_sha256="m1",
        record=records.kept(record(1)),
        attempted_at=NOW,
        attempts=1,
        seq=1,
    )
    return replace(posting, **changes)


EDIT = {"due_date": "2026-12-24"}
VOIDED = ("conflict", {"external_id": "7", "fault_code": "voided_after_posting", "settled_outcome": "created"})
STEPS = {
    "new and open": (None, {}, Step.POST),
    "new and overdue": (None, {"status": "overdue"}, Step.POST),
    "new and paid": (None, {"status": "paid"}, Step.LEAVE),
    "new and draft": (None, {"status": "draft"}, Step.LEAVE),
    "new and voided": (None, {"status": "voided"}, Step.LEAVE),
    "new and opted out": (None, {"accounting_excluded": True}, Step.LEAVE),
    "created, same": (("created", {"external_id": "7"}), {}, Step.EXISTS),
    "created, then paid": (("created", {"external_id": "7"}), {"status": "paid"}, Step.EXISTS),
    "created, then voided": (("created", {"external_id": "7"}), {"status": "voided"}, Step.RECALLED),
    "created, then voided and edited": (("created", {"external_id": "7"}), {"status": "voided", **EDIT}, Step.RECALLED),
    "created, then opted out": (("adopted", {"external_id": "7"}), {"accounting_excluded": True}, Step.RECALLED),
    "created, then paid and opted out": (
        ("created", {"external_id": "7"}),
        {"status": "paid", "accounting_excluded": True},
        Step.RECALLED,
    ),
    "created, then a draft": (("created", {"external_id": "7"}), {"status": "draft", **EDIT}, Step.EXISTS),
    "recalled, still voided": (VOIDED, {"status": "voided"}, Step.KNOWN),
    "recalled, still voided and edited": (VOIDED, {"status": "voided", **EDIT}, Step.KNOWN),
    "recalled, now opted out instead": (VOIDED, {"accounting_excluded": True}, Step.RECALLED),
    "recalled, a draft": (VOIDED, {"status": "draft"}, Step.KNOWN),
    "recalled, open again": (VOIDED, {}, Step.RESTORED),
    "recalled, open again, paid": (VOIDED, {"status": "paid"}, Step.RESTORED),
    "recalled, open again and edited": (VOIDED, EDIT, Step.CHANGED),
    "recalled, retry": (("conflict", {**VOIDED[1], "retry": True}), {"status": "voided"}, Step.RECALLED),
    "changed, then voided": (
        ("conflict", {"external_id": "7", "fault_code": "changed_after_posting"}),
        {"status": "voided"},
        Step.RECALLED,
    ),
    "created, edited": (("created", {"external_id": "7"}), EDIT, Step.CHANGED),
    "adopted, edited": (("adopted", {"external_id": "7"}), EDIT, Step.CHANGED),
    "conflict of an edit, another edit": (("conflict", {"external_id": "7"}), EDIT, Step.CHANGED),
    "conflict of an edit, undone": (("conflict", {"external_id": "7", "seen_sha256": "x"}), {}, Step.RESTORED),
    "created, retry": (("created", {"external_id": "7", "retry": True}), {}, Step.POST),
    "created, retry, voided": (("created", {"external_id": "7", "retry": True}), {"status": "voided"}, Step.RECALLED),
    "rejected, same": (("rejected", {}), {}, Step.KNOWN),
    "rejected, edited": (("rejected", {}), EDIT, Step.POST),
    "rejected, mapping changed": (("rejected", {"mapping_sha256": "m0"}), {}, Step.POST),
    "rejected, retry": (("rejected", {"retry": True}), {}, Step.POST),
    "rejected, opted out": (("rejected", {}), {"accounting_excluded": True}, Step.WITHDRAWN),
    "held by opt-out, still": (("held", {"fault_code": "opted_out"}), {"accounting_excluded": True}, Step.KNOWN),
    "held by opt-out, back": (("held", {"fault_code": "opted_out"}), {}, Step.POST),
    "number taken, same": (("conflict", {}), {}, Step.KNOWN),
    "number taken, edited": (("conflict", {}), EDIT, Step.POST),
    "unknown, rests": (("unknown", {"attempted_at": NOW.subtract(seconds=899)}), {}, Step.WAIT),
    "unknown, rested": (("unknown", {"attempted_at": NOW.subtract(seconds=1100)}), {}, Step.SETTLE),
    "unknown, nobody noted the end": (("unknown", {"attempted_at": NOW.subtract(seconds=1099)}), {}, Step.WAIT),
    "answer lost, rests": (
        ("unknown", {"attempted_at": NOW.subtract(seconds=899), "fault_code": "timeout"}),
        {},
        Step.WAIT,
    ),
    "answer lost, rested": (
        ("unknown", {"attempted_at": NOW.subtract(seconds=900), "fault_code": "timeout"}),
        {},
        Step.SETTLE,
    ),
    "claimed and never sent": (("unknown", {"attempts": 0, "fault_code": "not_sent"}), {}, Step.POST),
    "claimed, never sent, and voided since": (
        ("unknown", {"attempts": 0, "fault_code": "not_sent"}),
        {"status": "voided"},
        Step.WITHDRAWN,
    ),
    "sent before, and claimed without being sent": (
        ("unknown", {"attempted_at": None, "attempts": 1, "fault_code": "not_sent"}),
        {},
        Step.SETTLE,
    ),
    "sent, then claimed and not sent": (
        ("unknown", {"attempted_at": NOW.subtract(seconds=900), "fault_code": "not_sent"}),
        {},
        Step.WAIT,
    ),
    "unknown, edited, rests": (("unknown", {}), EDIT, Step.WAIT),
}


@pytest.mark.parametrize("name", STEPS)
def test_the_next_step(record, name):
    """One table: what the store knows, what OpsMerge says, what is done."""
    before, changes, step = STEPS[name]
    posting = _posting(record, before[0], **before[1]) if before else None
    assert decide(_candidate(record, posting, **changes), Policy(None, 900), NOW) is step


ENDED = {
    "created": (("created", {"external_id": "7"}), Step.EXISTS),
    "in conflict": (VOIDED, Step.RESTORED),
    "created, retry": (("created", {"external_id": "7", "retry": True}), Step.RESTORED),
}


@pytest.mark.parametrize("name", ENDED)
def test_a_void_on_both_sides_is_no_conflict(record, name):
    """Whoever voided first; a retry of it is forgotten, so that nothing is posted when the void is undone later."""
    before, step = ENDED[name]
    posting = _posting(record, before[0], **before[1])
    candidate = replace(_candidate(record, posting, status="voided"), has_ended=True)
    assert decide(candidate, Policy(None, 900), NOW) is step


CREDITS = {
    "no go-live date": ({}, None),
    "no go-live date, paid": ({"status": "paid"}, None),
    "before": ({"issue_date": "2026-10-01"}, date(2026, 11, 2)),
    "before, looked for": ({"issue_date": "2026-10-01"}, date(2026, 11, 2)),
    "after, paid": ({"status": "paid"}, date(2026, 11, 2)),
}


@pytest.mark.parametrize("name", CREDITS)
def test_a_credit_is_refused_whatever_the_go_live_date(record, line, name):
    """It goes where its total is found negative; voided, opted out or a draft it is left."""
    changes, post_from = CREDITS[name]
    policy = Policy(post_from, 900)
    candidate = _candidate(record, lines=[line("-5.00")], **changes)
    left = candidate.content_sha256 if name.endswith("looked for") else None
    assert decide(candidate, policy, NOW, left) is Step.POST
    for withdrawn in ({"status": "voided"}, {"status": "draft"}, {"accounting_excluded": True}):
        gone = _candidate(record, lines=[line("-5.00")], **{**changes, **withdrawn})
        assert decide(gone, policy, NOW) is Step.LEAVE


GO_LIVE = {
    "before": ("2026-11-01", None, Step.ADOPT_ONLY),
    "before, looked for": ("2026-11-01", "same", Step.LEAVE),
    "on the day": ("2026-11-02", None, Step.POST),
}


@pytest.mark.parametrize("name", GO_LIVE)
def test_before_the_go_live_date_nothing_is_created(record, name):
    """Adopted if it is there, looked for once per content."""
    day, left, step = GO_LIVE[name]
    candidate = _candidate(record, issue_date=day)
    content = candidate.content_sha256 if left else None
    assert decide(candidate, Policy(date(2026, 11, 2), 900), NOW, content) is step


def _there(**changes):
    there = LedgerInvoice("7", "INV-2026-0001", date(2026, 11, 2), "58", None, Decimal(100), Decimal(20), Decimal(120))
    return replace(there, **changes)


ADOPTIONS = {
    "same": ([_there()], Same),
    "VAT penny": ([_there(tax=Decimal("20.01"), total=Decimal("120.01"))], Same),
    "number in other case": ([_there(number="inv-2026-0001")], Same),
    "our note, all else different": ([_there(source_id="inv_1", net=Decimal(1), customer_id="9")], Same),
    "another's note": ([_there(source_id="inv_2")], Taken),
    "net": ([_there(net=Decimal("99.99"))], Taken),
    "customer": ([_there(customer_id="59")], Taken),
    "date": ([_there(issue_date=date(2026, 11, 3))], Taken),
    "currency": ([_there(currency="EUR")], Taken),
    "voided by hand": ([_there(voided=True)], Taken),
    "ours, voided": ([_there(voided=True, source_id="inv_1")], Same),
    "nothing": ([], Absent),
    "two, one with our note": ([_there(id="3"), _there(id="9", source_id="inv_1")], Same),
}


@pytest.mark.parametrize("name", ADOPTIONS)
def test_which_invoice_is_the_same(record, name):
    """Our note decides; else number, customer, currency, date and net."""
    found, verdict = ADOPTIONS[name]
    judged = judge("inv_1", records.parse(record(1)), found, "58", COMPANY)
    assert type(judged) is verdict
    if name.startswith("two"):
        assert judged.found.id == "9"


def test_a_retry_looks_past_what_was_voided(record):
    """Only when a person asked for it."""
    voided = [_there(voided=True, source_id="inv_1")]
    assert isinstance(judge("inv_1", records.parse(record(1)), voided, "58", COMPANY, replaced={voided[0].id}), Absent)


TAX = {
    "agrees": ("20.00", "20.00", "post", None),
    "rounding, post": ("0.02", "0.01", "post", None),
    "rounding, hold": ("0.02", "0.01", "hold", "vat_rounding"),
}


@pytest.mark.parametrize("name", TAX)
def test_a_vat_difference_goes_by_policy_only_when_rounding_explains_it(record, line, name):
    """Proved by rounding each line at the very rates of the ledger's codes."""
    said, ledger, policy, code = TAX[name]
    lines = [line("100.00")] if said == "20.00" else [line("0.03"), line("0.03")]
    invoice = records.parse(record(1, lines=lines))
    hold = checks.check_tax(invoice, Decimal(ledger), (Decimal(20),) * len(lines), policy)
    assert (hold.code if hold else None) == code


def test_a_vat_difference_that_is_no_rounding_is_rejected(record, line):
    """Even a penny."""
    invoice = records.parse(record(1, lines=[line("100.00", tax_amount=Decimal("20.01"))]))
    with pytest.raises(Reject, match="rounding does not explain it"):
        checks.check_tax(invoice, Decimal("20.00"), (Decimal(20),), "post")


def test_the_backoff_is_full_jitter_within_bounds():
    """From nothing to a bound that doubles, never above a minute."""
    assert [backoff_seconds(n, 1.0) for n in (2, 3, 4, 11)] == [2.0, 4.0, 8.0, 60.0]
    assert backoff_seconds(3, 0.0) == 0.0


MAPPINGS = {
    "unknown key": "version: 1\nservice: {}",
    "no version": "services: {}",
    "version 2": "version: 2",
    "a list": "[1]",
    "id without quotes": "version: 1\nclients: {cl_1: {customer_id: 58}}",
    "key without quotes": "version: 1\nclients: {7: {customer: Acme}}",
    "wrong word": "version: 1\nservices: {a: {customer: b}}",
    "empty entry": "version: 1\nservices: {a: {}}",
    "empty name": 'version: 1\nservices: {a: {item: " "}}',
    "key twice": "version: 1\nservices: {a: {item: b}, a: {item: c}}",
    "no YAML": "version: [",
}


@pytest.mark.parametrize("name", MAPPINGS)
def test_a_wrong_mapping_file_is_exit_78_with_the_place(tmp_path, name):
    """Nothing is guessed."""
    path = tmp_path / "mappings.yml"
    path.write_text(MAPPINGS[name])
    with pytest.raises(Halt) as caught:
        load(path)
    assert caught.value.exit_code == 78
    assert "mappings.yml" in caught.value.message


def test_the_mapping_file_as_documented(tmp_path):
    """Ids before names; a missing or empty file maps nothing."""
    document = {
        "version": 1,
        "services": {"svc_12": {"item": "Managed Support"}, "Backup": {"item_id": "20"}},
        "tax_codes": {"VAT Standard 20%": {"tax_code": "20.0% S"}},
        "clients": {"cl_7": {"customer_id": "58"}, "cl_9": {"customer": "Acme (London)"}},
    }
    mappings = parse(document)
    assert mappings.service("svc_12", "Backup").name == "Managed Support"
    assert mappings.service("svc_1", "Backup").id == "20"
    assert mappings.tax_code(None, "VAT Standard 20%").name == "20.0% S"
    assert mappings.client("cl_7").id == "58"
    assert load(tmp_path / "none.yml") == parse(None)
