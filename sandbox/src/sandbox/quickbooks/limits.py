"""Budgets of requests, as sliding windows on the virtual clock."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime

from sandbox.common.clock import SimClock
from sandbox.quickbooks import faults
from sandbox.quickbooks.switches import Switches


@dataclass(frozen=True)
class Budget:
    """At most `most` units in any `seconds`; 0 means no limit."""

    key: tuple[str, ...]
    most: int
    seconds: float
    units: int = 1


class Limiter:
    """The windows of every realm and app. Only admitted requests count."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, ...], deque[tuple[float, int]]] = defaultdict(deque)

    def clear(self) -> None:
        """Forget what was counted."""
        self._windows.clear()

    def admit(self, now: float, budgets: list[Budget]) -> float | None:
        """Count a request against all budgets, or against none: then the seconds until it would be admitted."""
        waits = [wait for budget in budgets if (wait := self._wait(now, budget)) is not None]
        if waits:
            return max(waits)
        for budget in budgets:
            if budget.most:
                self._windows[budget.key].append((now, budget.units))
        return None

    def _wait(self, now: float, budget: Budget) -> float | None:
        if not budget.most:
            return None
        window = self._windows[budget.key]
        while window and (window[0][0] <= now - budget.seconds or window[0][0] > now):
            window.popleft()
        if sum(units for _, units in window) + budget.units <= budget.most:
            return None
        return budget.seconds - (now - window[0][0]) if window else budget.seconds


def check(
    limiter: Limiter, clock: SimClock, switches: Switches, *, realm: str, app: str, batch_items: int | None
) -> None:
    """Admit a request or refuse it; `batch_items` is None for anything but a batch.

    Raises:
        ApiFault: 3001 with HTTP 429.
    """
    if not switches.limits:
        return
    units = batch_items if batch_items and switches.batch_counts_as == "items" else 1
    budgets = [
        Budget(("minute", realm), switches.requests_per_minute, 60, units),
        Budget(("second", realm, app), switches.requests_per_second, 1),
    ]
    if batch_items is not None:
        budgets.append(Budget(("batch", realm, app), switches.batches_per_minute_app, 60))
        budgets.append(Budget(("batch", realm), switches.batches_per_minute_realm, 60))
    wait = limiter.admit(clock.epoch(), budgets)
    if wait is not None:
        raise faults.throttled(retry_after(clock, switches, wait))


def retry_after(clock: SimClock, switches: Switches, seconds: float) -> dict[str, str]:
    """Return the header, where the switch asks for one; the reference documents none."""
    whole = math.ceil(seconds)
    if switches.retry_after == "seconds":
        return {"Retry-After": str(whole)}
    if switches.retry_after == "date":
        return {"Retry-After": format_datetime(clock.now() + timedelta(seconds=whole), usegmt=True)}
    return {}
