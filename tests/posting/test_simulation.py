"""Seeded schedules of a lying network, crashes and freezes at every step: whatever happens, the books are the same.

20,000 in every test run, in blocks that workers share; `make soak` plays a million.
"""

from __future__ import annotations

import pytest
from schedules import SETTLE_SECONDS, World, check, play_all

from books.posting.outbox import Outbox

SCHEDULES = 20_000
SOAK = 1_000_000


@pytest.mark.parametrize("block", range(8))
def test_no_schedule_duplicates_loses_or_leaves_an_invoice_unfinished(block, record):
    """In every schedule each invoice is in the books once, and the store knows its id."""
    play_all(range(block, SCHEDULES, 8), record)


@pytest.mark.soak
@pytest.mark.parametrize("block", range(20))
def test_no_schedule_of_a_million_does(block, record):
    """The same for a million seeds more."""
    play_all(range(SCHEDULES + block, SCHEDULES + SOAK, 20), record)


def test_the_freezes_can_fail(record, monkeypatch):
    """Without the proof before the bytes leave, frozen runs post what is there or withdrawn: the check sees it."""
    monkeypatch.setattr(Outbox, "_prove", lambda *_: None)
    with pytest.raises(AssertionError, match="in the books"):
        play_all(range(3000), record)


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
