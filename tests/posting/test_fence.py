"""The fence between a claim and its sending: numbers first, then an outbox whose clock, rows and lock are moved."""

from __future__ import annotations

import itertools
import logging
import math
from types import SimpleNamespace

import pytest
from schedules import ListSpool

from books.core.clock import VirtualClock
from books.core.faults import Halt, Reject
from books.ledgers.pretend import Fate, PretendLedger
from books.posting import fence, records
from books.posting.choices import Catalogue, Choices
from books.posting.journal_in_memory import MemoryJournal
from books.posting.mappings import Mappings
from books.posting.postings import Outcome
from books.posting.run import CHUNK_BATCHES, Options, PushRun

AGES = {
    "just made": (0.0, 0.0, 0.0),
    "a minute": (60.0, 59.0, 60.0),
    "suspended": (61.0, 0.5, 61.0),
    "the wall clock was put back": (5.0, 61.0, 61.0),
    "made in the future": (-0.1, 0.5, math.inf),
}


@pytest.mark.parametrize("name", AGES)
def test_an_age_is_the_greater_of_two_clocks(name):
    """The store's clock sees a suspension, the process's own a clock put back; a claim of the future proves nothing."""
    wall_seconds, steady_seconds, age = AGES[name]
    assert fence.age_seconds(wall_seconds, steady_seconds) == age


def test_a_look_up_counts_for_a_minute_and_no_wait():
    """Older than a minute, or older than a wait, it is made again."""
    assert not fence.must_look_up_again(60, 2)
    assert fence.must_look_up_again(61, 0)
    assert fence.must_look_up_again(0, 2.1)


def test_the_rest_begins_when_the_last_request_can_have_left():
    """From the noted end of a call, else a minute, ten seconds of connecting and the time-out after the claim."""
    assert fence.rest_seconds(900, 130, was_noted=True) == 900
    assert fence.rest_seconds(900, 130, was_noted=False) == 1100
    assert fence.rest_seconds(0, 130, was_noted=False) == 0


@pytest.fixture
def world(record):
    """Two invoices, a ledger without a memory for keys, and whatever is to happen at a named point."""
    clock = VirtualClock()
    return SimpleNamespace(
        clock=clock,
        ledger=PretendLedger(clock, remembers_keys=False),
        journal=MemoryJournal(clock),
        rows={f"inv_{n}": records.kept(record(n)) for n in range(2)},
        deeds={},
    )


def _push(world, *, settle_seconds=900, batch_size=30):
    """One run: its halt, or None."""
    options = Options(settle_seconds=settle_seconds, batch_size=batch_size)
    choices = Choices(Mappings(), Catalogue(), "Sales", "Costs")

    def checkpoint(name):
        world.deeds.pop(name, lambda: None)()

    run = PushRun(world.ledger, world.journal, world.clock, options, choices, checkpoint, logging.getLogger("fence"))
    try:
        run.execute(ListSpool(world.rows))
    except Halt as halt:
        return halt
    return None


def _take_over(world):
    """Another run writes one of the claimed rows."""
    (first, *_) = world.journal.postings.values()
    world.journal.write([first])


LOST = {
    "clock moved on": (lambda world: world.clock.advance(61), "more than a minute"),
    "clock put back": (lambda world: world.clock.advance(-30), "more than a minute"),
    "row taken over": (_take_over, "another run took them over"),
    "lock lost": (lambda world: world.ledger.lose_lock(), "push lock was lost"),
}


@pytest.mark.parametrize("name", LOST)
def test_a_claim_that_cannot_be_proved_is_not_sent(world, name):
    """Exit code 75, nothing in the books; the next run decides at once and posts each invoice once."""
    deed, words = LOST[name]
    world.deeds["intent_committed"] = lambda: deed(world)
    halt = _push(world)
    assert (halt.exit_code, halt.code) == (75, fence.NOT_SENT)
    assert words in halt.message
    assert not world.ledger.invoices
    left = world.journal.postings["inv_1"]
    assert (left.outcome, left.attempts, left.attempted_at) == (Outcome.UNKNOWN, 0, None)
    if name == "row taken over":  # by whoever is in the middle of sending it, as far as anybody can know
        world.clock.advance(2000)
    assert _push(world) is None
    assert sorted(each.source_id for each in world.ledger.invoices.values()) == ["inv_0", "inv_1"]


def test_a_wait_between_look_up_and_claim_is_followed_by_another_look_up(world):
    """What came into the books while this run waited for leave is adopted, not created again."""
    other = SimpleNamespace(**{**vars(world), "journal": MemoryJournal(world.clock), "deeds": {}})

    def wait_long():
        world.ledger.wait_for_permit = lambda: 0.0
        world.clock.advance(30)
        world.ledger.lose_lock()
        assert _push(other) is None
        return 30.0

    world.ledger.wait_for_permit = wait_long
    assert _push(world) is None
    assert len(world.ledger.invoices) == 2
    assert {each.outcome for each in world.journal.postings.values()} == {Outcome.ADOPTED}


def test_a_run_with_an_older_record_decides_on_the_newer_one(world, record):
    """Read before another run saw a later change: the older word overwrites nothing, and makes no false conflict."""
    old = {f"inv_{n}": records.kept(record(n, status="voided", updated_at="2026-11-02T00:01:00Z")) for n in range(2)}
    world.rows = {f"inv_{n}": records.kept(record(n, updated_at="2026-11-02T00:02:00Z")) for n in range(2)}
    assert _push(world) is None
    world.rows = old
    assert _push(world) is None
    assert {each.outcome for each in world.journal.postings.values()} == {Outcome.CREATED}
    assert {each.seen_sha256 == each.content_sha256 for each in world.journal.postings.values()} == {True}
    newer = {
        f"inv_{n}": records.kept(record(n, due_date="2026-12-09", updated_at="2026-11-02T00:01:30Z")) for n in range(2)
    }
    world.rows = newer
    assert _push(world) is None
    assert {each.outcome for each in world.journal.postings.values()} == {Outcome.CREATED}, "no false conflict"


def test_a_refused_call_is_looked_up_and_claimed_anew(world):
    """Nothing left, so the same run waits, looks up, claims and sends again; the claim is as young as the sending."""
    fates = [Fate.REFUSED, Fate.REFUSED]
    world.ledger._fate = lambda: fates.pop(0) if fates else Fate.FINE
    assert _push(world) is None
    assert {(each.outcome, each.attempts) for each in world.journal.postings.values()} == {(Outcome.CREATED, 1)}
    assert len(world.ledger.invoices) == 2


def test_what_a_call_that_is_refused_for_good_claimed_is_not_lost(world):
    """After five tries exit code 75; the rows stay, so that a run whose bookmark has passed them posts them."""
    world.ledger._fate = lambda: Fate.REFUSED
    assert _push(world).exit_code == 75
    left = world.journal.postings.values()
    assert {(each.outcome, each.fault_code, each.attempts) for each in left} == {(Outcome.UNKNOWN, fence.NOT_SENT, 0)}
    world.ledger._fate = lambda: Fate.FINE
    world.rows.clear()
    assert _push(world) is None
    assert len(world.ledger.invoices) == 2


class OneByOne(PretendLedger):
    """A ledger that refuses every call of several invoices as a whole."""

    def create_invoices(self, members, key, prove):
        if len(members) > 1:
            raise Reject("the batch is malformed", code="2010")
        return super().create_invoices(members, key, prove)


def test_a_batch_that_is_refused_whole_is_halved_whatever_the_store_knew_before(world):
    """An invoice that was refused in an earlier run, and mended, is posted in the halves like any other."""
    good = dict(world.rows)
    world.rows["inv_0"] = world.rows["inv_0"].replace('"tax_code_id":"', '"tax_code_id":"not-')
    world.rows["inv_0"] = world.rows["inv_0"].replace('"tax_code_name":"', '"tax_code_name":"not ')
    del world.rows["inv_1"]
    assert _push(world) is None
    assert world.journal.postings["inv_0"].outcome is Outcome.REJECTED
    world.rows |= good
    world.ledger = OneByOne(world.clock)
    assert _push(world) is None
    assert {each.outcome for each in world.journal.postings.values()} == {Outcome.CREATED}


class LaggingLedger(PretendLedger):
    """A ledger whose look-ups miss what is young."""

    def find_invoices(self, numbers=(), ids=()):
        del numbers, ids
        return []


@pytest.mark.parametrize("first", [Fate.FINE, Fate.ANSWER_LOST])
def test_a_number_is_sent_once_in_a_run_whatever_a_look_up_says(world, record, first):
    """Two invoices of OpsMerge with one number, far apart: the second is a conflict, even unseen."""
    fates = itertools.chain([first], itertools.repeat(Fate.FINE))
    world.ledger = LaggingLedger(world.clock, lambda: next(fates), remembers_keys=False)
    rows = {f"inv_{n}": record(n) for n in range(CHUNK_BATCHES + 1)}
    last = f"inv_{CHUNK_BATCHES}"
    rows[last] = record(CHUNK_BATCHES, number=" inv-2026-0000")
    world.rows = {key: records.kept(row) for key, row in rows.items()}
    _push(world, batch_size=1)
    sent = [each.number.strip().casefold() for each in world.ledger.invoices.values()]
    assert (len(sent), len(set(sent))) == (CHUNK_BATCHES, CHUNK_BATCHES)
    assert world.journal.postings[last].outcome is Outcome.CONFLICT


def test_a_client_whose_name_differs_on_each_invoice_stops_nothing(world, record):
    """Where OpsMerge's list does not have the client, each name is asked for in one round."""
    names = {f"inv_{n}": record(n, client_id="cl_1", client_name=f"Name {n}") for n in range(12)}
    world.rows = {key: records.kept(row) for key, row in names.items()}
    assert _push(world) is None
    assert len(world.ledger.invoices) == len(names)
