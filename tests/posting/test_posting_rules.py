"""The pure rules: what a record says, what counts as a change, what to do next, what is the same invoice."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pendulum
import pytest
from schedules import ListSpool
from worlds import make_record

from books.core.backoff import backoff_seconds
from books.core.clock import VirtualClock
from books.core.faults import Halt, Reject
from books.ledgers.contract import Company, Customer, KeyScope, LedgerInvoice
from books.ledgers.pretend import PretendLedger
from books.posting import checks, records
from books.posting.adoption import Absent, Same, Taken, by_number, fold, identify
from books.posting.candidates import Candidate
from books.posting.choices import Catalogue, Choices
from books.posting.decide import Action, Found, Known, Need, Policy, decide
from books.posting.eligibility import Scope
from books.posting.finding import Finder
from books.posting.gate import Gate
from books.posting.journal_in_memory import MemoryJournal
from books.posting.judging import InvoiceJudge, KnownReferences
from books.posting.mappings import Mappings, load, parse
from books.posting.postings import Outcome, Posting
from books.posting.run import Options, PushRun

NOW = pendulum.datetime(2026, 11, 2, 9)
COMPANY = Company("s:1", "Co", "GB", "GBP", currencies=frozenset({"GBP"}), closed_until=None)

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
        company_id="1",
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
POSTED = {"external_id": "7"}
CREATE, EXISTS, KNOWN, LEAVE, WAIT = Action.CREATE, Action.EXISTS, Action.KNOWN, Action.LEAVE, Action.WAIT
RESTORE, SEND_AGAIN, LEAVE_ALONE = Action.RESTORE, Action.SEND_AGAIN, Action.LEAVE_ALONE
CHANGED, VOID, OPT_OUT = "changed_after_posting", "voided_after_posting", "excluded_after_posting"
"""Fault codes of conflicts with what is in the ledger."""

REFUSED = (Action.REJECT, Action.HOLD, Action.CONFLICT)
RECORDED = (*REFUSED, RESTORE)

DECISIONS = {
    "new and open": (None, {}, CREATE),
    "new and overdue": (None, {"status": "overdue"}, CREATE),
    "new and paid": (None, {"status": "paid"}, LEAVE),
    "new and draft": (None, {"status": "draft"}, LEAVE),
    "new and voided": (None, {"status": "voided"}, LEAVE),
    "new and opted out": (None, {"accounting_excluded": True}, LEAVE),
    "created, same": (("created", POSTED), {}, EXISTS),
    "created, then paid": (("created", POSTED), {"status": "paid"}, EXISTS),
    "created, then voided": (("created", POSTED), {"status": "voided"}, VOID),
    "created, then voided and edited": (("created", POSTED), {"status": "voided", **EDIT}, VOID),
    "created, then opted out": (("adopted", POSTED), {"accounting_excluded": True}, OPT_OUT),
    "created, then paid and opted out": (
        ("created", POSTED),
        {"status": "paid", "accounting_excluded": True},
        OPT_OUT,
    ),
    "created, then a draft": (("created", POSTED), {"status": "draft", **EDIT}, EXISTS),
    "recalled, still voided": (VOIDED, {"status": "voided"}, KNOWN),
    "recalled, still voided and edited": (VOIDED, {"status": "voided", **EDIT}, KNOWN),
    "recalled, now opted out instead": (VOIDED, {"accounting_excluded": True}, OPT_OUT),
    "recalled, a draft": (VOIDED, {"status": "draft"}, KNOWN),
    "recalled, open again": (VOIDED, {}, RESTORE),
    "recalled, open again, paid": (VOIDED, {"status": "paid"}, RESTORE),
    "recalled, open again and edited": (VOIDED, EDIT, CHANGED),
    "recalled, retry": (("conflict", {**VOIDED[1], "retry": True}), {"status": "voided"}, VOID),
    "changed, then voided": (("conflict", {**POSTED, "fault_code": CHANGED}), {"status": "voided"}, VOID),
    "created, edited": (("created", POSTED), EDIT, CHANGED),
    "adopted, edited": (("adopted", POSTED), EDIT, CHANGED),
    "conflict of an edit, another edit": (("conflict", POSTED), EDIT, CHANGED),
    "conflict of an edit, undone": (("conflict", {**POSTED, "seen_sha256": "x"}), {}, RESTORE),
    "created, retry": (("created", {**POSTED, "retry": True}), {}, CREATE),
    "created, retry, voided": (("created", {**POSTED, "retry": True}), {"status": "voided"}, VOID),
    "rejected, same": (("rejected", {}), {}, KNOWN),
    "rejected, edited": (("rejected", {}), EDIT, CREATE),
    "rejected, mapping changed": (("rejected", {"mapping_sha256": "m0"}), {}, CREATE),
    "rejected, retry": (("rejected", {"retry": True}), {}, CREATE),
    "rejected, opted out": (("rejected", {}), {"accounting_excluded": True}, "opted_out"),
    "held by opt-out, still": (("held", {"fault_code": "opted_out"}), {"accounting_excluded": True}, KNOWN),
    "held by opt-out, back": (("held", {"fault_code": "opted_out"}), {}, CREATE),
    "number taken, same": (("conflict", {}), {}, KNOWN),
    "number taken, edited": (("conflict", {}), EDIT, CREATE),
    "unknown, rests": (("unknown", {"attempted_at": NOW.subtract(seconds=899)}), {}, WAIT),
    "unknown, rested": (("unknown", {"attempted_at": NOW.subtract(seconds=1100)}), {}, SEND_AGAIN),
    "unknown, rested, edited": (("unknown", {"attempted_at": NOW.subtract(seconds=1100)}), EDIT, CREATE),
    "unknown, rested, voided": (
        ("unknown", {"attempted_at": NOW.subtract(seconds=1100)}),
        {"status": "voided"},
        "voided",
    ),
    "unknown, nobody noted the end": (("unknown", {"attempted_at": NOW.subtract(seconds=1099)}), {}, WAIT),
    "answer lost, rests": (
        ("unknown", {"attempted_at": NOW.subtract(seconds=899), "fault_code": "timeout"}),
        {},
        WAIT,
    ),
    "answer lost, rested": (
        ("unknown", {"attempted_at": NOW.subtract(seconds=900), "fault_code": "timeout"}),
        {},
        SEND_AGAIN,
    ),
    "claimed and never sent": (("unknown", {"attempts": 0, "fault_code": "not_sent"}), {}, CREATE),
    "claimed, never sent, and voided since": (
        ("unknown", {"attempts": 0, "fault_code": "not_sent"}),
        {"status": "voided"},
        "voided",
    ),
    "sent before, and claimed without being sent": (
        ("unknown", {"attempted_at": None, "attempts": 1, "fault_code": "not_sent"}),
        {},
        SEND_AGAIN,
    ),
    "sent, then claimed and not sent": (
        ("unknown", {"attempted_at": NOW.subtract(seconds=900), "fault_code": "not_sent"}),
        {},
        WAIT,
    ),
    "unknown, edited, rests": (("unknown", {}), EDIT, WAIT),
    "disconnected, missing": (("held", {"fault_code": "disconnected"}), {}, "no_longer_in_the_books"),
    "disconnected, missing, retry": (("held", {"fault_code": "disconnected", "retry": True}), {}, CREATE),
    "disconnected, missing, voided": (("held", {"fault_code": "disconnected"}), {"status": "voided"}, "voided"),
    "missing after a disconnect, same": (("held", {"fault_code": "no_longer_in_the_books"}), EDIT, KNOWN),
}


def _policy(post_from=None, gate=None):
    return Policy(Scope(post_from, "s:1"), 900, gate=gate or Gate())


def _decide(candidates, ledger_has=(), policy=None, answered=True, found=None, **known):
    """Return the decisions on these candidates, by a ledger that has these invoices and nothing else."""
    policy = policy or _policy()
    ledger = PretendLedger(VirtualClock())
    judge = InvoiceJudge(ledger, COMPANY, Choices(Mappings(), Catalogue(), "Sales", "Costs"), "post", KnownReferences())
    numbers = {fold(each.number) for each in candidates} | {
        fold(each.known.number) for each in candidates if each.posting
    }
    found = found or Found(numbers, by_number(ledger_has), documents={"7"})
    found = found if answered else Found()
    Finder(ledger, MemoryJournal(VirtualClock()), judge).find([each.invoice for each in candidates if each.invoice])
    judge.known.clients["cl_1"] = Customer("58", "Acme Ltd")
    return decide(candidates, Known(NOW, **known), found, judge, policy)


def _outcome(decision):
    return decision.reason.code if decision.action in REFUSED else decision.action


@pytest.mark.parametrize("name", DECISIONS)
def test_what_happens_to_an_invoice(record, name):
    """One table: what the store knows, what OpsMerge says, what is done, where the ledger has nothing of it."""
    before, changes, wanted = DECISIONS[name]
    posting = _posting(record, before[0], **before[1]) if before else None
    [decision] = _decide([_candidate(record, posting, **changes)])
    assert _outcome(decision) == wanted
    if decision.action is not WAIT:
        assert (decision.row is not None) is (decision.action in RECORDED)


NEEDS = {
    "new": (None, {}, Need.NUMBER),
    "unknown, rested": (("unknown", {"attempted_at": None}), {}, Need.NUMBER),
    "voided after posting": (("created", POSTED), {"status": "voided"}, Need.DOCUMENT),
    "draft": (None, {"status": "draft"}, None),
    "created, same": (("created", POSTED), {}, None),
    "rejected, same": (("rejected", {}), {}, None),
}


@pytest.mark.parametrize("name", NEEDS)
def test_the_ledger_is_asked_only_for_what_a_decision_needs(record, name):
    """By number before anything is created, by id before a void is called a conflict, and else not at all."""
    before, changes, need = NEEDS[name]
    posting = _posting(record, before[0], **before[1]) if before else None
    [decision] = _decide([_candidate(record, posting, **changes)], answered=False)
    assert (decision.need, decision.action is Action.ASK) == (need, need is not None)


ENDED = {
    "created": (("created", POSTED), EXISTS),
    "in conflict": (VOIDED, RESTORE),
    "created, retry": (("created", {**POSTED, "retry": True}), RESTORE),
}


@pytest.mark.parametrize("name", ENDED)
def test_a_void_on_both_sides_is_no_conflict(record, name):
    """Whoever voided first; a retry of it is forgotten, so that nothing is posted when the void is undone later."""
    before, wanted = ENDED[name]
    posting = _posting(record, before[0], **before[1])
    [decision] = _decide([_candidate(record, posting, status="voided")], ended={"7": "voided"})
    assert decision.action is wanted
    assert not decision.row.retry
    assert decision.row.record == _candidate(record, status="voided").record  # what a retry from the store decides on


CREDITS = {
    "no go-live date": ({}, None),
    "no go-live date, paid": ({"status": "paid"}, None),
    "before": ({"issue_date": "2026-10-01"}, date(2026, 11, 2)),
    "before, looked for": ({"issue_date": "2026-10-01"}, date(2026, 11, 2)),
    "after, paid": ({"status": "paid"}, date(2026, 11, 2)),
}


@pytest.mark.parametrize("name", CREDITS)
def test_a_credit_is_refused_whatever_the_go_live_date(record, line, name):
    """Its total is negative; voided, opted out or a draft it is left."""
    changes, post_from = CREDITS[name]
    policy = _policy(post_from)
    candidate = _candidate(record, lines=[line("-5.00")], **changes)
    left = {"inv_1": candidate.content_sha256} if name.endswith("looked for") else {}
    [decision] = _decide([candidate], policy=policy, left_alone=left)
    assert _outcome(decision) == "negative_total"
    for withdrawn in ({"status": "voided"}, {"status": "draft"}, {"accounting_excluded": True}):
        gone = _candidate(record, lines=[line("-5.00")], **{**changes, **withdrawn})
        assert _decide([gone], policy=policy)[0].action is LEAVE


GO_LIVE = {
    "before": ("2026-11-01", None, LEAVE_ALONE),
    "before, looked for": ("2026-11-01", "same", LEAVE),
    "on the day": ("2026-11-02", None, CREATE),
}


@pytest.mark.parametrize("name", GO_LIVE)
def test_before_the_go_live_date_nothing_is_created(record, name):
    """Adopted if it is there, looked for once per content."""
    day, left, wanted = GO_LIVE[name]
    candidate = _candidate(record, issue_date=day)
    alone = {"inv_1": candidate.content_sha256} if left else {}
    assert _decide([candidate], policy=_policy(date(2026, 11, 2)), left_alone=alone)[0].action is wanted


EARLIER = {
    "its answer was lost": ("unknown", {"attempted_at": None}, {}),
    "its answer was lost, and it was edited": ("unknown", {"attempted_at": None}, EDIT),
    "a retry of what was deleted": ("created", {**POSTED, "retry": True}, {}),
    "claimed and never sent": ("unknown", {"attempts": 0, "fault_code": "not_sent"}, {}),
    "refused, then edited": ("rejected", {}, EDIT),
}


@pytest.mark.parametrize("name", EARLIER)
def test_before_the_go_live_date_nothing_is_sent_whatever_became_of_it(record, name):
    """A go-live date that was moved, or an invoice that was dated back: not sent again, not created."""
    outcome, fields, changes = EARLIER[name]
    candidate = _candidate(record, _posting(record, outcome, **fields), **changes)
    [decision] = _decide([candidate], policy=_policy(date(2026, 11, 3)))
    assert (decision.action, decision.row.fault_code) == (LEAVE_ALONE, "before_post_from")


def test_of_two_invoices_of_one_number_one_is_created(record):
    """The first; no look-up could see it, because it is only about to be sent."""
    first, second = _candidate(record), replace(_candidate(record), id="inv_2", number="inv-2026-0001 ")
    created, refused = _decide([first, second])
    assert (created.action, _outcome(refused)) == (CREATE, "number_twice")
    assert "inv_1" in refused.reason.message


@pytest.mark.parametrize("resting", [True, False])
def test_a_number_that_is_on_its_way_is_not_used_again(record, resting):
    """Of an invoice whose answer is lost: while it rests, and when it is sent again in this very run."""
    lost = _posting(record, "unknown", attempted_at=NOW if resting else NOW.subtract(seconds=1100))
    second = replace(_candidate(record), id="inv_2")
    decisions = _decide([second, _candidate(record, lost)], in_flight={"inv-2026-0001": "inv_1"})
    assert [_outcome(each) for each in decisions] == ["number_twice", WAIT if resting else SEND_AGAIN]


def test_one_invoice_adopts_a_document(record):
    """Two that would are one adoption and one conflict, and the one that was posted before comes first."""
    lost = _posting(record, "held", fault_code="disconnected")
    new, before = replace(_candidate(record), id="inv_2"), _candidate(record, lost)
    decisions = _decide([new, before], [_there()], former={"inv_1": "7"})
    assert [_outcome(each) for each in decisions] == ["number_taken", Action.ADOPT]


def test_a_number_that_was_taken_by_one_on_its_way_is_looked_at_again(record):
    """At every push: recorded once while that one is out, created when it turned out not to be there."""
    [refused] = _decide([replace(_candidate(record), id="inv_2")], in_flight={"inv-2026-0001": "inv_1"})
    again = replace(_candidate(record, refused.row), id="inv_2")
    assert _decide([again], in_flight={"inv-2026-0001": "inv_1"})[0].action is KNOWN
    assert _decide([again])[0].action is CREATE


def test_a_retry_of_what_a_bookkeeper_renumbered_sends_nothing(record):
    """It is looked up by the id that it was posted as, too."""
    posting = _posting(record, "created", **POSTED, retry=True)
    found = Found({"inv-2026-0001"}, {}, {"7": _there(number="INV-2026-0001A", source_id="inv_1")})
    [decision] = _decide([_candidate(record, posting)], found=found)
    assert decision.action is Action.STILL_THERE


def test_a_retry_of_a_record_that_cannot_be_read_keeps_the_id(record):
    """What is in the ledger stays known."""
    posting = _posting(record, "created", **POSTED, retry=True)
    broken = replace(_candidate(record, posting), invoice=None, problem=Reject("unreadable", code="wrong_type"))
    assert _decide([broken])[0].row is None


def test_what_is_still_there_is_adopted_by_nobody_else(record):
    """Two invoices of one number and the same values, one document that a retry finds still there."""
    posted = _posting(record, "adopted", **POSTED, retry=True)
    decisions = _decide([_candidate(record, posted), replace(_candidate(record), id="inv_2")], [_there()])
    assert [_outcome(each) for each in decisions] == [Action.STILL_THERE, "number_taken"]


def test_behind_a_shut_gate_what_is_not_ours_waits_for_a_plan(record):
    """Even where OpsMerge names another id, which is gone: the plan shows what is there."""
    [decision] = _decide([_candidate(record)], [_there()], _policy(gate=Gate(shut="no plan")), former={"inv_1": "55"})
    assert _outcome(decision) == "plan_needed"


def test_every_problem_of_an_invoice_is_named(record, line):
    """A push shows the first, preflight all: one list."""
    wrong = _candidate(record, currency="EUR", lines=[line("100.00", tax_code_name="None such")])
    [decision] = _decide([wrong])
    codes = [each.reason.code for each in decision.judged.problems]
    assert codes == ["currency_off", "tax_code_missing", "customer_currency"]
    assert (decision.action, decision.reason.code) == (Action.REJECT, "currency_off")


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
    "ours, one voided and one live": (
        [_there(id="3", voided=True, source_id="inv_1"), _there(id="9", source_id="inv_1")],
        Same,
    ),
    "two, one with our note": ([_there(id="3"), _there(id="9", source_id="inv_1")], Same),
}


@pytest.mark.parametrize("name", ADOPTIONS)
def test_which_invoice_is_the_same(record, name):
    """Our note decides; else number, customer, currency, date and net."""
    found, verdict = ADOPTIONS[name]
    judged = identify("inv_1", records.parse(record(1)), found, "58", COMPANY)
    assert type(judged) is verdict
    if len(found) > 1:
        assert judged.found.id == "9"


def test_a_retry_looks_past_what_was_voided(record):
    """Only when a person asked for it."""
    voided = [_there(voided=True, source_id="inv_1")]
    assert isinstance(
        identify("inv_1", records.parse(record(1)), voided, "58", COMPANY, replaced={voided[0].id}), Absent
    )


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


@pytest.mark.parametrize(
    ("scope", "seconds", "refused"),
    [(KeyScope.CALL, 359, True), (KeyScope.CALL, 360, False), (KeyScope.MEMBER, 0, False)],
)
def test_a_settle_wait_is_no_shorter_than_a_key_of_a_call_lives(scope, seconds, refused):
    """Sent again under a key that is still remembered, a call would be answered with its first error."""
    can = PretendLedger(VirtualClock(), key_scope=scope).capabilities
    if not refused:
        checks.check_settle_wait(can, seconds)
        return
    with pytest.raises(Halt, match="settle_seconds is 359, and the pretend ledger remembers") as caught:
        checks.check_settle_wait(can, seconds)
    assert "360 or more" in caught.value.remedy


def test_a_push_refuses_a_settle_wait_that_is_too_short():
    """Before anything is sent."""
    ledger, journal = PretendLedger(VirtualClock(), key_scope=KeyScope.CALL), MemoryJournal(VirtualClock())
    run = PushRun(
        ledger,
        journal,
        VirtualClock(),
        Options(settle_seconds=60),
        Choices(Mappings(), Catalogue(), "Sales", "Costs"),
        lambda _point: None,
        logging.getLogger("test"),
    )
    record = make_record(1)
    with pytest.raises(Halt, match="settle_seconds is 60"):
        run.execute(ListSpool({record["id"]: records.kept(record)}))
    assert ledger.invoices == {}
