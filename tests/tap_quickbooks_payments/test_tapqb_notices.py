"""Webhooks as the tap sees them: hints to read an object, an offset in its bookmark, a count of what they missed."""

from __future__ import annotations

import pendulum
import pytest

from books.core import money
from books.ledgers.quickbooks.webhook import QuickBooksWebhooks
from books.store import Store
from books.store.tables_webhooks import webhook_notice
from books.webhooks.inbox import Inbox

REALM = "9341453000000001"
CONNECTION = f"sandbox:{REALM}"


def event(entity_id: str, kind: str = "payment.updated", realm: str = REALM) -> dict[str, str]:
    return {
        "id": f"{kind}-{entity_id}",
        "type": f"qbo.{kind}.v1",
        "intuitaccountid": realm,
        "intuitentityid": entity_id,
    }


@pytest.fixture
def inbox(company):
    """The inbox of the company's store."""
    company.control.real_time()
    store = Store.open(company.store_url)
    yield Inbox(store, QuickBooksWebhooks(()), "sandbox")
    store.close()


@pytest.fixture
def noticed(company, inbox):
    """Deliver events as the receiver keeps them, unsplit: a receiver may be killed right after its answer."""

    def notice(*events):
        time = company.control.clock()
        inbox.receive([money.dumps([{**each, "time": time} for each in events]).encode()])

    return notice


@pytest.fixture
def payment(company):
    """A payment of 120.00 for an invoice."""
    company.seed(Invoice=[company.invoice("INV-1", "100")])
    return company.control.deed("record_payment", invoice="INV-1")["Id"]


def read(company, state=None, **settings):
    """A run without overlap, and the calls it made."""
    before = len(company.calls())
    reading = company.read("payments", state=state, overlap_seconds=0, **settings)
    return reading, [call for call in company.calls()[before:] if call != "preferences"]


def old_state(company, payment):
    """A bookmark from which changes no longer show the payment."""
    company.control.advance(120)
    reading, _ = read(company)
    assert [row["id"] for row in reading.rows("payments")] == [payment]
    company.control.advance(120)
    return reading.state


def test_what_changes_show_costs_no_read_of_its_own(company, payment, noticed):
    """A noticed payment that change data capture shows is read once: one call in all."""
    state = old_state(company, payment)
    paid = company.control.deed("record_payment", invoice="INV-1", amount="1.00")["Id"]
    noticed(event(paid, "payment.created"))
    reading, calls = read(company, state)
    assert [row["id"] for row in reading.rows("payments")] == [paid]
    assert calls == ["cdc"]


def test_what_changes_do_not_show_is_read_by_id(company, payment, noticed):
    """Notices beyond the changes cost one read for all of them, not one each."""
    others = [company.control.deed("record_payment", invoice="INV-1", amount="1.00")["Id"] for _ in range(3)]
    company.control.advance(120)
    state = read(company)[0].state
    company.control.advance(120)
    noticed(event(payment), event(payment), *(event(other) for other in others))
    reading, calls = read(company, state)
    assert sorted(row["id"] for row in reading.rows("payments")) == sorted([payment, *others])
    assert calls == ["cdc", "query"]


def test_a_replay_costs_one_read(company, payment, noticed, inbox):
    """Replayed, a notice leads to one more read of its object; the run after that reads nothing more."""
    state = old_state(company, payment)
    noticed(event(payment))
    state = read(company, state)[0].state
    inbox.replay(CONNECTION, webhook_notice.c.entity_id == payment)
    reading, calls = read(company, state)
    assert ([row["id"] for row in reading.rows("payments")], calls) == ([payment], ["cdc", "query"])
    again, calls = read(company, reading.state)
    assert (again.rows("payments"), calls) == ([], ["cdc"])


def test_a_run_that_was_killed_reads_its_notices_again(company, payment, noticed):
    """The bookmark is the only acknowledgement: from an older one the same objects come again."""
    state = old_state(company, payment)
    noticed(event(payment))
    for _ in range(2):
        assert [row["id"] for row in read(company, state)[0].rows("payments")] == [payment]


def test_a_noticed_object_that_is_gone_is_a_deletion(company, payment, noticed):
    """A notice of an object that QuickBooks no longer has becomes a row that says so."""
    company.control.deed("delete_payment", id=payment)
    company.control.advance(120)
    state = read(company)[0].state
    company.control.advance(120)
    noticed(event(payment, "payment.deleted"), event("999", "payment.created"))
    rows = read(company, state)[0].rows("payments")
    assert {(row["id"], row["status"]) for row in rows} == {(payment, "deleted"), ("999", "deleted")}


def test_other_entities_and_companies_are_left_to_their_readers(company, payment, noticed):
    """A stream reads what was noticed of its own entity in its own company."""
    state = old_state(company, payment)
    noticed(event("1", "invoice.updated"), event("7", realm="123"), event("1", "customer.merged"))
    reading, calls = read(company, state)
    assert (reading.rows("payments"), calls) == ([], ["cdc"])


def test_a_complete_read_answers_every_notice(company, payment, noticed):
    """Who reads everything needs no hints; the bookmark moves past them."""
    noticed(event(payment))
    company.control.advance(120)
    first, _ = read(company)
    assert [row["id"] for row in first.rows("payments")] == [payment]
    company.control.advance(120)
    assert read(company, first.state)[0].rows("payments") == []


def test_what_was_handed_on_no_longer_waits(company, payment, noticed, inbox):
    """After a run nothing is unread; the reconciliation, which tells OpsMerge nothing, is no such run."""
    noticed(event(payment))
    company.tap("payments").inbox  # noqa: B018 -- splits
    read(company, full_refresh=True)
    assert inbox.backlog(["payment"]).unread == 1
    read(company)
    assert inbox.backlog(["payment"]).unread == 0


def test_what_webhooks_missed_is_counted(company, payment, inbox, noticed):
    """A payment that a read found and no webhook told of is listed as missed after an hour; the others are not."""
    state = old_state(company, payment)
    inbox.record_heartbeat()
    lost = company.control.deed("record_payment", invoice="INV-1", amount="1.00")["Id"]
    told = company.control.deed("record_payment", invoice="INV-1", amount="2.00")["Id"]
    noticed(event(told, "payment.created"))
    read(company, state)
    later = Store.open(company.store_url, clock=_Later())
    assert [row["entity_id"] for row in Inbox(later, QuickBooksWebhooks(()), "sandbox").missed(CONNECTION)] == [lost]
    later.close()
    assert inbox.missed(CONNECTION) == []


class _Later:
    """Two hours from now."""

    def now(self):
        return pendulum.now("UTC").add(hours=2)

    def monotonic(self):
        return 0.0


def test_a_bookmark_without_an_offset_begins_at_the_first_notice(company, payment, noticed):
    """A bookmark from before webhooks, or one that holds rubbish, hides no notice."""
    state = old_state(company, payment)
    noticed(event(payment))
    for rubbish in ({}, {"notice_seq": "soon"}, {"notice_seq": None}):
        bookmark = {**state["bookmarks"]["payments"], **rubbish}
        if not rubbish:
            bookmark.pop("notice_seq")
        reading, _ = read(company, {"bookmarks": {"payments": bookmark}})
        assert [row["id"] for row in reading.rows("payments")] == [payment]


def test_the_tap_splits_without_the_key():
    """Reading what a receiver kept needs no verifier token, and verifies nothing."""
    assert not QuickBooksWebhooks(()).is_genuine(b"[]", {"intuit-signature": ""})
