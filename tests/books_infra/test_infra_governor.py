from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select
from sqlalchemy.event import listen
from stepped_clock import SteppedClock

from books.core.clock import VirtualClock
from books.core.faults import Exit, Halt
from books.ledgers.quickbooks.settings import QuickBooksSettings
from books.store import Store
from books.store import store as store_module
from books.store.tables_infra import call
from books.transport import CallKind
from books.transport.access import Limit
from books.transport.budgets import MARGIN_SECONDS, Wait
from books.transport.governor import Governor, breaker_seconds

A, B = "sandbox:1", "sandbox:2"
READ, WRITE, BATCH = CallKind.READ, CallKind.WRITE, CallKind.BATCH
TWO_A_SECOND = Limit("requests", 2, 1.0)
ONE_BATCH = Limit("batches", 1, 60.0, frozenset({BATCH}))


def wait_after(
    governor: Governor, store: Store, clock: VirtualClock, *calls: tuple[float, CallKind], kind: Any
) -> float:
    """What a call has to wait after these, each made so many seconds ago."""
    clock.advance(100)
    with store.begin() as conn:
        now = store.steady(conn)
        for ago, made in calls:
            stamp = {"connection": A, "epoch": now.epoch, "at": now.seconds - ago}
            conn.execute(insert(call).values(kind=made.value, **stamp))
    return asked(governor, kind)


def asked(governor: Governor, kind: CallKind = READ) -> float:
    """One call: the seconds it would have to wait."""
    answer = governor._ask(A, kind)
    return answer.seconds if isinstance(answer, Wait) else 0.0


@pytest.mark.parametrize(
    ("ago", "pause", "expected"),
    [
        ((), 0, 0.0),
        ((0.1,), 0, 0.0),
        ((0.5, 0.1), 0, 0.5 + MARGIN_SECONDS),
        ((0.1, 0.5), 0, 0.5 + MARGIN_SECONDS),
        ((2.0, 0.1), 0, 0.0),
        ((1.0, 0.1), 0, MARGIN_SECONDS),
        ((0.8, 0.5, 0.1), 0, 0.5 + MARGIN_SECONDS),
        ((), 7.0, 7.0),
        ((0.5, 0.1), 0.1, 0.5 + MARGIN_SECONDS),
        ((0.5, 0.1), 30.0, 30.0),
    ],
)
def test_the_wait_is_until_the_window_and_the_pause_allow_it(
    store: Store, clock: VirtualClock, ago: Any, pause: float, expected: float
) -> None:
    """A call waits until the window has room and the pause is over, whichever is later."""
    governor = Governor(store, clock, (TWO_A_SECOND,))
    clock.advance(100)
    if pause:
        governor.pause(A, pause + 100, "429")
    waited = wait_after(governor, store, clock, *((each, READ) for each in ago), kind=READ)
    assert waited == pytest.approx(expected, abs=0.02)


def test_only_batches_wait_for_batches(store: Store, clock: VirtualClock) -> None:
    """A read passes when the batches of the minute are used up; a batch waits."""
    governor = Governor(store, clock, (TWO_A_SECOND, ONE_BATCH))
    assert wait_after(governor, store, clock, (30.0, BATCH), kind=BATCH) == pytest.approx(30 + MARGIN_SECONDS, abs=0.02)
    assert asked(governor) == 0


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arrivals=st.lists(st.tuples(st.floats(0, 5), st.sampled_from([READ, WRITE, BATCH])), max_size=60),
    per_second=st.integers(1, 6),
    batches=st.integers(1, 4),
)
def test_no_window_ever_holds_more_than_its_budget(
    tmp_path_factory: Any, arrivals: Any, per_second: int, batches: int
) -> None:
    """Whatever comes when: no window of a limit's length holds more permits than the limit."""
    limits = (Limit("r", per_second, 1.0), Limit("b", batches, 3.0, frozenset({BATCH})))
    clock = VirtualClock()
    store = Store.open(f"sqlite:///{tmp_path_factory.mktemp('windows')}/books.db", clock)
    governor, permits = Governor(store, clock, limits), []
    for gap, kind in arrivals:
        clock.advance(gap)
        permits.append((governor.reserve(A, kind, clock.monotonic() + 300).at, kind))
    store.close()
    for limit in limits:
        stamps = [stamp for stamp, kind in permits if kind in limit.kinds]
        for first, last in zip(stamps, stamps[limit.calls :], strict=False):
            assert last - first > limit.window_seconds


def test_an_ask_reads_no_more_rows_when_the_log_is_long(store: Store, clock: VirtualClock) -> None:
    """Counted in the database: the same statements, each with at most one row in its answer, at 5,000 permits."""
    governor = Governor(store, clock, (Limit("requests", 10_000, 86_400.0), TWO_A_SECOND))
    with store.begin() as conn:
        now = store.steady(conn)
        rows = [{"connection": A, "kind": "read", "epoch": now.epoch, "at": now.seconds} for _ in range(5000)]
        conn.execute(insert(call), rows)
    read: list[int] = []
    listen(store.engine, "after_cursor_execute", lambda _c, cursor, *_rest: read.append(cursor.rowcount))
    clock.advance(5)
    take(governor, clock)
    assert max(read) <= 1


def test_the_budgets_are_the_settings() -> None:
    """The configured budgets bound requests a second, requests a minute and batches a minute."""
    chosen = QuickBooksSettings(realm_id="1", client_id="c", client_secret="s")
    assert [(limit.name, limit.calls, limit.window_seconds) for limit in chosen.access.limits] == [
        ("requests_per_second", 8, 1.0),
        ("requests_per_minute", 450, 60.0),
        ("batches_per_minute", 36, 60.0),
    ]


def test_the_breaker_doubles_to_a_bound() -> None:
    """Calls stop from the fifth failure in a row on, for longer each time, at most five minutes."""
    assert [breaker_seconds(failures) for failures in (0, 4, 5, 6, 7, 8, 9, 10_000)] == [
        0,
        0,
        30,
        60,
        120,
        240,
        300,
        300,
    ]


@pytest.fixture
def governor(store: Store, clock: VirtualClock) -> Governor:
    return Governor(store, clock, (TWO_A_SECOND, Limit("requests_per_minute", 30, 60.0), ONE_BATCH))


def take(governor: Governor, clock: Any, connection: str = A, kind: CallKind = READ, wait: float = 300) -> float:
    """One call; the seconds it had to wait."""
    before = clock.monotonic()
    with governor.slot(connection, kind, before + wait):
        return clock.monotonic() - before


def test_the_sustained_rate_is_the_budget(store: Store, clock: VirtualClock) -> None:
    """Over ten minutes at least 95 % of the configured budget is used, and no minute is over it."""
    chosen = QuickBooksSettings(realm_id="1", client_id="c", client_secret="s", requests_per_minute=60)
    governor = Governor(store, clock, chosen.access.limits)
    stamps: list[float] = []
    while clock.monotonic() < 600:
        with governor.slot(A, READ, clock.monotonic() + 300) as at:
            stamps.append(at)
    assert len(stamps) >= 0.95 * 600
    assert all(last - first > 60 for first, last in zip(stamps, stamps[60:], strict=False))


def test_companies_do_not_share_a_budget(governor: Governor, clock: VirtualClock) -> None:
    """Limits, pauses and failures are per company."""
    take(governor, clock), take(governor, clock)
    governor.pause(A, 500, "429")
    assert take(governor, clock, B) == 0


def test_a_pause_holds_everybody_to_the_second(governor: Governor, store: Store, clock: VirtualClock) -> None:
    """After a 429 nobody calls before the pause is over; a shorter pause does not cut a longer one."""
    governor.pause(A, 17, "429")
    governor.pause(A, 3, "429")
    other = Governor(store, clock, (TWO_A_SECOND,))
    assert other.state(A).paused_seconds == pytest.approx(17)
    assert take(other, clock) == pytest.approx(17, abs=0.01)
    assert take(governor, clock) == 0


def test_a_wait_that_is_too_long_ends_the_run_at_once(governor: Governor, clock: VirtualClock) -> None:
    """Where the pause is longer than we may wait, exit code 75 comes now and not after waiting."""
    governor.pause(A, 301, "429")
    with pytest.raises(Halt, match="may be made in 301 seconds") as caught:
        take(governor, clock)
    assert caught.value.exit_code is Exit.TRY_LATER
    assert clock.monotonic() == 0


def test_a_pause_is_bounded_by_a_day(governor: Governor) -> None:
    """However absurd a Retry-After: after a day we ask again."""
    governor.pause(A, 1e12, "429")
    assert governor.state(A).paused_seconds == 86_400


def test_five_failures_stop_the_calls_and_one_trial_opens_them(governor: Governor, clock: VirtualClock) -> None:
    """After five failures in a row calls stop; then one at a time tries; an answer opens the way for all."""
    for _n in range(4):
        governor.record_failure(A)
    assert take(governor, clock) == 0
    governor.record_failure(A)
    assert take(governor, clock) == pytest.approx(30, abs=0.01)
    with pytest.raises(Halt):  # the trial is out: the next waits for what becomes of it
        take(governor, clock, wait=20)
    governor.record_failure(A)
    assert take(governor, clock) == pytest.approx(60, abs=0.01)
    governor.record_answer(A, metered=False)
    assert take(governor, clock) == 0
    assert governor.state(A).consecutive_failures == 0


def test_metered_reads_are_counted_per_month(governor: Governor, clock: VirtualClock) -> None:
    """Each month's successful reads can be looked up; the next month begins at nothing."""
    for metered in (True, True, False):
        governor.record_answer(A, metered=metered)
    assert governor.state(A).metered == 2
    clock.advance(31 * 86_400)
    assert governor.state(A).metered == 0


def test_one_push_at_a_time_and_reads_beside_it(governor: Governor, clock: VirtualClock) -> None:
    """While a push is in flight another push waits and a read does not; its state can be looked at."""
    with governor.slot(A, BATCH, clock.monotonic() + 9):
        assert governor.state(A).push_in_flight
        assert take(governor, clock, kind=READ) == 0
        assert take(governor, clock, B, kind=WRITE) == 0
        with pytest.raises(Halt, match="lock 'push sandbox:1'"):
            take(governor, clock, kind=WRITE, wait=2)
    state = governor.state(A)
    assert not state.push_in_flight
    assert state.allowed == {"requests": 2, "requests_per_minute": 30, "batches": 1}
    assert state.used["requests_per_minute"] == 2


def test_grants_are_decided_one_at_a_time(governor: Governor, store: Store, clock: VirtualClock) -> None:
    """While one process decides on a company's grants, another waits, so that both cannot take the last one."""
    asking = threading.Thread(target=take, args=(governor, clock))
    with store.begin() as conn:
        store.serialise(conn, f"governor {A}")
        asking.start()
        asking.join(0.3)
        assert asking.is_alive()
    asking.join(10)
    assert not asking.is_alive()
    assert governor.state(A).used["requests"] == 1


def test_a_failing_call_gives_its_slot_back(governor: Governor, clock: VirtualClock) -> None:
    """An exception inside a slot frees the push lock; the grant stays spent."""
    with pytest.raises(ZeroDivisionError), governor.slot(A, BATCH, 9):
        _ = 1 / 0
    assert not governor.state(A).push_in_flight
    assert governor.state(A).used["batches"] == 1


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_step_of_the_wall_clock_changes_nothing(tmp_path: Any, step: float) -> None:
    """On one machine a corrected wall clock neither stalls the calls nor lets a second burst through."""
    clock = SteppedClock()
    store = Store.open(f"sqlite:///{tmp_path}/books.db", clock)
    governor = Governor(store, clock, (TWO_A_SECOND,))
    take(governor, clock), take(governor, clock)
    clock.step = step
    assert take(governor, clock) == pytest.approx(1 + MARGIN_SECONDS, abs=0.01)
    store.close()


def test_after_a_restart_the_window_counts_as_full(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stamps and pauses of another boot, or another machine's clock, count as if made now."""
    clock = SteppedClock()
    store = Store.open(f"sqlite:///{tmp_path}/books.db", clock)
    governor = Governor(store, clock, (TWO_A_SECOND,))
    take(governor, clock), take(governor, clock)
    governor.pause(B, 20, "429")
    clock.seconds += 15
    monkeypatch.setattr(store_module, "_boot_id", lambda: "another boot")
    assert take(governor, clock) == pytest.approx(1 + MARGIN_SECONDS, abs=0.01)
    assert governor.state(B).paused_seconds == pytest.approx(20, abs=2)
    store.close()


def test_stamps_from_the_future_do_not_stall(governor: Governor, store: Store, clock: VirtualClock) -> None:
    """A store's clock that went back an hour costs one window, not an hour."""
    take(governor, clock), take(governor, clock)
    governor.pause(B, 30, "429")
    clock.elapsed_seconds -= 3600
    assert take(governor, clock) == pytest.approx(1 + MARGIN_SECONDS, abs=0.01)
    assert take(governor, clock, B) == pytest.approx(30, abs=0.01)


def test_the_log_stays_small(governor: Governor, store: Store, clock: VirtualClock) -> None:
    """Grants that left every window are dropped."""
    for _n in range(100):
        take(governor, clock)
    with store.read() as conn:
        assert conn.execute(select(func.count()).select_from(call)).scalar_one() <= 31


def test_without_its_store_there_are_no_grants(store_url: str, clock: VirtualClock) -> None:
    """The governor fails closed: a store that cannot be used means exit code 75, not a call."""
    from sqlalchemy import text

    store = Store.open(store_url, clock)
    governor = Governor(store, clock, (TWO_A_SECOND,))
    with store.begin() as conn:
        conn.execute(text("ALTER TABLE call RENAME TO gone"))
    with pytest.raises(Halt, match="state store cannot be used") as caught:
        take(governor, clock)
    assert caught.value.exit_code is Exit.TRY_LATER
    store.close()
