"""Seeded schedules of a lying network and crashes at every step: whatever happens, the books come out the same."""

from __future__ import annotations

import logging
import os
import random

import pytest

from books.clock import VirtualClock
from books.faults import Fault
from books.mappings import Mappings
from books.posting import records
from books.posting.postings import IN_THE_BOOKS, Outcome
from books.posting.pretend import Fate, MemoryJournal, PretendLedger
from books.posting.references import Catalogue, Choices
from books.posting.run import Options, PushRun

SEEDS = int(os.environ.get("BOOKS_SIMULATED_SCHEDULES", "20000"))
SETTLE_SECONDS = 900
LATE_SECONDS_MAX = 800
FAULTY = 0.35
CRASH = 0.06
RUNS_FAULTY_MAX = 3
RUNS_QUIET_MAX = 20
FRESH = []
"""Id, record and text of the invoices that every world begins with, spelt once."""
LOGGER = logging.getLogger("simulation")
LOGGER.setLevel(logging.CRITICAL)


class Crash(BaseException):
    """The process is gone: no handler of ours may run on."""


class ListSpool:
    """A spool without a disk."""

    def __init__(self, rows):
        self.rows = rows

    def chunks(self, size):
        rows = list(self.rows.values())
        for start in range(0, len(rows), size):
            yield rows[start : start + size]

    def __contains__(self, invoice_id):  # noqa: D105 -- a double of Spool
        return invoice_id in self.rows

    def __len__(self):  # noqa: D105 -- as above
        return len(self.rows)


class World:
    """One schedule: OpsMerge's invoices, the ledger, the store, and dice that decide the rest."""

    def __init__(self, seed, make_record):
        self.dice = random.Random(seed)
        self.clock = VirtualClock(seed=seed)
        self.calm = False
        keys = self.dice.random() < 0.5
        self.ledger = PretendLedger(self.clock, self.fate, remembers_keys=keys)
        self.ledger.late_after(lambda: self.dice.uniform(1, LATE_SECONDS_MAX))
        self.journal = MemoryJournal(self.clock)
        count = self.dice.randint(1, 3)
        if len(FRESH) < count:
            FRESH.extend((each["id"], each, records.kept(each)) for each in map(make_record, range(3)))
        self.source = {invoice_id: each for invoice_id, each, _ in FRESH[:count]}
        self.texts = {invoice_id: text for invoice_id, _, text in FRESH[:count]}
        self.unsent = set(self.source)
        self.batch_size = self.dice.choice([1, 2, 30])

    def fate(self):
        if self.calm or self.dice.random() > FAULTY:
            return Fate.FINE
        return self.dice.choice(list(Fate))

    def checkpoint(self, name):
        if not self.calm and self.dice.random() < CRASH:
            raise Crash(name)

    def run(self):
        """One process: the tap sends what STATE does not cover; STATE moves only after a whole run."""
        options = Options(settle_seconds=SETTLE_SECONDS, batch_size=self.batch_size)
        choices = Choices(Mappings(), Catalogue(), "Sales", "Costs")
        run = PushRun(self.ledger, self.journal, self.clock, options, choices, self.checkpoint, LOGGER)
        sent = {each: self.texts[each] for each in sorted(self.unsent)}
        try:
            run.execute(ListSpool(sent))
        except (Crash, Fault):
            return
        self.unsent -= sent.keys()

    def deed(self, make_record):
        """Somebody edits or voids an invoice in OpsMerge."""
        chosen = self.dice.choice(sorted(self.source))
        number = int(chosen.removeprefix("inv_"))
        if self.dice.random() < 0.5:
            self.source[chosen] = make_record(number, status="voided")
        else:
            self.source[chosen] = make_record(number, due_date=f"2026-12-{self.dice.randint(3, 28):02}")
        self.texts[chosen] = records.kept(self.source[chosen])
        self.unsent.add(chosen)

    def play(self, make_record):
        for _ in range(self.dice.randint(1, RUNS_FAULTY_MAX)):
            self.run()
            if self.dice.random() < 0.2:
                self.deed(make_record)
            self.clock.advance(self.dice.choice([1, 60, 600, 1200]))
        self.calm = True
        for _ in range(RUNS_QUIET_MAX):
            self.clock.advance(SETTLE_SECONDS + 1)
            self.run()
            if not self.unsent and not self.unknown():
                return
        raise AssertionError("never came to rest")

    def unknown(self):
        return [each for each in self.journal.postings.values() if each.outcome is Outcome.UNKNOWN]


def check(world):
    by_source = {}
    for each in world.ledger.invoices.values():
        assert each.source_id not in by_source, f"{each.source_id} is in the books twice"
        by_source[each.source_id] = each
    for invoice_id, record in world.source.items():
        posting = world.journal.postings.get(invoice_id)
        there = by_source.get(invoice_id)
        if record["status"] == "voided":
            assert (there is None) == (posting is None or posting.external_id is None)
        else:
            assert there is not None, f"{invoice_id} is lost"
            assert posting is not None
            assert posting.external_id == there.id
            assert posting.outcome in (*IN_THE_BOOKS, Outcome.CONFLICT)


@pytest.mark.parametrize("block", range(4))
def test_no_schedule_duplicates_loses_or_leaves_an_invoice_unfinished(block, record):
    """In every schedule each invoice is in the books once, and the store knows its id."""
    for seed in range(block, SEEDS, 4):
        world = World(seed, record)
        try:
            world.play(record)
            check(world)
        except AssertionError as failure:
            raise AssertionError(f"seed {seed}: {failure}") from failure


def test_the_simulation_can_fail(record):
    """Without the settle wait and without keys, late requests do duplicate: the check sees it."""
    duplicates = 0
    for seed in range(600):
        world = World(seed, record)
        world.ledger._remembers_keys = False
        world.ledger.late_after(lambda: SETTLE_SECONDS * 3.0)
        try:
            world.play(record)
            world.clock.advance(SETTLE_SECONDS * 4)
            world.ledger.find_invoices([])
            check(world)
        except AssertionError:
            duplicates += 1
    assert duplicates > 10
