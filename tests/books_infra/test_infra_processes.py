from __future__ import annotations

import random
import time
from itertools import pairwise
from typing import Any

from books.store import Store

REQUESTS, BATCHES = 24, 9
SECONDS = 2.5


def test_four_processes_keep_every_promise_through_kills(store_url: str, start_worker: Any) -> None:
    """Four processes on one company, some killed: no window over budget, no two pushes at once, no call in a pause."""
    Store.open(store_url).close()
    arguments = {"store_url": store_url, "seconds": SECONDS, "requests": REQUESTS, "batches": BATCHES}
    workers = [start_worker("govern", seed=seed, **arguments) for seed in range(4)]
    for worker in workers:
        worker.wait_for_event()
    dice = random.Random(7)
    for victim in (0, 1, 2):
        time.sleep(dice.uniform(0.2, 0.5))
        workers[victim].process.kill()
        workers[victim].process.wait()
        workers.append(start_worker("govern", seed=10 + victim, **arguments))
    for survivor in workers[3:]:
        survivor.finish()
    events = [event for worker in workers for event in worker.events()]
    kills = sum(worker.process.returncode == -9 for worker in workers)
    grants = sorted(event["at"] for event in events if event["event"] == "grant")
    assert kills == 3
    assert len(grants) > 2 * REQUESTS, "too few calls to prove anything"
    assert over_budget(grants, REQUESTS) == 0
    assert over_budget(sorted(e["at"] for e in events if e["event"] == "grant" and e["kind"] == "batch"), BATCHES) == 0
    pauses = [event for event in events if event["event"] == "pause"]
    assert pauses, "no pause was made"
    assert [at for at in grants for each in pauses if each["since"] < at < each["until"]] == []
    assert overlaps(events) == 0


def over_budget(stamps: list[float], budget: int) -> int:
    """Windows of one second that hold more than the budget."""
    return sum(last - first <= 1.0 for first, last in zip(stamps, stamps[budget:], strict=False))


def overlaps(events: list[dict[str, Any]]) -> int:
    """Pushes that began while another had not ended."""
    return sum(later[0] < earlier[1] for earlier, later in pairwise(spans(events)))


def spans(events: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """When each call began and ended, in order; one that was killed ended with its last sign of life."""
    found: list[tuple[float, float]] = []
    for pid in {event["pid"] for event in events}:
        own = [event for event in events if event["pid"] == pid and event["event"] in ("begin", "end")]
        for begin, end in zip(own, [*own[1:], *own[-1:]], strict=True):
            if begin["event"] == "begin":
                found.append((begin["at"], end["at"]))
    return sorted(found)


AT_ONCE = 2
LEASE_SECONDS = 1.0
CALLS = (10_000, 10_000, 20, 20)
"""Of each process; the first two are killed."""


def test_no_more_calls_than_allowed_are_in_flight_through_kills(store_url: str, start_worker: Any) -> None:
    """Four processes, two calls at once, two killed while calling: never three, and the others come to their end."""
    Store.open(store_url).close()
    arguments = {"store_url": store_url, "at_once": AT_ONCE, "lease_seconds": LEASE_SECONDS}
    workers = [start_worker("fly", seed=seed, calls=calls, **arguments) for seed, calls in enumerate(CALLS)]
    for worker in workers:
        worker.wait_for_event()
    for victim in workers[:2]:
        end = time.monotonic() + 20
        while (victim.events() or [{}])[-1].get("event") != "begin":
            assert time.monotonic() < end, "it never called"
        victim.process.kill()
        victim.process.wait()
    for survivor in workers[2:]:
        survivor.finish()
    calls = spans([event for worker in workers for event in worker.events()])
    assert max(sum(begin <= at < end for begin, end in calls) for at, _end in calls) == AT_ONCE


def test_one_refresh_per_expiry(store_url: str, vendor: Any, start_worker: Any) -> None:
    """Four processes need a token at the same moment: one refresh, the same token for all."""
    Store.open(store_url).close()
    vendor.service.slow_seconds = 0.2
    arguments = {"store_url": store_url, "url": vendor.url, "start_at": time.time() + 2.0}
    workers = [start_worker("first_token", **arguments) for _n in range(4)]
    for worker in workers:
        worker.finish()
    assert {event["token"] for worker in workers for event in worker.events()} == {"access-canary-0001"}
    assert vendor.service.refreshes == 1


def test_refused_tokens_are_refreshed_once_by_whoever_comes_first(
    store_url: str, vendor: Any, start_worker: Any
) -> None:
    """Many 401s in four processes: exactly one refresh per token that died, and the strict service never refuses."""
    Store.open(store_url).close()
    workers = [start_worker("use_tokens", store_url=store_url, url=vendor.url, rounds=12) for _n in range(4)]
    for worker in workers:
        worker.finish()
    declared_dead = {e["token"] for worker in workers for e in worker.events() if e["event"] == "token"}
    assert vendor.service.refreshes == len(declared_dead) + 1
    assert len(vendor.service.seen) == vendor.service.refreshes, "somebody used a token that was spent"


def test_a_kill_during_a_refresh_is_seen_and_survived(
    store_url: str, vendor: Any, start_worker: Any, settings_for: Any
) -> None:
    """SIGKILL between asking and keeping: the mark tells when, the lock is free, and the next one goes on."""
    from books.core.clock import SystemClock
    from books.transport import tokens_of

    store = Store.open(store_url)
    vendor.service.grace = True
    vendor.service.slow_seconds = 1.0
    worker = start_worker("hold_token", store_url=store_url, url=vendor.url)
    tokens = tokens_of(settings_for(vendor.url), store, SystemClock())
    worker.wait_for_event()
    end = time.monotonic() + 20
    while tokens.state().cut_off_at is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    worker.process.kill()
    worker.process.wait()
    assert tokens.state().cut_off_at is not None
    vendor.service.slow_seconds = 0.0
    assert tokens.access_token().startswith("access-canary-")
    assert tokens.state().cut_off_at is None
    store.close()
