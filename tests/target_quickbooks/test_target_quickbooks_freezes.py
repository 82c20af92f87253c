"""Real processes frozen with SIGSTOP, as a suspended machine is, while others work: each invoice is there once."""

from __future__ import annotations

import os

import pytest
from processes import Processes, messages
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from books.posting.crash import FREEZE_VARIABLE, POINTS, from_environment
from books.store import Store

ONLY_AFTER_A_5XX = {"before_look_up_again", "before_resend", "resend_committed"}
NOT_HERE = {"left_alone_recorded"}
SENT = {"after_send", "outcome_committed", "input_read", "run_recorded", "before_state"}
"""Points that are passed after the invoices have left."""
CLAIMED = {"intent_committed", "resend_committed"}
OUR_TURN = {*POINTS} - {"run_started", "company_checked", *SENT} | {"after_send"}
"""Points at which the other run needs the push lock that the frozen one holds."""
IN_EVERY_RUN = ("run_started", "before_intent", "intent_committed", "resend_committed", "after_send")
FROZEN_SECONDS = 4000
"""Longer than any claim is young and any settle wait lasts."""

NUMBERS = [f"INV-2026-{number:04}" for number in range(3)]


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    started = Processes(tmp_path_factory.mktemp("processes"))
    yield started
    started.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.soak), "postgresql, session lost"])
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

    def push(self, processes, rows):
        """One whole run: its exit code."""
        status, _ = processes.start(self.config, messages(rows), clock=str(self.clock))
        return os.waitstatus_to_exitcode(status)

    def there(self):
        """(number, total) of what is live in the books, without what was posted before."""
        invoices = [each for each in self.bridge.books() if each["DocNumber"] in NUMBERS]
        return sorted((each["DocNumber"], f"{each['TotalAmt']:.2f}") for each in invoices)


@pytest.fixture
def versions(record, line):
    """The invoices as they were when the frozen run read them, and as they are now."""
    old = [record(number, lines=[line(net="100.00")]) for number in range(3)]
    new = [record(number, lines=[line(net="250.00")]) for number in range(3)]
    return old, new


def _settle(world, processes, rows):
    """Runs until everything has come to rest: what is in the books then, and the ids that the store knows."""
    for turn in range(2, 6):
        world.clock.write_text(str(turn * FROZEN_SECONDS))
        world.push(processes, rows)
        postings = world.bridge.postings()
        if all(each["outcome"] != "unknown" and each["external_id"] for each in postings.values()):
            break
    there = world.there()
    ids = {each["Id"] for each in world.bridge.books()}
    assert {postings[each["id"]]["external_id"] for each in rows} <= ids, postings
    return there


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(each, marks=[] if each in IN_EVERY_RUN else [pytest.mark.soak])
        for each in POINTS
        if each not in NOT_HERE
    ],
)
def test_a_process_frozen_at_any_point_makes_no_duplicate(world, processes, versions, point):
    """Frozen there while another run settles and posts the edited invoices, then resumed: one document for each."""
    old, new = versions
    if point in ONLY_AFTER_A_5XX:
        world.push(processes, [{**each, "id": f"first_{each['id']}", "number": f"F-{each['id']}"} for each in old])
        world.bridge.sim.control.fault("5xx_before", method="POST", path="/batch")
    status, pid = processes.start(world.config, messages(old), freeze=point, clock=str(world.clock))
    assert os.WIFSTOPPED(status), point
    world.sleep_on(FROZEN_SECONDS)
    other = world.push(processes, new)
    assert other == (75 if point in OUR_TURN and not world.lost else 0)
    resumed = os.waitstatus_to_exitcode(processes.resume(pid))
    assert resumed == 75 if point in CLAIMED else resumed in (0, 75)
    there = _settle(world, processes, new)
    assert [number for number, _ in there] == NUMBERS, there
    if point not in SENT and (other == 0 or point in CLAIMED):
        assert {total for _, total in there} == {"300.00"}, there


def test_a_process_frozen_while_it_waits_for_the_lock_looks_again(world, processes, versions):
    """It was stopped in its first wait for the push lock; meanwhile the edited invoices were posted: one each."""
    old, new = versions
    store = Store.open(world.bridge.store_url)
    with store.lock(f"push {world.bridge.connection}", 5):
        status, pid = processes.start(world.config, messages(old), freeze_at_sleep=1, clock=str(world.clock))
        assert os.WIFSTOPPED(status)
    store.close()
    world.sleep_on(FROZEN_SECONDS)
    assert world.push(processes, new) == 0
    assert os.waitstatus_to_exitcode(processes.resume(pid)) == 0
    assert _settle(world, processes, new) == [(number, "300.00") for number in NUMBERS]


def test_a_process_frozen_while_it_waits_for_a_grant_looks_again(world, processes, versions):
    """It was stopped in its wait for the budget of batches, before any claim: afterwards one document for each."""
    old, new = versions
    world.push(processes, [{**each, "id": f"first_{each['id']}", "number": f"F-{each['id']}"} for each in old])
    config = {**world.config, "batches_per_minute": 1, "max_wait_seconds": 300}
    status, pid = processes.start(config, messages(old), freeze_at_sleep=1, clock=str(world.clock))
    assert os.WIFSTOPPED(status)
    assert not {f"inv_{number}" for number in range(3)} & world.bridge.postings().keys()
    world.sleep_on(FROZEN_SECONDS)
    assert world.push(processes, new) == (0 if world.lost else 75)
    resumed = os.waitstatus_to_exitcode(processes.resume(pid))
    assert resumed == (75 if world.lost else 0)
    there = _settle(world, processes, new)
    assert [number for number, _ in there] == NUMBERS, there
    assert {total for _, total in there} == ({"300.00"} if world.lost else {"120.00"})


@pytest.mark.parametrize("world", ["postgresql, session lost"], indirect=True)
def test_a_lost_session_and_no_settle_wait_make_no_duplicate(world, processes, versions):
    """Claimed, then the database server ended the session; with settle_seconds 0 another run takes over at once."""
    old, new = versions
    world.config["settle_seconds"] = 0
    status, pid = processes.start(world.config, messages(old), freeze="intent_committed", clock=str(world.clock))
    assert os.WIFSTOPPED(status)
    world.sleep_on(1)
    assert world.push(processes, new) == 0
    assert os.waitstatus_to_exitcode(processes.resume(pid)) == 75
    assert world.there() == [(number, "300.00") for number in NUMBERS]


def test_a_freeze_point_that_does_not_exist_is_refused(monkeypatch):
    """A test that never freezes would prove nothing."""
    monkeypatch.setenv(FREEZE_VARIABLE, "no_such_point")
    with pytest.raises(ValueError, match="BOOKS_FREEZE_AT: there is no point"):
        from_environment()
