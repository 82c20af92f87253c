"""Calls of a day, calls in flight, and what a vendor says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.routing import Route
from stepped_clock import SteppedClock

from books.core.clock import VirtualClock
from books.core.faults import Exit, Halt
from books.ledgers.quickbooks.access import QuickBooksAccess
from books.ledgers.quickbooks.settings import QuickBooksSettings
from books.store import Store
from books.store import store as store_module
from books.store.tables_infra import budget
from books.transport import CallKind, Request, Response
from books.transport.access import Limit, Window
from books.transport.budgets import LEASE_SECONDS, NONE_LEFT_SECONDS, Wait
from books.transport.governed import Governed
from books.transport.governor import PAUSE_SECONDS_MAX, Governor
from books.transport.http import HttpTransport
from books.transport.retrying import Retrying

A, B = "sandbox:1", "sandbox:2"
READ, WRITE, BATCH = CallKind.READ, CallKind.WRITE, CallKind.BATCH
THREE_A_DAY = Limit("requests_per_day", 3, window=Window.DAY)
TWO_IN_FLIGHT = Limit("concurrent", 2, window=Window.IN_FLIGHT)
HOUR = 3600
DAY = 24 * HOUR
ROUNDING = 0.01


def take(governor: Governor, clock: Any, connection: str = A, wait: float = 300) -> float:
    """One call; the seconds it had to wait."""
    before = clock.monotonic()
    with governor.slot(connection, READ, before + wait):
        return float(clock.monotonic() - before)


def asked(governor: Governor) -> float:
    """One call more: the seconds it would have to wait; it is made if there are none."""
    answer = governor._ask(A, READ)
    return answer.seconds if isinstance(answer, Wait) else 0.0


@dataclass
class Machine:
    """A machine with a SQLite store, which can be started anew: its steady clock begins at 0 with another boot."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    clock: SteppedClock = field(default_factory=SteppedClock)
    boots: Iterator[int] = field(default_factory=count)

    def governor(self, *limits: Limit) -> Governor:
        self.store = Store.open(f"sqlite:///{self.folder}/books.db", self.clock)
        return Governor(self.store, self.clock, limits)

    def restart(self) -> None:
        self.clock.step += self.clock.seconds
        self.clock.seconds = 0.0
        boot = f"boot {next(self.boots)}"
        self.monkeypatch.setattr(store_module, "_boot_id", lambda: boot)

    def wall_seconds(self) -> float:
        return float(self.clock.now().timestamp())


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made = Machine(tmp_path, monkeypatch)
    yield made
    made.store.close()


# Calls of a day.


def test_a_day_holds_no_more_than_its_budget(store: Store, clock: VirtualClock) -> None:
    """Wherever the vendor's day begins: the fourth call waits until the first has left every day it could be in."""
    governor = Governor(store, clock, (THREE_A_DAY,))
    assert [take(governor, clock) for _ in range(3)] == [0, 0, 0]
    assert governor.state(A).used == {"requests_per_day": 3}
    assert take(governor, clock, B) == 0
    with pytest.raises(Halt, match="may be made in") as caught:
        take(governor, clock)
    assert caught.value.exit_code is Exit.TRY_LATER
    assert DAY <= take(governor, clock, wait=26 * HOUR) <= DAY + HOUR


def test_a_restart_of_the_machine_does_not_lengthen_a_day(machine: Machine) -> None:
    """A steady clock ends with the machine, and its stamps count as made now; the hours of the wall clock do not."""
    governor = machine.governor(THREE_A_DAY)
    for _ in range(3):
        take(governor, machine.clock)
    machine.clock.seconds += 23 * HOUR
    before = asked(governor)
    machine.restart()
    assert asked(governor) == pytest.approx(before, abs=0.01)
    assert 0 < before <= 2 * HOUR


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    gaps=st.lists(st.tuples(st.one_of(st.floats(0, 90), st.floats(0, 12 * HOUR)), st.booleans()), max_size=40),
    calls=st.integers(1, 6),
)
def test_no_day_ever_holds_more_than_its_budget(
    tmp_path_factory: Any, monkeypatch: pytest.MonkeyPatch, gaps: Any, calls: int
) -> None:
    """Whatever comes when, with restarts between: no 24 hours hold more, and no call waits for more than 25."""
    machine = Machine(tmp_path_factory.mktemp("days"), monkeypatch)
    governor, made = machine.governor(Limit("requests_per_day", calls, window=Window.DAY)), []
    for gap, restarts in gaps:
        machine.clock.seconds += gap
        if restarts:
            machine.restart()
        waited = take(governor, machine.clock, wait=DAY + HOUR + 1)
        assert waited <= DAY + HOUR + ROUNDING
        made.append(machine.wall_seconds())
    machine.store.close()
    assert all(last - first >= DAY - ROUNDING for first, last in zip(made, made[calls:], strict=False))


def test_a_clock_that_was_a_year_ahead_costs_a_day(machine: Machine) -> None:
    """What was counted in a year to come counts as made now, once the clock is right again."""
    governor = machine.governor(THREE_A_DAY)
    machine.clock.step = 365 * DAY
    for _ in range(3):
        take(governor, machine.clock)
    machine.clock.step = 0
    first = asked(governor)
    assert DAY <= first <= DAY + HOUR
    machine.clock.seconds += 10 * HOUR
    assert asked(governor) == pytest.approx(first - 10 * HOUR, abs=0.01)


def test_the_hours_of_a_day_stay_few(store: Store, clock: VirtualClock) -> None:
    """Hours that no day reaches are dropped."""
    governor = Governor(store, clock, (Limit("requests_per_day", 100, window=Window.DAY),))
    for _ in range(60):
        take(governor, clock)
        clock.advance(HOUR)
    with store.read() as conn:
        assert conn.execute(select(func.count()).select_from(budget)).scalar_one() <= 26


# What the vendor says.


def test_what_the_vendor_says_is_left_lowers_a_day_and_never_raises_it(store: Store, clock: VirtualClock) -> None:
    """At 0 calls stop, for an hour at most. More than our own budget counts for nothing."""
    governor = Governor(store, clock, (THREE_A_DAY,))
    take(governor, clock)
    governor.record_answer(A, metered=False, left={"requests_per_day": 0})
    assert governor.state(A).left == {"requests_per_day": 0}
    assert governor.state(B).left == {"requests_per_day": 3}
    assert take(governor, clock, wait=2 * HOUR) == pytest.approx(NONE_LEFT_SECONDS, abs=1)
    governor.record_answer(A, metered=False, left={"requests_per_day": 4_000})
    assert governor.state(A).left == {"requests_per_day": 1}
    assert take(governor, clock) == 0
    with pytest.raises(Halt):
        take(governor, clock)


def test_calls_that_the_vendor_has_not_answered_count_against_what_it_said(store: Store, clock: VirtualClock) -> None:
    """Another app of the same company uses its day too: of two that were left, two are ours."""
    governor = Governor(store, clock, (Limit("requests_per_day", 100, window=Window.DAY),))
    governor.record_answer(A, metered=False, left={"requests_per_day": 2})
    assert (take(governor, clock), governor.state(A).left) == (0, {"requests_per_day": 1})
    assert take(governor, clock) == 0
    assert asked(governor) == pytest.approx(NONE_LEFT_SECONDS, abs=1)


def test_when_none_is_left_one_call_asks_again(store: Store, clock: VirtualClock) -> None:
    """An hour later a single call goes out, and the others wait for its answer; one that says nothing ends it."""
    governor = Governor(store, clock, (Limit("requests_per_day", 100, window=Window.DAY),))
    governor.record_answer(A, metered=False, left={"requests_per_day": 0})
    clock.advance(NONE_LEFT_SECONDS)
    assert asked(governor) == 0
    assert asked(governor) == pytest.approx(NONE_LEFT_SECONDS, abs=1)
    governor.record_answer(A, metered=False, left={})
    assert [asked(governor) for _ in range(3)] == [0, 0, 0]


def test_what_was_said_by_a_clock_that_was_ahead_is_asked_again(machine: Machine) -> None:
    """Nothing stands still for a year because a clock was wrong for a minute."""
    governor = machine.governor(THREE_A_DAY)
    machine.clock.step = 365 * DAY
    governor.record_answer(A, metered=False, left={"requests_per_day": 0})
    machine.clock.step = 0
    assert asked(governor) == 0


@pytest.mark.parametrize(
    ("asleep", "expected"),
    [(PAUSE_SECONDS_MAX - 1_400, 1_400), (PAUSE_SECONDS_MAX + HOUR, 60), (-DAY, PAUSE_SECONDS_MAX)],
    ids=["the rest of it", "over, but for a minute", "a wall clock that went back: all of it"],
)
def test_a_restart_does_not_begin_a_pause_of_a_day_anew(machine: Machine, asleep: float, expected: float) -> None:
    """A Retry-After of hours is waited out by the wall clock, never longer than its length, at least a minute."""
    governor = machine.governor(THREE_A_DAY)
    governor.pause(A, PAUSE_SECONDS_MAX, "429")
    machine.clock.step += asleep
    machine.restart()
    assert governor.state(A).paused_seconds == pytest.approx(expected, abs=0.01)
    machine.clock.seconds += 30
    assert governor.state(A).paused_seconds == pytest.approx(expected - 30, abs=0.01)
    machine.restart()
    assert governor.state(A).paused_seconds <= expected


# Calls in flight.


def test_no_more_calls_are_in_flight_than_allowed(store: Store, clock: VirtualClock) -> None:
    """The third waits until one has ended, also with an error; a call whose process died counts until it expires."""
    governor = Governor(store, clock, (TWO_IN_FLIGHT,))
    with governor.slot(A, READ, 9):
        with governor.slot(A, READ, 9):
            state = governor.state(A)
            assert (state.used, state.left) == ({"concurrent": 2}, {"concurrent": 0})
            with pytest.raises(Halt, match="as many calls for sandbox:1 were in flight as are allowed") as caught:
                take(governor, clock, wait=1)
            assert caught.value.exit_code is Exit.TRY_LATER
            assert take(governor, clock, B) == 0
        with pytest.raises(ZeroDivisionError), governor.slot(A, READ, 9):
            _ = 1 / 0
        assert take(governor, clock) == 0
    assert governor.state(A).used == {"concurrent": 0}
    dead = [governor.reserve(A, READ, clock.monotonic() + 9) for _ in range(2)]
    assert len({each.leases for each in dead}) == 2
    with pytest.raises(Halt):
        take(governor, clock, wait=1)
    clock.advance(LEASE_SECONDS)
    assert take(governor, clock) == 0


def test_a_call_in_flight_expires_where_the_clock_went_back(store: Store, clock: VirtualClock) -> None:
    """A lease of a time to come counts as made now, and not for an hour longer."""
    governor = Governor(store, clock, (TWO_IN_FLIGHT,))
    for _ in range(2):
        governor.reserve(A, READ, clock.monotonic() + 9)
    clock.elapsed_seconds -= HOUR
    assert take(governor, clock, wait=2 * HOUR) == pytest.approx(LEASE_SECONDS, abs=1)


def test_no_call_is_in_flight_after_a_restart(machine: Machine) -> None:
    """Whoever made it is dead."""
    governor = machine.governor(TWO_IN_FLIGHT)
    for _ in range(2):
        governor.reserve(A, READ, machine.clock.monotonic() + 9)
    machine.restart()
    assert take(governor, machine.clock, wait=0) == 0


# A vendor with all kinds of limits, over real HTTP.


class StrictAccess(QuickBooksAccess):
    """A vendor that counts a day and calls in flight, and says in headers what is left and which limit was passed."""

    ledger = "StrictBooks"

    def __init__(self, *limits: Limit) -> None:
        super().__init__(QuickBooksSettings(realm_id="1", client_id="c", client_secret="s"))
        self.limits = limits  # type: ignore[assignment]

    def left(self, headers: Mapping[str, str]) -> Mapping[str, int]:
        return {"requests_per_day": int(headers["x-left"])} if "x-left" in headers else {}

    def throttle_seconds(self, headers: Mapping[str, str]) -> float | None:  # type: ignore[override]
        return 1.0 if headers.get("x-problem") == "concurrent" else None


@dataclass
class Way:
    """The way to the vendor: retrying(governed(network)), and what the vendor answers next."""

    send: Callable[..., Response]
    governed: Governed
    governor: Governor
    answers: list[HttpResponse]


@pytest.fixture
def way_to(store: Store, clock: VirtualClock) -> Iterator[Callable[..., Way]]:
    from sandbox.server import running

    answers: list[HttpResponse] = []

    async def api(_request: HttpRequest) -> HttpResponse:
        return answers.pop(0) if answers else HttpResponse("{}")

    with running(Starlette(routes=[Route("/x", api, methods=["GET", "POST"])])) as url:

        def build(*limits: Limit) -> Way:
            access = StrictAccess(*limits)
            governor = Governor(store, clock, limits, ledger=access.ledger)
            governed = Governed(HttpTransport(10), governor, access, A, clock, 300)
            retrying = Retrying(governed, clock, 300, access)

            def send(kind: CallKind = READ, **more: Any) -> Response:
                return retrying.send(Request("POST", f"{url}/x", kind, body=b"1", **more))

            return Way(send, governed, governor, answers)

        yield build


def test_what_is_left_is_heard_on_every_answer(way_to: Callable[..., Way]) -> None:
    """Also on one that refuses the call; a 429 that names hours ends the run, and is a pause for everybody."""
    way = way_to(Limit("requests_per_day", 100, window=Window.DAY))
    way.answers += [HttpResponse(headers={"x-left": "2"}), HttpResponse(status_code=404, headers={"x-left": "1"})]
    assert (way.send().status, way.governor.state(A).left) == (200, {"requests_per_day": 2})
    assert (way.send().status, way.governor.state(A).left) == (404, {"requests_per_day": 1})
    way.answers.append(HttpResponse(status_code=429, headers={"retry-after": "40000", "x-left": "0"}))
    with pytest.raises(Halt, match="may be made in 40000 seconds"):
        way.send()
    state = way.governor.state(A)
    assert (round(state.paused_seconds), state.pause_reason) == (40_000, "StrictBooks answered 429: too many requests")


def test_too_many_in_flight_is_waited_out_in_a_second(way_to: Callable[..., Way], clock: VirtualClock) -> None:
    """Where the vendor names no time: as long as its dialect says, not the usual minute."""
    way = way_to(TWO_IN_FLIGHT)
    way.answers.append(HttpResponse(status_code=429, headers={"x-problem": "concurrent"}))
    assert way.send(WRITE).status == 200
    assert clock.monotonic() == pytest.approx(1, abs=0.1)
    way.answers.append(HttpResponse(status_code=429))
    assert way.send().status == 200
    assert clock.monotonic() > 60


def test_a_turn_needs_one_call_in_flight(way_to: Callable[..., Way], clock: VirtualClock) -> None:
    """A batch's permit is taken beforehand; what is looked up or created until it is used rides on it."""
    way = way_to(Limit("concurrent", 1, window=Window.IN_FLIGHT))
    used: list[int] = []

    def prove() -> None:
        used.append(way.governor.state(A).used["concurrent"])

    with way.governed.turn() as turn:
        turn.reserve()
        assert way.send().status == 200
        assert way.send(WRITE).status == 200
        assert way.governor.state(A).used == {"concurrent": 1}
        assert way.send(BATCH, prove=prove).status == 200
        assert way.governor.state(A).used == {"concurrent": 0}
        turn.reserve()
        turn.reserve()
        assert way.governor.state(A).used == {"concurrent": 1}
    assert used == [1]
    assert way.governor.state(A).used == {"concurrent": 0}
    assert clock.monotonic() == 0
