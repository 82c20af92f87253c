"""A clock for tests of one machine, whose wall clock is corrected."""

from __future__ import annotations

import pendulum

from books.core.clock import SystemClock


class SteppedClock(SystemClock):
    """A clock for one machine, whose wall clock steps and whose monotonic clock does not."""

    def __init__(self) -> None:
        self.seconds, self.step = 1_000.0, 0.0

    def now(self) -> pendulum.DateTime:
        return pendulum.from_timestamp(1_800_000_000 + self.seconds + self.step)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
