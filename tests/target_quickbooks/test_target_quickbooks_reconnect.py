"""After a disconnect: every posted invoice is found again from the store, by number, and nothing is created."""

from __future__ import annotations

import pytest

from books.operations.breadcrumbs import count_in_the_books, give_up
from books.store import Store
from books.store.tables_infra import token
from books.store.tables_posting import learned

REALM, OTHER = "9341453000000001", "9341453000000002"
CONNECTION = f"sandbox:{REALM}"


def disconnect(bridge):
    """What `books disconnect` does to the store; what it tells OpsMerge of."""
    store = Store.open(bridge.store_url, bridge.clock)
    told = [row for rows in give_up(store, CONNECTION) for row in rows]
    assert count_in_the_books(store, CONNECTION) == 0
    store.close()
    return told


def outcomes(bridge):
    return {key: (row["outcome"], row["fault_code"], row["external_id"]) for key, row in bridge.postings().items()}


def test_everything_is_found_again_without_a_record_from_the_tap(bridge, record):
    """Ids are gone, history stays; an empty push adopts all under the same ids, creates nothing, and is then done."""
    bridge.push(*(record(n) for n in range(1, 6)))
    before, attempts = outcomes(bridge), bridge.attempts()
    told = disconnect(bridge)
    assert len(told) == 5
    assert set(outcomes(bridge).values()) == {("held", "disconnected", None)}
    assert {row["kind"] for row in bridge.table(learned)} == {"former_id"}
    pushed = bridge.push()
    assert "former_id" not in {row["kind"] for row in bridge.table(learned)}
    assert {key: (row[0], row[2]) for key, row in outcomes(bridge).items()} == {
        key: ("adopted", row[2]) for key, row in before.items()
    }
    assert pushed.calls["POST", "batch"] == 0
    assert len(bridge.books()) == 5
    assert bridge.attempts() == attempts
    assert "5 adopted" in pushed.log
    assert sum(bridge.push(*(record(n) for n in range(1, 6))).calls.values()) == 0


def test_giving_up_may_be_repeated_and_tells_of_all_again(sqlite_bridge, record):
    """A second call changes no row and names every invoice once more: OpsMerge may not have been told."""
    sqlite_bridge.push(record(1), record(2))
    first = disconnect(sqlite_bridge)
    rows = sqlite_bridge.postings()
    again = disconnect(sqlite_bridge)
    assert [row["seq"] for row in again] == [row["seq"] for row in first]
    assert sqlite_bridge.postings() == rows


def test_what_is_no_longer_there_waits_for_a_person(sqlite_bridge, record):
    """Deleted meanwhile: held, not created, also after an edit; `books retry` posts it under a new request id."""
    sqlite_bridge.push(record(1))
    disconnect(sqlite_bridge)
    sqlite_bridge.sim.control.deed("delete_invoice", invoice="INV-2026-0001")
    for given in ([], [record(1)], [record(1, due_date="2026-12-24")]):
        assert sqlite_bridge.push(*given).calls["POST", "batch"] == 0
        assert outcomes(sqlite_bridge)["inv_1"] == ("held", "no_longer_in_the_books", None)
    assert sqlite_bridge.books() == []
    sqlite_bridge.retry("INV-2026-0001")
    sqlite_bridge.push()
    (invoice,) = sqlite_bridge.books()
    assert outcomes(sqlite_bridge)["inv_1"] == ("created", None, invoice["Id"])
    assert len({each["request_id"] for each in sqlite_bridge.attempts()}) == 2


def test_an_invoice_that_was_renumbered_while_disconnected_is_adopted_under_its_id(bridge, record):
    """A bookkeeper corrects the number, and takes our note off: it is still what we posted, not a lost invoice."""
    bridge.push(record(1), record(2))
    before = outcomes(bridge)
    disconnect(bridge)
    edit = bridge.sim.control.deed
    for number in (1, 2):
        edit("edit_invoice", invoice=f"INV-2026-000{number}", set={"DocNumber": f"{number}-CORRECTED"})
    edit("edit_invoice", invoice="2-CORRECTED", set={"PrivateNote": ""})
    assert bridge.push(record(1), record(2)).calls["POST", "batch"] == 0
    assert {key: row[2] for key, row in outcomes(bridge).items()} == {key: row[2] for key, row in before.items()}
    assert {row[0] for row in outcomes(bridge).values()} == {"adopted"}
    assert len(bridge.books()) == 2


def test_what_was_held_as_gone_is_adopted_by_a_retry_once_its_number_is_corrected(sqlite_bridge, record):
    """Where even the former id is unknown, the printed remedy works: correct the number, then `books retry`."""
    sqlite_bridge.push(record(1))
    posted = outcomes(sqlite_bridge)["inv_1"][2]
    disconnect(sqlite_bridge)
    store = Store.open(sqlite_bridge.store_url, sqlite_bridge.clock)
    with store.begin() as connection:
        connection.execute(learned.delete())
    store.close()
    sqlite_bridge.sim.control.deed("edit_invoice", invoice="INV-2026-0001", set={"DocNumber": "36-CORRECTED"})
    sqlite_bridge.push()
    assert outcomes(sqlite_bridge)["inv_1"] == ("held", "no_longer_in_the_books", None)
    sqlite_bridge.sim.control.deed("edit_invoice", invoice="36-CORRECTED", set={"DocNumber": "INV-2026-0001"})
    sqlite_bridge.retry("INV-2026-0001")
    assert sqlite_bridge.push().calls["POST", "batch"] == 0
    assert outcomes(sqlite_bridge)["inv_1"] == ("adopted", None, posted)


LOST = {
    "renumbered": ("adopted", None),
    "deleted": ("held", "no_longer_in_the_books"),
}


@pytest.mark.parametrize("deed", LOST)
def test_after_a_lost_store_opsmerges_own_block_says_what_was_posted(make_bridge, tmp_path, record, deed):
    """What OpsMerge shows as posted by this connection is looked up by that id, and never posted a second time."""
    first, second = (make_bridge(f"sqlite:///{tmp_path / name}.db") for name in ("lost", "new"))
    first.push(record(1))
    posted = outcomes(first)["inv_1"][2]
    if deed == "deleted":
        first.sim.control.deed("delete_invoice", invoice="INV-2026-0001")
    else:
        first.sim.control.deed("edit_invoice", invoice="INV-2026-0001", set={"DocNumber": "36-CORRECTED"})
    second.config["refresh_token"] = current_refresh_token(first)
    block = {"provider": "quickbooks", "connection": CONNECTION, "external_id": posted, "status": "posted"}
    for _ in range(2):
        assert second.push(record(1, accounting=block)).calls["POST", "batch"] == 0
    assert outcomes(second)["inv_1"] == (*LOST[deed], posted if deed == "renumbered" else None)
    assert len(second.books()) == (deed == "renumbered")


def current_refresh_token(bridge):
    """What `books connect` would give a new store."""
    (row,) = bridge.table(token)
    return row["refresh_token"]


MEANWHILE = {
    "paid": ("adopted", None),
    "voided": ("conflict", "voided_after_posting"),
    "overdue": ("adopted", None),
}


@pytest.mark.parametrize("status", MEANWHILE)
def test_what_opsmerge_did_meanwhile_does_not_matter(sqlite_bridge, record, status):
    """Paid, voided or overdue when the tap sends it again: it was in the books, so it is found and followed.

    A void is told as such: QuickBooks still counts the invoice.
    """
    sqlite_bridge.push(record(1))
    before = outcomes(sqlite_bridge)["inv_1"][2]
    disconnect(sqlite_bridge)
    sqlite_bridge.push(record(1, status=status))
    assert outcomes(sqlite_bridge)["inv_1"] == (*MEANWHILE[status], before)


def test_an_edit_meanwhile_is_a_conflict_with_the_same_id(sqlite_bridge, record, line):
    """Found again, and what OpsMerge says now is not what was posted: the id is back, and a person decides."""
    sqlite_bridge.push(record(1))
    before = outcomes(sqlite_bridge)["inv_1"][2]
    disconnect(sqlite_bridge)
    edited = record(1, lines=[line(net="90.00")])
    sqlite_bridge.push(edited)
    assert outcomes(sqlite_bridge)["inv_1"] == ("conflict", "changed_after_posting", before)
    disconnect(sqlite_bridge)
    sqlite_bridge.push()
    assert outcomes(sqlite_bridge)["inv_1"] == ("conflict", "changed_after_posting", before)
    sqlite_bridge.push(record(1))
    assert outcomes(sqlite_bridge)["inv_1"] == ("adopted", None, before)


def test_one_entered_by_hand_is_found_by_its_content(sqlite_bridge, record):
    """Adopted before without our note: number, customer, currency, date and net find it again."""
    sqlite_bridge.push(record(1))
    note = {"entity": "Invoice", "invoice": "INV-2026-0001", "set": {"PrivateNote": "typed in by Sam"}}
    sqlite_bridge.sim.control.deed("edit_invoice", **note)
    before = outcomes(sqlite_bridge)["inv_1"][2]
    disconnect(sqlite_bridge)
    sqlite_bridge.push()
    assert outcomes(sqlite_bridge)["inv_1"] == ("adopted", None, before)


def test_a_voided_original_that_was_posted_anew_stays_replaced(sqlite_bridge, record):
    """The voided one bears our note and the number too; the one that a retry made is found again."""
    sqlite_bridge.push(record(1))
    sqlite_bridge.sim.control.deed("void_invoice", invoice="INV-2026-0001")
    sqlite_bridge.retry("INV-2026-0001")
    sqlite_bridge.push()
    before = outcomes(sqlite_bridge)["inv_1"]
    disconnect(sqlite_bridge)
    sqlite_bridge.push()
    assert outcomes(sqlite_bridge)["inv_1"] == ("adopted", None, before[2])


def test_an_answer_that_is_out_stays_unknown(sqlite_bridge, record):
    """A disconnect settles nothing: the lost answer is looked up after the next connect, as ever."""
    sqlite_bridge.sim.control.fault("cut_after", method="POST", path="/batch", nth=3)
    sqlite_bridge.push(record(1))
    assert outcomes(sqlite_bridge)["inv_1"][0] == "unknown"
    assert disconnect(sqlite_bridge) == []
    sqlite_bridge.clock.advance(1000)
    sqlite_bridge.push()
    assert outcomes(sqlite_bridge)["inv_1"][0] == "adopted"
    assert len(sqlite_bridge.books()) == 1


def test_another_company_gets_nothing_of_the_first(sqlite_bridge, record):
    """Connected to another company: what the tap sends is posted there; the first one's postings stay given up."""
    sqlite_bridge.push(record(1), record(2))
    disconnect(sqlite_bridge)
    state = sqlite_bridge.sim.state
    sqlite_bridge.sim.control.seed({"realm": OTHER, "company": {"CompanyName": "Another"}})
    calls = sqlite_bridge.calls()
    sqlite_bridge.config |= {"realm_id": OTHER, "refresh_token": f"RT-sandbox-{OTHER}"}
    sqlite_bridge.push(record(3))
    rows = sqlite_bridge.postings()
    assert {key: (row["company_id"], row["outcome"]) for key, row in rows.items()} == {
        "inv_1": (REALM, "held"),
        "inv_2": (REALM, "held"),
        "inv_3": (OTHER, "created"),
    }
    paths = {each["path"] for each in sqlite_bridge.sim.control.requests()[sum(calls.values()) :]}
    assert not any(REALM in path for path in paths)
    assert len(state.books(OTHER).find("Invoice", "DocNumber", "INV-2026-0003")) == 1
