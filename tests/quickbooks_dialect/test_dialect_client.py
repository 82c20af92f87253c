"""The client against the simulator over real HTTP: addresses, pages, batches, changes."""

from __future__ import annotations

import pytest

from books.core.clock import VirtualClock
from books.core.faults import Exit, Halt, Reject, ServerError
from books.ledgers.quickbooks import BatchItem, open_client
from books.ledgers.quickbooks.client import batch_body
from books.ledgers.quickbooks.reading import Entity, read_changes
from books.ledgers.quickbooks.settings import QuickBooksSettings
from books.store import Store

REALM = "9341453000000001"


@pytest.fixture
def client(quickbooks_sim, tmp_path):
    quickbooks_sim.control.switches(limits=False)
    settings = QuickBooksSettings.from_config(
        {
            "realm_id": REALM,
            "client_id": "sandbox-client",
            "client_secret": "sandbox-secret",
            "refresh_token": "RT-sandbox-0001",
            "api_url": quickbooks_sim.url,
            "token_url": quickbooks_sim.url,
            "store_url": f"sqlite:///{tmp_path}/books.db",
            "max_wait_seconds": 5,
        }
    )
    clock = VirtualClock()
    store = Store.open(settings.store_url, clock)
    yield open_client(settings, store, clock)
    store.close()


def _customers(sim, count):
    sim.control.seed({"entities": {"Customer": [{"DisplayName": f"Client {n:04}"} for n in range(count)]}})


def test_rows_come_page_by_page_and_are_counted(client, quickbooks_sim):
    """More than one page of 1,000; every row once."""
    _customers(quickbooks_sim, 1001)
    names = [row["DisplayName"] for row in client.rows("Customer")]
    assert (len(names), len(set(names)), client.count("Customer")) == (1001, 1001, 1001)
    assert (client.calls, client.metered) == (3, 3)


def test_a_long_statement_goes_by_post(client, quickbooks_sim):
    """No address grows beyond what a gateway takes."""
    _customers(quickbooks_sim, 3)
    names = ",".join(f"'Client {n:04}'" for n in range(400))
    assert len(client.query(f"SELECT * FROM Customer WHERE DisplayName IN ({names})")["Customer"]) == 3
    last = quickbooks_sim.control.requests()[-1]
    assert (last["method"], last["headers"]["content-type"]) == ("POST", "application/text")


def test_an_empty_answer_is_an_empty_one(client):
    """QuickBooks leaves the array out."""
    assert client.query("SELECT * FROM Payment") == {}
    assert list(client.rows("Payment")) == []


def test_a_batch_is_matched_by_bid_and_keeps_its_bytes(client, quickbooks_sim):
    """In any order of answers; one faulty item stands alone; minorversion and requestid are on every call."""
    quickbooks_sim.control.switches(batch_unordered=True)
    items = [
        BatchItem("a", "Customer", b'{"DisplayName":"One"}'),
        BatchItem("b", "Customer", b'{"DisplayName":"No: colon"}'),
        BatchItem("c", "Customer", b'{"DisplayName":"Three"}'),
    ]
    answer = client.batch(items, "key-1")
    assert [answer.items[bid]["DisplayName"] for bid in ("a", "c")] == ["One", "Three"]
    assert isinstance(answer.items["b"], Reject)
    assert answer.vendor_request_id
    last = quickbooks_sim.control.requests()[-1]
    assert last["body"].encode() == batch_body(items)
    assert last["query"] == "requestid=key-1&minorversion=75"


def test_the_same_key_creates_once(client):
    """A repeat is answered with the first answer."""
    items = [BatchItem("1", "Customer", b'{"DisplayName":"Once"}')]
    first, second = client.batch(items, "key-1"), client.batch(items, "key-1")
    assert first.items["1"]["Id"] == second.items["1"]["Id"]


LIMITS = {
    "31 items": ([BatchItem(str(n), "Customer", b"{}") for n in range(31)], "k"),
    "none": ([], "k"),
    "key too long": ([BatchItem("1", "Customer", b"{}")], "k" * 37),
    "bid too long": ([BatchItem("1" * 11, "Customer", b"{}")], "k"),
    "bid twice": ([BatchItem("1", "Customer", b"{}")] * 2, "k"),
}


@pytest.mark.parametrize("name", LIMITS)
def test_intuits_limits_are_kept_before_anything_is_sent(client, name):
    """Breaking one is a defect of ours."""
    with pytest.raises(ValueError, match=r"batch|bIds"):
        client.batch(*LIMITS[name])
    assert client.calls == 0


def test_what_a_batch_leaves_out_is_no_success_and_no_failure(client, quickbooks_sim):
    """It may have happened."""
    quickbooks_sim.control.switches(batch_empty_answers=1)
    answer = client.batch([BatchItem("1", "Customer", b'{"DisplayName":"X"}')], "key-2")
    assert isinstance(answer.items["1"], ServerError)


def test_changes_tell_rows_deletions_and_the_servers_time(client, quickbooks_sim):
    """A deleted customer cannot be; a deleted payment is a stub."""
    customer, payment = Entity("Customer"), Entity("Payment")
    before = read_changes(client, [customer], VirtualClock().now().subtract(days=1)).time
    _customers(quickbooks_sim, 2)
    answer = read_changes(client, [customer, payment], before.subtract(minutes=5))
    assert (len(answer.rows["Customer"]), answer.rows["Payment"]) == (2, [])


def test_a_read_that_cannot_succeed_ends_the_run_as_try_later(client, quickbooks_sim):
    """Reads are repeated below; what is left is exit code 75."""
    quickbooks_sim.control.fault("5xx_before", method="GET", path="/query", times=0)
    with pytest.raises(Halt) as caught:
        client.query("SELECT * FROM Item")
    assert caught.value.exit_code is Exit.TRY_LATER


def test_a_missing_object_is_a_reject_and_a_bad_query_our_defect(client):
    """610 is for the caller; 4000 is a bug."""
    with pytest.raises(Reject, match="610"):
        client.get("invoice/999")
    with pytest.raises(Halt) as caught:
        client.query("SELECT nonsense")
    assert caught.value.exit_code is Exit.FAILED
