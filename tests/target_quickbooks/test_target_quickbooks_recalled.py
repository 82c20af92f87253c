"""Voided or opted out in OpsMerge after posting: told at once, once, and over when both sides agree again."""

from __future__ import annotations

import pytest

from books.store import Store
from books.writeback.balances import Balances

REALM = "9341453000000001"
RECALLS = {
    "voided": ({"status": "voided"}, "voided_after_posting", "voided in OpsMerge"),
    "opted out": ({"accounting_excluded": True}, "excluded_after_posting", "opted out in OpsMerge"),
}


def seen_by_the_pull(bridge, external_id, status):
    """What target-opsmerge takes in when tap-quickbooks-payments shows the invoice as voided or deleted."""
    store = Store.open(bridge.store_url, bridge.clock)
    row = {"connection": f"sandbox:{REALM}", "id": external_id, "status": status, "updated_at": "2026-11-27T09:00:00Z"}
    Balances(store).ingest([row if status == "deleted" else {**row, "sync_token": "9", "total_amount": "0"}])
    store.close()


@pytest.mark.parametrize("name", RECALLS)
def test_a_void_or_opt_out_after_posting_is_a_conflict_at_once_and_once(bridge, record, name):
    """Fault code, words and remedy; the id stays; no second row, no call, until OpsMerge takes it back."""
    changes, code, words = RECALLS[name]
    bridge.push(record(1), record(2))
    posted = bridge.postings()["inv_1"]
    pushed = bridge.push(record(1, **changes), record(2))
    told = bridge.postings()["inv_1"]
    assert (told["outcome"], told["fault_code"]) == ("conflict", code)
    assert told["external_id"] == posted["external_id"]
    assert words in told["fault_message"]
    assert "Void it in QuickBooks" in told["remedy"]
    assert f"INV-2026-0001 conflict at {told['fault_field']}: {words}" in pushed.log
    assert pushed.calls == {("GET", "query"): 1}
    for _ in range(2):
        again = bridge.push(record(1, **changes))
        assert (again.calls, bridge.postings()["inv_1"]["seq"]) == ({}, told["seq"])
        assert "1 still conflict" in again.log
    assert not bridge.push().calls
    assert not bridge.push(record(1)).calls
    back = bridge.postings()["inv_1"]
    assert (back["outcome"], back["fault_code"], back["external_id"]) == ("created", None, posted["external_id"])
    assert [each["DocNumber"] for each in bridge.books()] == ["INV-2026-0001", "INV-2026-0002"]


@pytest.mark.parametrize("status", ["voided", "deleted"])
def test_it_ends_when_the_pull_has_seen_the_document_voided_or_deleted(bridge, record, status):
    """With no call and no input: the next push reads what the pull left in the store."""
    bridge.push(record(1))
    bridge.push(record(1, status="voided"))
    conflict = bridge.postings()["inv_1"]
    assert conflict["outcome"] == "conflict"
    seen_by_the_pull(bridge, conflict["external_id"], status)
    pushed = bridge.push()
    ended = bridge.postings()["inv_1"]
    assert (ended["outcome"], ended["fault_code"]) == ("created", None)
    assert (ended["external_id"], ended["seq"] > conflict["seq"]) == (conflict["external_id"], True)
    assert not pushed.calls
    assert not bridge.push(record(1, status="voided")).calls
    assert bridge.postings()["inv_1"]["seq"] == ended["seq"]


@pytest.mark.parametrize("deed", ["void_invoice", "delete_invoice"])
def test_what_ended_in_quickbooks_first_is_no_conflict(sqlite_bridge, record, deed):
    """Asked once, by id, when the void is first seen in OpsMerge: one call, and none after it."""
    sqlite_bridge.push(record(1), record(2))
    sqlite_bridge.sim.control.deed(deed, invoice="INV-2026-0001")
    sqlite_bridge.clock.advance(7200)
    assert sqlite_bridge.push(record(1, status="voided")).calls["GET", "query"] == 1
    assert sqlite_bridge.postings()["inv_1"]["outcome"] == "created"
    assert not sqlite_bridge.push(record(1, status="voided")).calls


def test_a_list_that_lags_hides_no_conflict(sqlite_bridge, record):
    """What was posted within the hour and is missing from QuickBooks' list counts as valid."""
    sqlite_bridge.push(record(1))
    sqlite_bridge.sim.control.deed("delete_invoice", invoice="INV-2026-0001")
    sqlite_bridge.push(record(1, status="voided"))
    assert sqlite_bridge.postings()["inv_1"]["fault_code"] == "voided_after_posting"


def test_a_dead_connection_does_not_delay_the_conflict(sqlite_bridge, record):
    """QuickBooks cannot be asked, and the conflict is there all the same."""
    sqlite_bridge.push(record(1))
    sqlite_bridge.sim.control.deed("disconnect")
    sqlite_bridge.clock.advance(7200)
    pushed = sqlite_bridge.push(record(1, status="voided"))
    assert sqlite_bridge.postings()["inv_1"]["fault_code"] == "voided_after_posting"
    assert (pushed.halt, len(pushed.states)) == (None, 1)


def test_a_retry_of_it_sends_nothing(sqlite_bridge, record):
    """QuickBooks is asked again; while the document stands the conflict stays, and no later run posts anything."""
    sqlite_bridge.push(record(1))
    sqlite_bridge.push(record(1, status="voided"))
    sqlite_bridge.retry("INV-2026-0001")
    assert sqlite_bridge.push().calls == {("GET", "query"): 1}
    told = sqlite_bridge.postings()["inv_1"]
    assert (told["outcome"], told["retry"]) == ("conflict", False)
    sqlite_bridge.sim.control.deed("void_invoice", invoice="INV-2026-0001")
    sqlite_bridge.retry("INV-2026-0001")
    sqlite_bridge.push()
    told = sqlite_bridge.postings()["inv_1"]
    assert (told["outcome"], told["retry"]) == ("created", False)
    assert not sqlite_bridge.push(record(1, status="voided")).calls
    assert len(sqlite_bridge.books()) == 1


def test_an_edit_that_comes_with_the_way_back_is_the_next_conflict(sqlite_bridge, record, line):
    """Taken back with another content, it is changed after posting; the id stays."""
    sqlite_bridge.push(record(1))
    edited = {"lines": [line("120.00")]}
    sqlite_bridge.push(record(1, status="voided", **edited))
    assert sqlite_bridge.postings()["inv_1"]["fault_code"] == "voided_after_posting"
    sqlite_bridge.push(record(1, **edited))
    told = sqlite_bridge.postings()["inv_1"]
    assert (told["fault_code"], bool(told["external_id"])) == ("changed_after_posting", True)


@pytest.mark.parametrize("there", [True, False])
def test_a_void_while_the_answer_was_out_is_told_when_it_is_settled(sqlite_bridge, record, there):
    """Found in QuickBooks: adopted and in conflict, in one run. Not there: never sent again."""
    sqlite_bridge.push(record(4))
    sqlite_bridge.sim.control.fault("cut_after" if there else "cut_before", method="POST", path="batch")
    sqlite_bridge.push(record(1))
    assert sqlite_bridge.postings()["inv_1"]["outcome"] == "unknown"
    sqlite_bridge.push(record(1, status="voided"))
    assert sqlite_bridge.postings()["inv_1"]["outcome"] == "unknown"
    sqlite_bridge.clock.advance(1000)
    sqlite_bridge.push()
    told = sqlite_bridge.postings()["inv_1"]
    wanted = ("conflict", "voided_after_posting", True) if there else ("held", "voided", False)
    assert (told["outcome"], told["fault_code"], bool(told["external_id"])) == wanted
    assert len(sqlite_bridge.books()) == 1 + int(there)


def test_a_plan_shows_it_and_writes_nothing(sqlite_bridge, record):
    """By the same function as a push."""
    sqlite_bridge.push(record(1))
    seq = sqlite_bridge.postings()["inv_1"]["seq"]
    planned = sqlite_bridge.push(record(1, status="voided"), dry_run=True)
    assert "conflict   INV-2026-0001" in planned.log
    assert "voided in OpsMerge after it was posted" in planned.log
    assert sqlite_bridge.postings()["inv_1"]["seq"] == seq


CREDITS = {
    "no go-live date": {},
    "before the go-live date": {"post_from": "2026-11-20"},
    "after it": {"post_from": "2026-11-01"},
}


@pytest.mark.parametrize("name", CREDITS)
@pytest.mark.parametrize("status", ["open", "paid"])
def test_a_credit_gets_the_same_words_whatever_the_go_live_date(sqlite_bridge, record, line, name, status):
    """Refused once, with what to do; the next run says nothing new."""
    credit = record(1, lines=[line("-5.00")], status=status)
    sqlite_bridge.push(credit, **CREDITS[name])
    told = sqlite_bridge.postings()["inv_1"]
    assert (told["outcome"], told["fault_code"]) == ("rejected", "negative_total")
    assert (told["fault_message"], told["remedy"][:34]) == (
        "the total -6.00 is negative",
        "Enter it as a credit note in Quick",
    )
    assert not sqlite_bridge.push(credit, **CREDITS[name]).calls
    assert sqlite_bridge.postings()["inv_1"]["seq"] == told["seq"]
