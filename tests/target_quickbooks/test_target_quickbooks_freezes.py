"""Real processes frozen with SIGSTOP, as a suspended machine is, while others work: each invoice is there once."""

from __future__ import annotations

import os
import signal

import pytest
from processes import Processes, messages
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from books.posting.crash import POINTS

ONLY_AFTER_A_5XX = {"before_look_up_again", "before_resend", "resend_committed"}
NOT_HERE = {"left_alone_recorded"}
IN_EVERY_RUN = ("input_read", "numbers_looked_up", "intent_committed", "after_send", "resend_committed")
AFTER_CLAIM = {"intent_committed", "resend_committed"}
FROZEN_SECONDS = 4000
"""Longer than any claim is young and any settle wait lasts."""

NUMBERS = [f"INV-2026-{number:04}" for number in range(3)]


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    started = Processes(tmp_path_factory.mktemp("processes"))
    yield started
    started.close()


@pytest.fixture(params=["sqlite", "postgresql", "postgresql, session lost"])
def world(request, quickbooks_sim, make_bridge, tmp_path):
    """A company that takes duplicate numbers, a store of each kind, a clock that a file moves."""
    url = f"sqlite:///{tmp_path}/books/books.db"
    if request.param != "sqlite":
        url = request.getfixturevalue("postgresql")()
    return World(make_bridge(url), tmp_path / "clock", lost=request.param.endswith("lost"))


class World:
    """Two versions of the same invoices, and what becomes of them."""

    def __init__(self, bridge, clock, *, lost):
        self.bridge = bridge
        self.clock = clock
        self.lost = lost
        bridge.sim.control.deed("set_preferences", WarnDuplicateNumbers=False)
        self.config = {**bridge.config, "max_wait_seconds": 5}
        self.sleep_on(0)

    def sleep_on(self, seconds):
        """All processes see the clock moved; PostgreSQL may have lost the sessions of those that stood still."""
        self.clock.write_text(str(seconds))
        if self.lost and seconds:
            engine = create_engine(make_url(self.bridge.store_url).set(drivername="postgresql+psycopg"))
            with engine.connect() as connection:
                others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                connection.execute(text(f"{others} AND pid <> pg_backend_pid()"))
            engine.dispose()

    def there(self):
        """(number, total) of what is live in the books."""
        return sorted((each["DocNumber"], f"{each['TotalAmt']:.2f}") for each in self.bridge.books())


@pytest.fixture
def versions(record, line):
    """The invoices as they were when the frozen run read them, and as they are now."""
    old = [record(number, lines=[line(net="100.00")]) for number in range(3)]
    new = [record(number, lines=[line(net="250.00")]) for number in range(3)]
    return old, new


def _settle(world, processes, rows):
    """Runs until everything has come to rest."""
    for turn in range(2, 5):
        world.clock.write_text(str(turn * FROZEN_SECONDS))
        status, _ = processes.start(world.config, messages(rows), clock=str(world.clock))
    assert status == 0
    return world.bridge.postings()


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(each, marks=[] if each in IN_EVERY_RUN else [pytest.mark.soak])
        for each in POINTS
        if each not in NOT_HERE
    ],
)
def test_a_process_frozen_at_any_point_makes_no_duplicate(world, processes, versions, point):
    """Frozen there while another run settles and posts the edited invoices, then resumed: one document per invoice."""
    old, new = versions
    if point in ONLY_AFTER_A_5XX:
        _push(world, processes, [{**each, "id": f"first_{each['id']}", "number": f"F-{each['id']}"} for each in old])
        world.bridge.sim.control.fault("5xx_before", method="POST", path="/batch")
    status, pid = processes.start(world.config, messages(old), freeze=point, clock=str(world.clock))
    assert os.WIFSTOPPED(status), point
    world.sleep_on(FROZEN_SECONDS)
    other, _ = processes.start(world.config, messages(new), clock=str(world.clock))
    posted = [each for each in world.there() if each[0] in NUMBERS]
    status = processes.resume(pid)
    assert os.waitstatus_to_exitcode(status) in (0, 75)
    if os.waitstatus_to_exitcode(other) == 0 and point not in ("after_send", "outcome_committed"):
        assert {total for _, total in posted} <= {"300.00"}
    postings = _settle(world, processes, new)
    there = [each for each in world.there() if each[0] in NUMBERS]
    assert [number for number, _ in there] == NUMBERS, there
    if world.lost or point in AFTER_CLAIM:
        assert point == "after_send" or {total for _, total in there} == {"300.00"}, there
    assert {postings[each["id"]]["external_id"] for each in new} <= {each["Id"] for each in world.bridge.books()}


def _push(world, processes, rows):
    status, _ = processes.start(world.config, messages(rows), clock=str(world.clock))
    assert status == 0
    return status


def test_a_freeze_point_that_does_not_exist_is_refused(monkeypatch):
    """A test that never freezes would prove nothing."""
    from books.posting.crash import FREEZE_VARIABLE, from_environment

    monkeypatch.setenv(FREEZE_VARIABLE, "no_such_point")
    with pytest.raises(ValueError, match="BOOKS_FREEZE_AT: there is no point"):
        from_environment()


assert signal.SIGSTOP
