"""Seeded schedules of plans, interrupted and edited meanwhile: only what was shown is created, and once."""

from __future__ import annotations

from copy import copy

from schedules import LOGGER, SETTLE_SECONDS, ListSpool, World, check, push

from books.posting.choices import Catalogue, Choices
from books.posting.gate import Gate
from books.posting.journal_in_memory import MemoryJournal
from books.posting.mappings import Mappings
from books.posting.plan import Plan
from books.posting.run import Options, PushRun

SCHEDULES = 1_500
SHUT = Gate(shut="no plan was posted yet")


class PlannedWorld(World):
    """A world in which nothing may be created but from one plan, until the end."""

    def planned(self):
        """The plan that a dry run makes now; it leaves the journal as it was."""
        journal = MemoryJournal(
            self.clock, copy(self.journal.postings), copy(self.journal.learned), seq=self.journal.seq
        )
        choices = Choices(Mappings(), Catalogue(), "Sales", "Costs")
        options = Options(settle_seconds=SETTLE_SECONDS, dry_run=True)
        run = PushRun(self.ledger, journal, self.clock, options, choices, lambda _point: None, LOGGER)
        run.execute(ListSpool(self.texts))
        return Plan.of(self.ledger.connection, "2026-11-02T09:00:00Z", run.plan)

    def play_planned(self, make_record):
        """Shut, a plan, then runs of it and without it, through faults, crashes and edits."""
        if self.dice.random() < 0.5:
            self.gate = SHUT
            push(self, self.checkpoint, self.batch_size)
        assert not self.ledger.invoices
        plan = self.planned()
        for _ in range(self.dice.randint(1, 4)):
            if self.dice.random() < 0.3:
                self.deed(make_record)
            self.gate = self.dice.choice([SHUT, Gate(plan), Gate(plan)])
            if self.gate.plan:
                self.unsent = set(self.source)
            push(self, self.checkpoint, self.batch_size)
            self.clock.advance(self.dice.choice([1, 600, 1200]))
        self.gate = SHUT
        return plan


def test_only_what_a_plan_shows_is_created_and_each_once(record):
    """Whatever the network does and wherever the process dies; afterwards ordinary pushes bring the rest."""
    created, held = 0, 0
    for seed in range(SCHEDULES):
        world = PlannedWorld(seed, record)
        try:
            plan = world.play_planned(record)
            for each in world.ledger.invoices.values():
                sent = world.journal.postings[each.source_id].content_sha256
                assert plan.by_invoice[each.source_id].content_sha256 == sent, f"{each.source_id} is not as planned"
                created += 1
            held += sum(each.fault_code is not None for each in world.journal.postings.values())
            world.gate = Gate()
            world.play(record)
            push(world, world.checkpoint)  # what was held is due again at every push
            check(world)
        except AssertionError as failure:
            raise AssertionError(f"seed {seed}: {failure}") from failure
    assert created > SCHEDULES / 4
    assert held > SCHEDULES / 10
