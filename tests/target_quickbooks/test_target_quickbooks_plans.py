"""A plan and its posting: exactly what was shown, once, and a company's first writes only from one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from sqlalchemy import text

from books.store import Store
from books.store.tables_posting import posting, push_plan

REALM = "9341453000000001"
LIVE = {"environment": "production", "post_from": "2026-11-01", "duplicate_numbers_checked": "yes"}


@pytest.fixture
def plan_of(sqlite_bridge, tmp_path):
    """Make a plan of these records; its file."""

    def make(*records, **settings):
        path = tmp_path / "plan.json"
        pushed = sqlite_bridge.push(*records, dry_run=True, plan_file=str(path), **settings)
        assert pushed.halt is None, pushed.halt
        return str(path)

    return make


def outcomes(bridge):
    return {key: (row["outcome"], row["fault_code"]) for key, row in bridge.postings().items()}


def test_production_asks_a_person_about_duplicate_numbers(sqlite_bridge, record, plan_of):
    """No answer, nothing created: exit code 78, where the switch is and what to set; `yes` and `accepted` go on."""
    live = {name: value for name, value in LIVE.items() if name != "duplicate_numbers_checked"}
    plan = plan_of(record(1), **live)
    pushed = sqlite_bridge.push(record(1), plan=plan, **live)
    assert (pushed.halt.exit_code, pushed.halt.code) == (78, "duplicate_numbers_unchecked")
    assert "Warn if duplicate" in pushed.halt.remedy
    assert "TARGET_QUICKBOOKS_DUPLICATE_NUMBERS_CHECKED=yes" in pushed.halt.remedy
    assert (sqlite_bridge.books(), sqlite_bridge.books("Customer")) == ([], [])
    for answer, rows in (("yes", [record(1)]), ("accepted", [record(1), record(2)])):
        again = {"plan": plan} if answer == "yes" else {}
        assert sqlite_bridge.push(*rows, duplicate_numbers_checked=answer, **again, **live).halt is None
        assert len(sqlite_bridge.books()) == len(rows)


def test_the_first_push_in_production_waits_for_a_plan(sqlite_bridge, record, plan_of):
    """Looked up once and written never; it is said once in the store, and at every push in words, without a call."""
    pushed = sqlite_bridge.push(record(1), record(2), **LIVE)
    assert (pushed.halt, len(pushed.states), ("POST", "batch") in pushed.calls) == (None, 1, False)
    assert set(outcomes(sqlite_bridge).values()) == {("held", "plan_needed")}
    assert "2 wait for a plan" in pushed.log
    before = sqlite_bridge.postings()
    idle = sqlite_bridge.push(record(1), **LIVE)
    assert "2 wait for a plan" in idle.log
    assert "books post --plan FILE" in idle.log
    assert (sqlite_bridge.postings(), sum(idle.calls.values())) == (before, 0)

    sqlite_bridge.push(record(1), record(2), plan=plan_of(record(1), record(2), **LIVE), **LIVE)
    assert set(outcomes(sqlite_bridge).values()) == {("created", None)}
    sqlite_bridge.push(record(3), **LIVE)
    assert outcomes(sqlite_bridge)["inv_3"] == ("created", None)


def test_what_somebody_else_entered_is_adopted_after_the_plan_showed_it(sqlite_bridge, record, plan_of):
    """An invoice of the same number, customer, date and net, without our note: held, planned, adopted."""
    sqlite_bridge.push(record(1))
    (there,) = sqlite_bridge.books()
    sqlite_bridge.sim.control.deed("update", entity="Invoice", id=there["Id"], set={"PrivateNote": "by hand"})
    sqlite_bridge.push(record(1), **LIVE)
    path = plan_of(record(1), **LIVE)
    assert [row["action"] for row in json.loads(Path(path).read_text())["rows"]] == ["adopt"]
    told = {row["connection"]: row for row in sqlite_bridge.table(posting)}
    assert told[f"production:{REALM}"]["fault_code"] == "plan_needed"
    sqlite_bridge.push(record(1), plan=path, **LIVE)
    told = {row["connection"]: row for row in sqlite_bridge.table(posting)}
    assert told[f"production:{REALM}"]["outcome"] == "adopted"


def test_a_lost_store_needs_no_new_plan(sqlite_bridge, record):
    """An invoice that bears our note says that we posted here before: all are adopted, and pushes go on."""
    sqlite_bridge.push(record(1), record(2, issue_date="2026-10-01"))
    first = sqlite_bridge.push(record(1), record(2, issue_date="2026-10-01"), record(3), **LIVE)
    assert "1 wait for a plan" in first.log
    assert ("POST", "batch") not in first.calls
    sqlite_bridge.push(**LIVE)
    live = {row["number"]: row["outcome"] for row in sqlite_bridge.table(posting) if row["connection"][0] == "p"}
    assert live == {"INV-2026-0001": "adopted", "INV-2026-0002": "adopted", "INV-2026-0003": "created"}


def test_a_company_that_was_posted_to_before_needs_no_plan(sqlite_bridge, record):
    """Plans came later than some companies: an invoice created by us opens the gate."""
    sqlite_bridge.push(record(1), environment="sandbox")
    store = Store.open(sqlite_bridge.store_url)
    with store.begin() as conn:
        conn.execute(text("UPDATE posting SET connection = 'production:' || company_id"))
    store.close()
    sqlite_bridge.push(record(2), **LIVE)
    assert outcomes(sqlite_bridge)["inv_2"] == ("created", None)


def test_a_plan_cut_short_does_not_stop_a_company_that_is_live(sqlite_bridge, record, plan_of):
    """Only a first posting has to come from a whole plan."""
    sqlite_bridge.push(record(1), plan=plan_of(record(1), **LIVE), **LIVE)
    store = Store.open(sqlite_bridge.store_url)
    with store.begin() as conn:
        conn.execute(text("DELETE FROM push_plan"))  # as if it had gone live before there were plans
    store.close()
    sqlite_bridge.clock.advance(60)
    path = plan_of(record(2), **LIVE)
    sqlite_bridge.sim.control.fault("429", path="/query", times=9, retry_after=900)
    cut_short = sqlite_bridge.push(record(2), plan=path, max_wait_seconds=1, **LIVE)
    assert cut_short.halt.exit_code == 75
    sqlite_bridge.clock.advance(1000)
    sqlite_bridge.sim.control.post("faults/release", {})
    pushed = sqlite_bridge.push(record(3), max_wait_seconds=9999, **LIVE)
    assert pushed.halt is None
    assert outcomes(sqlite_bridge)["inv_3"] == ("created", None)


def test_a_later_go_live_date_leaves_what_was_held_alone(sqlite_bridge, record):
    """It is looked for once more, says so, and costs no further call; an earlier date makes it due again."""
    sqlite_bridge.push(record(1), **LIVE)
    later = {**LIVE, "post_from": "2026-11-03"}
    sqlite_bridge.push(**later)
    assert outcomes(sqlite_bridge)["inv_1"] == ("held", "before_post_from")
    assert not sqlite_bridge.push(record(1), **later).calls
    sqlite_bridge.push(record(1), **LIVE)
    assert outcomes(sqlite_bridge)["inv_1"] == ("held", "plan_needed")


def test_only_what_the_plan_shows_is_created(bridge, record, line, tmp_path):
    """Changed since, not in it, refused by it: held with the reason, and due again at the next push."""
    path = tmp_path / "plan.json"
    bad = record(4, lines=[line(service_id="svc_x", service_name="Nowhere")])
    bridge.config |= {"default_income_account": None}
    bridge.push(record(1), record(2), bad, dry_run=True, plan_file=str(path))
    changed = record(2, due_date="2027-01-01")
    bridge.map('services: {svc_x: {item: "Managed Support"}}\n')
    pushed = bridge.push(record(1), changed, record(3), bad, plan=str(path))
    assert pushed.halt is None
    told = outcomes(bridge)
    assert {key: code for key, (_, code) in told.items()} == {
        "inv_1": "item_missing",
        "inv_2": "changed_since_plan",
        "inv_3": "not_in_plan",
        "inv_4": "changed_since_plan",
    }
    assert bridge.books() == []
    bridge.config |= {"default_income_account": "Sales of Product Income"}
    bridge.push(record(1), changed, record(3), bad)
    assert {outcome for outcome, _ in outcomes(bridge).values()} == {"created"}


def test_a_plan_that_would_come_out_otherwise_is_held(sqlite_bridge, record, plan_of):
    """The customer was another then: the person who looked at the plan would not know this one."""
    sqlite_bridge.sim.control.seed({"entities": {"Customer": [{"DisplayName": "Client 1"}]}})
    path = plan_of(record(1), record(2))
    sqlite_bridge.map('clients: {cl_9: {customer: "Nobody"}}\n')
    sqlite_bridge.push(record(1), plan=path)
    assert outcomes(sqlite_bridge)["inv_1"] == ("held", "changed_since_plan")
    (sqlite_bridge.folder / "mappings.yml").unlink()
    sqlite_bridge.sim.control.deed("rename_customer", customer="Client 1", name="Client One")
    sqlite_bridge.push(record(1), record(2), plan=path)
    told = sqlite_bridge.postings()
    assert told["inv_1"]["fault_code"] == "plan_differs"
    assert re.search(r"customer Client 1 \(\d+\) -> Client 1 \(new\)", told["inv_1"]["fault_message"])
    assert told["inv_2"]["outcome"] == "created"


def test_two_new_invoices_of_one_new_client_are_both_as_planned(sqlite_bridge, record, plan_of):
    """The first creates the customer and the items, in one run or in another; the second still is what was shown."""
    records = [record(1), record(4), record(7)]
    path = plan_of(*records)
    sqlite_bridge.push(records[0], plan=path)
    sqlite_bridge.push(*records, plan=path, batch_size=1)
    assert set(outcomes(sqlite_bridge).values()) == {("created", None)}
    assert len(sqlite_bridge.books("Customer")) == 1


@pytest.mark.parametrize("point", ["before_intent", "after_send", "outcome_committed", "run_recorded"])
def test_an_interrupted_plan_is_gone_on_with(sqlite_bridge, record, plan_of, point, monkeypatch):
    """Cut off at any step, the company stays shut to ordinary pushes; posted again, the books are the same."""
    records = [record(1), record(2), record(3)]
    path = plan_of(*records, **LIVE)
    checkpoints = Interrupted(point)
    monkeypatch.setattr("books.posting.crash.from_environment", lambda: checkpoints)
    with pytest.raises(KeyboardInterrupt):
        sqlite_bridge.push(*records, plan=path, batch_size=1, **LIVE)
    monkeypatch.undo()
    sqlite_bridge.clock.advance(1000)
    ordinary = sqlite_bridge.push(record(4), **LIVE)
    assert outcomes(sqlite_bridge)["inv_4"] == ("held", "plan_needed")
    assert "has been posted only in part" in ordinary.log
    sqlite_bridge.push(*records, plan=path, **LIVE)
    assert sorted(row["DocNumber"] for row in sqlite_bridge.books()) == [each["number"] for each in records]
    sqlite_bridge.push(record(4), **LIVE)
    assert outcomes(sqlite_bridge)["inv_4"][0] == "created"
    ((row),) = sqlite_bridge.table(push_plan)
    assert (row["invoices"], row["finished_at"] is not None) == (3, True)


class Interrupted:
    """A checkpoint that ends the process's work at a point, as a signal would."""

    def __init__(self, point):
        self.point = point

    def __call__(self, name):
        if name == self.point:
            raise KeyboardInterrupt


def test_the_retry_of_something_posted_waits_for_a_push_that_may_do_it(sqlite_bridge, record, plan_of):
    """A plan that does not show it neither posts it again nor forgets its id."""
    sqlite_bridge.push(record(1))
    sqlite_bridge.sim.control.deed("void_invoice", invoice="INV-2026-0001")
    path = plan_of(record(2))
    sqlite_bridge.retry("INV-2026-0001")
    sqlite_bridge.push(record(1), record(2), plan=path)
    kept = sqlite_bridge.postings()["inv_1"]
    assert (kept["outcome"], kept["external_id"] is not None, kept["retry"]) == ("created", True, True)
    sqlite_bridge.push(record(1))
    assert sqlite_bridge.postings()["inv_1"]["external_id"] != kept["external_id"]


def test_half_a_plan_is_not_kept(sqlite_bridge, record, tmp_path):
    """A dry run that QuickBooks cut short leaves no file that could be posted."""
    sqlite_bridge.sim.control.deed("disconnect")
    halted = sqlite_bridge.push(record(1), dry_run=True, plan_file=str(tmp_path / "plan.json"))
    assert (halted.halt.exit_code, list(tmp_path.glob("plan*"))) == (69, [])


def test_a_plan_names_what_an_earlier_run_refused(sqlite_bridge, record, line, plan_of):
    """A refusal that stands is in the plan too, with what to do."""
    bad = record(1, lines=[line(service_id=None, service_name=None)])
    sqlite_bridge.push(bad)
    (row,) = json.loads(Path(plan_of(bad)).read_text())["rows"]
    assert (row["action"], "missing service" in row["reason"], row["remedy"] != "") == ("reject", True, True)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda it: it.replace("100.00", "900.00"), "changed after it was made"),
        (lambda it: it[:50], "is no plan"),
        (lambda it: it.replace('"version":1', '"version":7'), "version 7"),
        (lambda it: it.replace("sandbox:", "production:"), "changed after it was made"),
        (lambda it: it[:0] + "[]", "is no plan"),
    ],
)
def test_a_plan_that_is_not_as_it_was_made_is_refused(sqlite_bridge, record, plan_of, spoil, words):
    """Exit code 78 before anything is read or written."""
    path = plan_of(record(1))
    Path(path).write_text(spoil(Path(path).read_text()))
    before = sqlite_bridge.calls()
    refused = sqlite_bridge.push(record(1), plan=path)
    assert (refused.halt.exit_code, words in refused.halt.message, refused.states) == (78, True, [])
    assert sqlite_bridge.calls() == before


def test_another_company_s_plan_is_refused(sqlite_bridge, record, plan_of):
    """A plan of the sandbox company cannot be posted in production, and a missing one not at all."""
    path = plan_of(record(1))
    for settings, words in (({"plan": path, **LIVE}, "is for sandbox:"), ({"plan": path + "x"}, "cannot be read")):
        halt = sqlite_bridge.push(record(1), **settings).halt
        assert (halt.exit_code, words in halt.message) == (78, True), halt


def test_a_posting_remembers_how_its_parts_were_found(sqlite_bridge, record):
    """Customer, items and tax codes with id and way, as they were when it was sent."""
    sqlite_bridge.map('tax_codes: {tx_1: {tax_code: "20.0% S"}}\n')
    sqlite_bridge.push(record(1), streams={"services": [{"id": "svc_1", "name": "x", "quickbooks_item": "Hours"}]})
    sqlite_bridge.push(record(4))
    first, later = (json.loads(sqlite_bridge.postings()[each]["mapped"]) for each in ("inv_1", "inv_4"))
    assert first["customer"]["way"] == "created for it"
    assert later["customer"] == {
        "id": first["customer"]["id"],
        "way": "the id stored when this client was first posted",
    }
    assert first["services"]["Managed Support"]["name"] == "Hours"
    assert first["services"]["Managed Support"]["way"] == "OpsMerge's own mapping"
    assert first["tax_codes"]["20.0% S"]["way"] == "mappings.yml"
