"""A state machine over everything that happens to invoices: runs on a lying network, people in both systems, time.

Hypothesis chooses what happens and in which order, and shortens what breaks a promise to its essence.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from schedules import SETTLE_SECONDS, Crash, push

from books.core.clock import VirtualClock
from books.ledgers.contract import KeyScope
from books.ledgers.pretend import Fate, PretendLedger
from books.posting import records
from books.posting.journal_in_memory import MemoryJournal
from books.posting.postings import IN_THE_BOOKS, Outcome

INVOICES = 4
FATES = st.lists(st.sampled_from(list(Fate)), max_size=4)
CRASH_AT = st.one_of(st.none(), st.integers(1, 25))
CHOSEN = st.integers(0, INVOICES - 1)
SETTLING_RUNS = 4


class Books(RuleBasedStateMachine):
    """Four invoices, one company. What a bookkeeper took out of the books comes back only by a retry."""

    make_record = None
    late_seconds = 600.0

    @initialize(
        remembers_keys=st.booleans(), key_scope=st.sampled_from(KeyScope), batch_size=st.sampled_from([1, 2, 30])
    )
    def begin(self, remembers_keys, key_scope, batch_size):
        self.clock = VirtualClock()
        self.fates = []
        self.ledger = PretendLedger(self.clock, self.fate, remembers_keys=remembers_keys, key_scope=key_scope)
        self.ledger.late_after(lambda: self.late_seconds)
        self.journal = MemoryJournal(self.clock)
        self.batch_size = batch_size
        self.source = {f"inv_{n}": type(self).make_record(n) for n in range(INVOICES)}
        self.texts = {each: records.kept(record) for each, record in self.source.items()}
        self.unsent = set(self.source)
        self.ids = {}
        self.taken_out = set()

    def fate(self):
        return self.fates.pop(0) if self.fates else Fate.FINE

    # What happens.

    @rule(fates=FATES, crash_at=CRASH_AT)
    def run(self, fates, crash_at):
        """A run of the target, with this network, perhaps killed at its n-th step."""
        self.fates = fates
        passed = iter(range(1, 10_000))

        def checkpoint(name):
            if next(passed) == crash_at:
                raise Crash(name)

        push(self, checkpoint, self.batch_size)
        self.fates = []

    @rule(seconds=st.sampled_from([1, 300, SETTLE_SECONDS + 1]))
    def time_passes(self, seconds):
        self.clock.advance(seconds)

    @rule(chosen=CHOSEN, day=st.integers(3, 28))
    def edit(self, chosen, day):
        self._change(chosen, due_date=f"2026-12-{day:02}")

    @rule(chosen=CHOSEN)
    def undo_edits(self, chosen):
        self._change(chosen)

    @rule(chosen=CHOSEN)
    def void(self, chosen):
        self._change(chosen, status="voided")

    @rule(chosen=CHOSEN, excluded=st.booleans())
    def opt_out_or_in(self, chosen, excluded):
        self._change(chosen, accounting_excluded=excluded)

    def _change(self, chosen, **changes):
        invoice_id = f"inv_{chosen}"
        if self.source[invoice_id]["status"] != "voided":  # what is voided stays so
            self.source[invoice_id] = type(self).make_record(chosen, **changes)
            self.texts[invoice_id] = records.kept(self.source[invoice_id])
            self.unsent.add(invoice_id)

    @rule(chosen=CHOSEN)
    def a_bookkeeper_deletes(self, chosen):
        for there in self._there(f"inv_{chosen}"):
            del self.ledger.invoices[there.id]
            self.taken_out.add(there.source_id)

    @rule(chosen=CHOSEN)
    def a_bookkeeper_voids(self, chosen):
        for there in self._there(f"inv_{chosen}"):
            self.ledger.invoices[there.id] = replace(there, voided=True)
            self.taken_out.add(there.source_id)

    @rule(chosen=CHOSEN)
    def a_person_asks_for_a_retry(self, chosen):
        """As `books retry` marks it: all but the unknown."""
        posting = self.journal.postings.get(f"inv_{chosen}")
        if posting is not None and posting.outcome is not Outcome.UNKNOWN:
            self.journal.write([replace(posting, retry=True)])
            self.ids.pop(posting.opsmerge_invoice_id, None)
            self.taken_out.discard(posting.opsmerge_invoice_id)

    # What must hold.

    @invariant()
    def nothing_is_in_the_books_twice(self):
        for invoice_id in getattr(self, "source", ()):
            assert len(self._there(invoice_id)) <= 1, f"{invoice_id} is in the books twice"

    @invariant()
    def a_recorded_id_stays(self):
        for invoice_id, posting in self.journal.postings.items() if hasattr(self, "journal") else ():
            if posting.external_id is not None and not posting.retry:
                assert self.ids.setdefault(invoice_id, posting.external_id) == posting.external_id

    def teardown(self):
        """After a few quiet runs nothing is unfinished, nothing is lost, and one run more makes no call."""
        if not hasattr(self, "source"):
            return
        for _ in range(SETTLING_RUNS):
            self.clock.advance(SETTLE_SECONDS + 1)
            assert push(self, lambda _name: None, self.batch_size)
        self.nothing_is_in_the_books_twice()
        self.a_recorded_id_stays()
        for invoice_id in self.source:
            self._is_settled(invoice_id)
        calls = self.ledger.spent().calls
        self.unsent = set(self.source)
        assert push(self, lambda _name: None, self.batch_size)
        assert self.ledger.spent().calls == calls, "a settled world still makes calls"

    def _is_settled(self, invoice_id):
        posting, there = self.journal.postings.get(invoice_id), self._there(invoice_id)
        record = self.source[invoice_id]
        assert posting is None or posting.outcome is not Outcome.UNKNOWN, f"{invoice_id} is unfinished"
        if there:
            assert posting is not None
            assert posting.external_id == there[0].id, f"{invoice_id} is in the books and the store has another id"
        elif record["status"] == "open" and not record["accounting_excluded"] and invoice_id not in self.taken_out:
            raise AssertionError(f"{invoice_id} is lost")
        if posting is not None and posting.external_id is not None:
            assert posting.outcome in (*IN_THE_BOOKS, Outcome.CONFLICT)

    def _there(self, invoice_id):
        return [each for each in self.ledger.invoices.values() if each.source_id == invoice_id and not each.voided]


def test_whatever_happens_the_books_come_out_right(record):
    """0 duplicates, 0 lost, 0 unfinished, every recorded id stays: over runs, edits, voids, opt-outs, deeds, faults."""
    machine = type("Machine", (Books,), {"make_record": staticmethod(record)})
    run_state_machine(machine, examples=1000, steps=30)


def late_or_fine(machine):
    """Every call that would meet a fault is late instead."""
    fate = Books.fate(machine)
    return fate if fate is Fate.FINE else Fate.LATE


def test_the_machine_can_fail(record):
    """Requests that arrive after the settle wait, at a ledger that may have forgotten the keys, do make duplicates."""
    late = SETTLE_SECONDS * 2.0
    changes = {"make_record": staticmethod(record), "late_seconds": late, "fate": late_or_fine}
    machine = type("Late", (Books,), changes)
    with pytest.raises(AssertionError, match="in the books twice"):
        run_state_machine(machine, examples=1000, steps=30, phases=[Phase.generate])


def run_state_machine(machine, examples, steps, phases=tuple(Phase)):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            phases=phases,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
