"""What the network does to a batch: nothing is doubled, lost or left half-written, on both kinds of store."""

from __future__ import annotations

import pytest

BATCH = {"method": "POST", "path": "/batch"}

ANSWERED = {
    "503 before": ({"kind": "5xx_before"}, "created"),
    "504 after the commit": ({"kind": "5xx_after"}, "adopted"),
    "gateway page before": ({"kind": "html"}, "created"),
    "gateway page after the commit": ({"kind": "html", "after": True}, "adopted"),
    "four times 503": ({"kind": "5xx_before", "times": 4}, "created"),
}

LOST = {
    "cut before": ({"kind": "cut_before"}, "created"),
    "cut after the commit": ({"kind": "cut_after"}, "adopted"),
    "truncated answer": ({"kind": "truncated"}, "adopted"),
    "hang": ({"kind": "hang"}, "created"),
    "hang after the commit": ({"kind": "hang", "after": True}, "adopted"),
    "applied late": ({"kind": "late"}, "adopted"),
}


def _known(bridge, record):
    """The customer and the item exist, so that the next batch is the one of invoices."""
    bridge.push(record(1))


@pytest.mark.parametrize("name", ANSWERED)
def test_a_server_error_is_settled_in_the_same_run(bridge, record, name):
    """Back off, look up by number, adopt what is there, send the rest again under the same key."""
    fault, outcome = ANSWERED[name]
    _known(bridge, record)
    bridge.sim.control.fault(**fault, **BATCH)
    pushed = bridge.push(record(4))
    posting = bridge.postings()["inv_4"]
    assert (pushed.halt, posting["outcome"]) == (None, outcome)
    assert len(bridge.books()) == 2
    keys = {
        each["query"]
        for each in bridge.sim.control.requests()
        if "INV-2026-0004" in each["body"] and "batch" in each["path"]
    }
    assert len(keys) == 1
    assert posting["attempts"] == (fault.get("times", 1) + 1 if outcome == "created" else 1)


@pytest.mark.parametrize("name", LOST)
def test_a_lost_answer_is_unknown_until_a_later_run_settles_it(bridge, record, name):
    """Not sent again before the settle wait; then looked up, adopted or sent with the same bytes under the same key."""
    fault, outcome = LOST[name]
    _known(bridge, record)
    bridge.sim.control.fault(**fault, **BATCH)
    pushed = bridge.push(record(4))
    unknown = bridge.postings()["inv_4"]
    assert (pushed.halt, unknown["outcome"]) == (None, "unknown")
    assert pushed.states == ['{"upto": 1}']
    assert not bridge.push().calls, "it rests first"
    bridge.clock.advance(901)
    bridge.push()
    settled = bridge.postings()["inv_4"]
    assert settled["outcome"] == outcome
    assert len(bridge.books()) == 2
    assert (settled["request_id"], settled["bid"]) == (unknown["request_id"], unknown["bid"])
    assert settled["payload_sha256"] == unknown["payload_sha256"]
    assert settled["seq"] > unknown["seq"]


def test_settle_seconds_0_settles_in_the_next_run(sqlite_bridge, record):
    """No rest is allowed, for whoever trusts the keys alone."""
    _known(sqlite_bridge, record)
    sqlite_bridge.sim.control.fault("cut_after", **BATCH)
    sqlite_bridge.push(record(4), settle_seconds=0)
    sqlite_bridge.push(settle_seconds=0)
    assert sqlite_bridge.postings()["inv_4"]["outcome"] == "adopted"


MEANWHILE = {
    "voided": ({"status": "voided"}, "held", "voided", 1),
    "opted out": ({"accounting_excluded": True}, "held", "opted_out", 1),
    "edited": ({"due_date": "2026-12-24"}, "created", None, 2),
}


@pytest.mark.parametrize("name", MEANWHILE)
def test_what_happens_in_opsmerge_while_a_posting_rests_wins(bridge, record, name):
    """A void or an opt-out lets go of it; an edit sends the new content under a new key."""
    changes, outcome, code, count = MEANWHILE[name]
    _known(bridge, record)
    bridge.sim.control.fault("cut_before", **BATCH)
    bridge.push(record(4))
    unknown = bridge.postings()["inv_4"]
    assert not bridge.push(record(4, **changes)).calls
    bridge.clock.advance(901)
    bridge.push()
    settled = bridge.postings()["inv_4"]
    assert (settled["outcome"], settled["fault_code"]) == (outcome, code)
    invoices = bridge.books()
    assert len(invoices) == count
    if outcome == "created":
        assert settled["request_id"] != unknown["request_id"]
        assert [each["DueDate"] for each in invoices if each["DocNumber"] == "INV-2026-0004"] == ["2026-12-24"]


def test_an_edit_of_what_turns_out_to_be_posted_is_a_conflict(bridge, record):
    """The lost request had arrived: it is adopted, and the edit is told, with the id."""
    _known(bridge, record)
    bridge.sim.control.fault("cut_after", **BATCH)
    bridge.push(record(4))
    bridge.push(record(4, due_date="2026-12-24"))
    bridge.clock.advance(901)
    bridge.push()
    posting = bridge.postings()["inv_4"]
    assert (posting["outcome"], posting["fault_code"]) == ("conflict", "changed_after_posting")
    assert posting["external_id"]
    assert len(bridge.books()) == 2


def test_an_answer_that_leaves_items_out_is_looked_up(sqlite_bridge, record):
    """Missing bIds count as unknown, never as failures or successes."""
    _known(sqlite_bridge, record)
    sqlite_bridge.sim.control.switches(batch_empty_answers=1)
    sqlite_bridge.push(record(4), record(7))
    postings = sqlite_bridge.postings()
    assert {postings["inv_4"]["outcome"], postings["inv_7"]["outcome"]} <= {"adopted", "created"}
    assert len(sqlite_bridge.books()) == 3


def test_one_faulty_item_costs_nothing_to_the_others(sqlite_bridge, record):
    """A batch's items are independent: the refused one is rejected with QuickBooks' own words and intuit_tid."""
    _known(sqlite_bridge, record)
    sqlite_bridge.map('services: {"Other": {item_id: "1"}}\nclients: {cl_2: {customer: "Client 2"}}\n')
    sqlite_bridge.sim.control.seed({"entities": {"Customer": [{"DisplayName": "Client 2"}]}})
    sqlite_bridge.push(record(2))
    sqlite_bridge.sim.control.deed("deactivate_customer", customer="Client 2")
    sqlite_bridge.push(record(4), record(5), record(7))
    postings = sqlite_bridge.postings()
    assert [postings[f"inv_{n}"]["outcome"] for n in (4, 5, 7)] == ["created", "rejected", "created"]
    assert postings["inv_5"]["fault_code"] in ("610", "2500", "customer_inactive")


def test_what_a_refused_call_claimed_is_posted_by_the_next_run_whatever_it_reads(sqlite_bridge, record):
    """Exit code 75, no STATE; the claim stays, so that the invoice is not lost where a bookmark has passed it."""
    _known(sqlite_bridge, record)
    sqlite_bridge.sim.control.fault("429", **BATCH)
    pushed = sqlite_bridge.push(record(4), max_wait_seconds=1)
    assert (pushed.halt.exit_code, pushed.states) == (75, [])
    left = sqlite_bridge.postings()["inv_4"]
    assert (left["outcome"], left["fault_code"], left["attempts"]) == ("unknown", "not_sent", 0)
    assert [run["complete"] for run in sorted(sqlite_bridge.runs(), key=lambda run: run["started_at"])] == [True, False]
    sqlite_bridge.clock.sleep(120)
    sqlite_bridge.push()
    assert sqlite_bridge.postings()["inv_4"]["outcome"] == "created"


def test_a_dead_connection_ends_with_69(sqlite_bridge, record):
    """Disconnected in QuickBooks: the message says to connect again; nothing is unknown."""
    sqlite_bridge.sim.control.deed("disconnect")
    pushed = sqlite_bridge.push(record(1))
    assert pushed.halt.exit_code == 69
    assert sqlite_bridge.postings() == {}


def test_a_lost_creation_of_a_customer_makes_no_second_one(sqlite_bridge, record):
    """Found again by its name, in the same run or the next."""
    sqlite_bridge.sim.control.fault("cut_after", **BATCH)
    pushed = sqlite_bridge.push(record(1))
    if pushed.halt is not None:
        sqlite_bridge.push(record(1))
    assert len(sqlite_bridge.books("Customer")) == 1
    assert len(sqlite_bridge.books()) == 1


def test_a_retry_whose_answer_is_lost_is_not_settled_by_what_it_replaces(bridge, record):
    """A voided invoice that a person asked to post again is never adopted again, however the new sending goes."""
    bridge.push(record(1))
    old = bridge.postings()["inv_1"]["external_id"]
    bridge.sim.control.deed("void_invoice", invoice="INV-2026-0001")
    bridge.retry("INV-2026-0001")
    bridge.sim.control.fault("cut_before", **BATCH)
    bridge.push()
    assert bridge.postings()["inv_1"]["outcome"] == "unknown"
    bridge.clock.advance(901)
    bridge.push()
    settled = bridge.postings()["inv_1"]
    assert settled["outcome"] == "created"
    assert settled["external_id"] != old
    assert len(bridge.books()) == 2, "the voided one and the new one"
