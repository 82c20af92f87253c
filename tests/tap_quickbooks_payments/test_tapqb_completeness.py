"""Nothing is skipped and nothing is passed over in silence: changes, complete reads, counts and faults."""

from __future__ import annotations

from decimal import Decimal

import pendulum
import pytest

from books.core.clock import SystemClock, VirtualClock
from books.core.faults import Exit, Fault, Halt
from books.ledgers.quickbooks import QuickBooksClient, open_client
from books.ledgers.quickbooks.reading import CompanyReader, Entity, Position
from books.ledgers.quickbooks.settings import QuickBooksSettings
from books.store import Store

INVOICE = Entity("Invoice")


def test_the_first_read_is_complete_and_the_next_one_brings_changes(company):
    """Everything once, with a version for what is gone; then only what changed, for all streams in one call."""
    company.seed(Invoice=[company.invoice("INV-1", "10"), company.invoice("INV-2", "20")])
    company.control.advance(60)
    first = company.read("payments", "invoices", "customers", overlap_seconds=0)
    assert first.extract("invoices")["mode"] == "full"
    assert len(first.versions("invoices")) == 1
    assert first.extract("invoices")["rows"] == 2
    company.control.advance(60)
    paid = company.control.deed("record_payment", invoice="INV-1")
    before = len(company.calls())
    second = company.read("payments", "invoices", "customers", state=first.state, overlap_seconds=0)
    assert [row["id"] for row in second.rows("payments")] == [paid["Id"]]
    assert [row["doc_number"] for row in second.rows("invoices")] == ["INV-1"]
    extract = second.extract("invoices")
    assert (extract["mode"], extract["rows"], extract["complete"]) == ("incremental", 1, True)
    assert second.versions("invoices") == []
    assert company.calls()[before:].count("cdc") == 1
    assert "query" not in company.calls()[before:]


def test_the_cursor_is_the_server_s_time(company):
    """A server whose clock is wrong, or a machine whose clock is, loses nothing."""
    company.control.advance(7200)
    server = company.control.clock()
    state = company.read("payments").state
    assert state["bookmarks"]["payments"]["changed_since"][:15] == server[:15]


def test_the_cursor_moves_on_when_nothing_changed(company):
    """Otherwise a quiet month would end in a complete read."""
    first = company.read("payments").state
    company.control.advance(3600)
    second = company.read("payments", state=first).state
    assert second["bookmarks"]["payments"]["changed_since"] > first["bookmarks"]["payments"]["changed_since"]


@pytest.mark.parametrize(("days", "mode"), [(24, "incremental"), (26, "full")])
def test_older_than_25_days_is_read_completely(company, days, mode):
    """Intuit keeps changes for 30 days; a bookmark near that is not trusted."""
    state = company.read("payments").state
    bookmark = state["bookmarks"]["payments"]
    company.control.advance(days * 86400)
    clock = VirtualClock(at=pendulum.parse(company.control.clock()))
    assert (
        company.read("payments", state={"bookmarks": {"payments": bookmark}}, clock=clock).extract("payments")["mode"]
        == mode
    )


def test_another_company_s_bookmark_is_none_of_ours(company):
    """After a change of realm or environment everything is read anew."""
    state = company.read("payments").state
    state["bookmarks"]["payments"]["connection"] = "production:1"
    assert company.read("payments", state=state).extract("payments")["mode"] == "full"


def test_full_refresh_reads_everything(company):
    """Whatever the bookmark says."""
    company.seed(Invoice=[company.invoice("INV-1", "10")])
    state = company.read("invoices").state
    company.control.advance(3600)
    again = company.read("invoices", state=state, full_refresh=True)
    assert again.extract("invoices")["mode"] == "full"
    assert len(again.rows("invoices")) == 1


def test_a_thousand_changes_lose_none(company):
    """An answer of 1,000 objects may be cut: each entity is asked for alone, and read completely if need be."""
    first = company.read("invoices", "payments")
    company.control.seed({"synthetic": {"invoices": 1001, "customers": 3}})
    second = company.read("invoices", "payments", state=first.state)
    assert len({row["id"] for row in second.rows("invoices")}) == 1001
    assert second.extract("invoices")["mode"] == "full"
    assert second.extract("payments")["mode"] == "incremental"


@pytest.fixture
def many(company):
    """2,500 invoices, many of them created in the same second."""
    company.control.seed({"synthetic": {"invoices": 2500, "customers": 5}})
    company.control.advance(60)
    return company


def test_a_complete_read_takes_every_page(many):
    """Each row once, though more than a page was created within one second."""
    reading = many.read("invoices")
    ids = [row["id"] for row in reading.rows("invoices")]
    assert len(ids) == len(set(ids)) == 2500
    assert reading.extract("invoices")["rows"] == 2500


def _client(company):
    settings = QuickBooksSettings.from_config(company.config())
    store = Store.open(settings.store_url)
    return open_client(settings, store, SystemClock())


def _sweep(company):
    return CompanyReader(_client(company), VirtualClock(), {}, overlap_seconds=0).everything(INVOICE).rows


def test_rows_that_change_while_they_are_read_are_neither_skipped_nor_repeated(many):
    """Rows edited, deleted and created between two pages: at the end what was read is what there is."""
    rows = _sweep(many)
    read = {}
    for _ in range(1000):
        row = next(rows)
        read[row["Id"]] = row
    ids = list(read)
    many.control.deed("delete_invoice", invoice_id=ids[0])
    many.control.deed("delete_invoice", invoice_id=str(int(ids[-1]) + 500))
    many.control.deed("edit_invoice", invoice_id=ids[1], set={"DueDate": "2027-01-01"})
    created = many.control.deed("copy_invoice", invoice_id=ids[2], number="NEW-1")
    for row in rows:
        read[row["Id"]] = row
    living = {key for key, row in read.items() if row.get("status") != "Deleted"}
    there = {row["Id"] for row in _sweep(many)}
    assert living == there
    assert created["Id"] in living
    assert len(there) == 2499


class Miscounting(QuickBooksClient):
    """A client that counts a row more than it hands out."""

    def count(self, entity, where=""):
        return super().count(entity, where) + 1


def test_a_count_that_never_agrees_stops_the_read(company):
    """Rows that QuickBooks counts but does not hand out must not be taken for deleted."""
    company.seed(Invoice=[company.invoice("INV-1", "10")])
    client = _client(company)
    client.__class__ = Miscounting
    reader = CompanyReader(client, VirtualClock(), {}, overlap_seconds=0)
    with pytest.raises(Halt, match="read 1 rows, but QuickBooks counts 2") as caught:
        list(reader.everything(INVOICE).rows)
    assert caught.value.exit_code == Exit.TRY_LATER


class Answering:
    """A client whose `get` answers this."""

    def __init__(self, answer):
        self.answer = answer

    def get(self, path, params=None):
        return self.answer


FAULT = {"Fault": {"type": "SystemFault", "Error": [{"code": "10000", "Message": "An application error"}]}}
TIME = {"time": "2026-11-21T03:12:09-08:00"}


@pytest.mark.parametrize(
    "answer",
    [
        {"CDCResponse": [{"QueryResponse": [{"Invoice": []}, FAULT]}], **TIME},
        {"CDCResponse": [FAULT], **TIME},
        {"CDCResponse": [{"QueryResponse": [{"fault": FAULT["Fault"]}]}], **TIME},
        {"CDCResponse": [{"QueryResponse": [{"Invoice": [{"Id": None}]}]}], **TIME},
        {"CDCResponse": [{"QueryResponse": {"Invoice": []}}], **TIME},
        {"CDCResponse": None, **TIME},
        {"CDCResponse": [{"QueryResponse": [{}]}]},
        {},
    ],
)
def test_a_fault_in_any_part_of_an_answer_fails_the_stream(answer):
    """A part that failed or cannot be read is never taken for `nothing changed`."""
    now = VirtualClock()
    reader = CompanyReader(Answering(answer), now, {INVOICE: now.now()}, overlap_seconds=0)
    with pytest.raises(Fault):
        reader.extract(INVOICE)


@pytest.mark.parametrize(
    "answer", [{"QueryResponse": FAULT, **TIME}, {**TIME}, {"QueryResponse": {"Invoice": {}}, **TIME}]
)
def test_a_fault_inside_a_page_fails_the_stream(answer):
    """The same for a page of a complete read."""
    reader = CompanyReader(Answering(answer), VirtualClock(), {}, overlap_seconds=0)
    with pytest.raises(Fault):
        next(reader.everything(INVOICE).rows)


def test_pages_without_an_end_stop_the_read():
    """A server that answers every page alike costs a few metered calls, not thousands."""
    row = {"MetaData": {"CreateTime": "2026-11-02T10:00:00-08:00"}}
    page = {"QueryResponse": {"Invoice": [{"Id": str(number), **row} for number in range(1000)]}, **TIME}
    reader = CompanyReader(Answering(page), VirtualClock(), {}, overlap_seconds=0)
    with pytest.raises(Halt, match="do not end"):
        list(reader.everything(INVOICE).rows)


def test_a_fault_of_the_server_leaves_the_bookmark(company):
    """A failed run says nothing of having ended, and the next one reads the same again."""
    first = company.read("payments", "invoices")
    company.control.fault("refuse", path="*/cdc", times=50)
    with pytest.raises(Halt):
        company.read("payments", "invoices", state=first.state, max_wait_seconds=1)


@pytest.mark.parametrize(
    ("place", "page", "expected"),
    [
        (Position(), ["10:00:00", "10:00:05"], Position("2026-11-02T10:00:04-08:00")),
        (Position("2026-11-02T10:00:04-08:00"), ["10:00:05"] * 3, Position("2026-11-02T10:00:04-08:00", 4)),
        (Position("2026-11-02T10:00:04-08:00", 4), ["10:00:05", "10:00:09"], Position("2026-11-02T10:00:08-08:00")),
        (Position("2026-11-02T10:00:05-08:00"), ["10:00:05"] * 3, Position("2026-11-02T10:00:05-08:00", 4)),
    ],
)
def test_the_next_page_begins_where_the_last_one_ended(place, page, expected):
    """By time of creation, less a second; within one second by position."""
    rows = [{"Id": "1", "MetaData": {"CreateTime": f"2026-11-02T{time}-08:00"}} for time in page]
    assert place.after(rows) == expected


def test_money_is_exact(company):
    """A Decimal all the way, with no float in between."""
    company.seed(Invoice=[company.invoice("INV-1", "99999999.99")])
    [row] = company.read("invoices").rows("invoices")
    assert row["net_amount"] == Decimal("99999999.99")
    assert isinstance(row["net_amount"], Decimal)
