"""One schedule of runs, edits, a lying network, crashes and freezes, played in memory; shared by several tests."""

from __future__ import annotations

import contextlib
import logging
import random

from books.core.clock import VirtualClock
from books.core.faults import Fault
from books.ledgers.contract import KeyScope
from books.ledgers.pretend import Fate, PretendLedger
from books.posting import records
from books.posting.choices import Catalogue, Choices
from books.posting.gate import Gate
from books.posting.journal_in_memory import MemoryJournal
from books.posting.mappings import Mappings
from books.posting.postings import IN_THE_BOOKS, Outcome
from books.posting.run import Options, PushRun

SETTLE_SECONDS = 900
LATE_SECONDS_MAX = 800
FAULTY = 0.35
CRASH = 0.06
FREEZE = 0.04
FREEZE_SECONDS = (5, 30, 300, 2000)
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


def push(world, checkpoint, batch_size=30):
    """One process: the tap sends what STATE does not cover; STATE moves only after a whole run. Whether it was whole.

    `world` has `ledger`, `journal`, `clock`, the `texts` of all records and the ids of those `unsent`.
    """
    options = Options(settle_seconds=SETTLE_SECONDS, batch_size=batch_size, gate=getattr(world, "gate", Gate()))
    choices = Choices(Mappings(), Catalogue(), "Sales", "Costs")
    run = PushRun(world.ledger, world.journal, world.clock, options, choices, checkpoint, LOGGER)
    sent = {each: world.texts[each] for each in sorted(world.unsent)}
    try:
        run.execute(ListSpool(sent))
    except (Crash, Fault):
        return False
    world.unsent -= {each for each, told in sent.items() if world.texts[each] == told}  # edited meanwhile: still due
    return True


class World:
    """One schedule: OpsMerge's invoices, the ledger, the store, and dice that decide the rest."""

    def __init__(self, seed, make_record):
        self.dice = random.Random(seed)
        self.clock = VirtualClock(seed=seed)
        self.calm = False
        self.frozen = False
        self.make_record = make_record
        keys = self.dice.random() < 0.5
        scope = KeyScope.CALL if seed % 3 == 0 else KeyScope.MEMBER
        self.ledger = PretendLedger(self.clock, self.fate, remembers_keys=keys, key_scope=scope)
        self.ledger.late_after(lambda: self.dice.uniform(1, LATE_SECONDS_MAX))
        self.journal = MemoryJournal(self.clock)
        count = self.dice.randint(1, 3)
        if len(FRESH) < count:
            FRESH.extend((each["id"], each, records.kept(each)) for each in map(make_record, range(3)))
        self.source = {invoice_id: each for invoice_id, each, _ in FRESH[:count]}
        self.texts = {invoice_id: text for invoice_id, _, text in FRESH[:count]}
        self.unsent = set(self.source)
        self.batch_size = self.dice.choice([1, 2, 30])
        self.gate = Gate()

    def fate(self):
        if self.calm or self.dice.random() > FAULTY:
            return Fate.FINE
        return self.dice.choice(list(Fate))

    def checkpoint(self, name):
        if self.calm:
            return
        if self.dice.random() < CRASH:
            raise Crash(name)
        if not self.frozen and self.dice.random() < FREEZE:
            self.freeze()

    def freeze(self):
        """The process stands still while time passes, people edit and others push; its lock may be lost meanwhile."""
        self.frozen = True
        try:
            if self.dice.random() < 0.7:
                self.deed(self.make_record)
            self.clock.advance(self.dice.choice(FREEZE_SECONDS))
            if self.dice.random() < 0.5:
                self.ledger.lose_lock()
            with contextlib.suppress(Crash):
                push(self, self.checkpoint, self.batch_size)
        finally:
            self.frozen = False

    def deed(self, make_record):
        """Somebody edits or voids an invoice in OpsMerge."""
        chosen = self.dice.choice(sorted(self.source))
        number = int(chosen.removeprefix("inv_"))
        if self.dice.random() < 0.5:
            changes = {"status": "voided"}
        else:
            changes = {"due_date": f"2026-12-{self.dice.randint(3, 28):02}"}
        self.clock.advance(1)
        self.source[chosen] = make_record(number, updated_at=self.clock.now().isoformat(), **changes)
        self.texts[chosen] = records.kept(self.source[chosen])
        self.unsent.add(chosen)

    def play(self, make_record):
        for _ in range(self.dice.randint(1, RUNS_FAULTY_MAX)):
            push(self, self.checkpoint, self.batch_size)
            if self.dice.random() < 0.2:
                self.deed(make_record)
            self.clock.advance(self.dice.choice([1, 60, 600, 1200]))
        self.calm = True
        for _ in range(RUNS_QUIET_MAX):
            self.clock.advance(SETTLE_SECONDS + 1)
            if not self.unsent and not self.unknown():
                self.ledger.find_invoices([])  # what is still on its way arrives
                return
            push(self, self.checkpoint, self.batch_size)
        raise AssertionError("never came to rest")

    def unknown(self):
        return [each for each in self.journal.postings.values() if each.outcome is Outcome.UNKNOWN]


def check(world):
    """Each invoice is in the books once and the store knows its id; what was voided is there only if it was sent."""
    assert world.ledger.keys_refused == 0, "a key was used for two calls"
    by_source = {}
    for each in world.ledger.invoices.values():
        assert each.source_id not in by_source, f"{each.source_id} is in the books twice"
        by_source[each.source_id] = each
    for invoice_id, record in world.source.items():
        posting = world.journal.postings.get(invoice_id)
        there = by_source.get(invoice_id)
        if record["status"] == "voided":
            is_known = posting is not None and posting.external_id is not None
            assert (there is not None) == is_known, f"{invoice_id} is in the books, though it was withdrawn"
        else:
            assert there is not None, f"{invoice_id} is lost"
            assert posting is not None
            assert posting.external_id == there.id
            assert posting.outcome in (*IN_THE_BOOKS, Outcome.CONFLICT)


def play_all(seeds, make_record):
    """Play and check each schedule; a failure names its seed."""
    for seed in seeds:
        world = World(seed, make_record)
        try:
            world.play(make_record)
            check(world)
        except AssertionError as failure:
            raise AssertionError(f"seed {seed}: {failure}") from failure
