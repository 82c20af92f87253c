"""The journal on real stores: claims are made once, intents can be taken back, `seq` only rises."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from books.core.clock import VirtualClock
from books.operations.retry import request_retry
from books.posting.journal import Lesson, SqlJournal
from books.posting.postings import Outcome, Posting
from books.store import Store

CONNECTION = "sandbox:1"


@pytest.fixture
def store(store_url):
    opened = Store.open(store_url, VirtualClock())
    yield opened
    opened.close()


@pytest.fixture
def journal(store):
    return SqlJournal(store, CONNECTION)


def _posting(number=1, outcome=Outcome.UNKNOWN, **changes):
    posting = Posting(
        connection=CONNECTION,
        opsmerge_invoice_id=f"inv_{number}",
        provider="quickbooks",
        company_id="1",
        number=f"INV-{number}",
        outcome=outcome,
        content_sha256="c",
        seen_sha256="c",
        mapping_sha256="m",
        record="{}",
        request_id="k",
        bid=str(number),
        payload_sha256="p",
        attempts=1,
        attempted_at=VirtualClock().now(),
    )
    return replace(posting, **changes)


def test_a_row_is_written_only_as_it_was_read(journal):
    """Of two that want the same invoice, the second finds its claim refused."""
    (first,) = journal.intend([_posting()])
    assert journal.intend([_posting()]) == []
    (second,) = journal.finish([replace(first, outcome=Outcome.CREATED, external_id="7")])
    assert journal.finish([replace(first, outcome=Outcome.REJECTED)]) == []
    assert journal.load(["inv_1"]) == {"inv_1": second}
    assert second.seq > first.seq


def test_many_claimants_at_once_one_wins_each_invoice(journal):
    """Threads with connections of their own, twenty invoices."""
    won = []

    def claim():
        won.extend(each.opsmerge_invoice_id for each in journal.intend([_posting(n) for n in range(20)]))

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == sorted(f"inv_{n}" for n in range(20))
    seqs = [each.seq for each in journal.load([f"inv_{n}" for n in range(20)]).values()]
    assert len(set(seqs)) == 20


def test_what_is_unfinished(journal):
    """Everything that is not in the books, and what a person wants retried."""
    rows = [
        _posting(1, Outcome.CREATED, external_id="1"),
        _posting(2, Outcome.REJECTED),
        _posting(3, Outcome.CONFLICT, external_id="3"),
        _posting(4, Outcome.CONFLICT),
        _posting(5, Outcome.UNKNOWN),
        _posting(6, Outcome.HELD),
        _posting(7, Outcome.ADOPTED, external_id="7"),
    ]
    journal.write(rows)
    assert [each.opsmerge_invoice_id for each in journal.unfinished()] == ["inv_2", "inv_4", "inv_5", "inv_6"]


def test_retry_marks_all_but_the_unknown(store, journal):
    """What is unknown must rest; the mark is a change, so `seq` rises."""
    journal.write([_posting(1, Outcome.CREATED, external_id="1"), _posting(2), _posting(3, Outcome.REJECTED)])
    before = journal.load(["inv_1"])["inv_1"]
    assert sorted(request_retry(store, CONNECTION, ["INV-1", "inv_2", "inv_3", "INV-9"])) == ["INV-1", "INV-3"]
    after = journal.load(["inv_1"])["inv_1"]
    assert after.retry
    assert after.seq > before.seq


def test_lessons_are_kept_replaced_and_forgotten(journal):
    """By kind and key; forgetting goes by the ledger's id."""
    journal.learn([Lesson("item", "name:a", "7", {"name": "A"}), Lesson("customer", "client:1", "7", {})])
    journal.learn([Lesson("item", "name:a", "8", {"name": "A"})])
    assert journal.lessons("item")["name:a"].ledger_id == "8"
    journal.forget("item", ["8"])
    assert journal.lessons("item") == {}
    assert set(journal.lessons("customer")) == {"client:1"}


def test_what_was_left_alone_is_known_by_content(journal):
    """A later content replaces the earlier one."""
    journal.leave_alone({"inv_1": "a"})
    journal.leave_alone({"inv_1": "b"})
    assert journal.is_left_alone(["inv_1", "inv_2"]) == {"inv_1": "b"}
