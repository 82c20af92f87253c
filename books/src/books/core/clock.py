"""Time, sleep and chance, passed in: nothing else in the project reads a clock or rolls a die."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Protocol

import pendulum


class Clock(Protocol):
    """What a caller needs of time."""

    def now(self) -> pendulum.DateTime:
        """Wall-clock time, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean anything."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait. Negative waits are no waits."""
        ...

    def random(self) -> float:
        """A number in [0, 1), for jitter."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> pendulum.DateTime:
        """Wall-clock time, UTC."""
        return pendulum.now("UTC")

    def monotonic(self) -> float:
        """Seconds since an arbitrary start."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        if seconds > 0:
            time.sleep(seconds)

    def random(self) -> float:
        """A number in [0, 1). Jitter needs no cryptographic chance."""
        return random.random()  # noqa: S311 -- jitter, not a secret


@dataclass
class VirtualClock:
    """A clock that moves only when told, or when somebody sleeps. Shipped for tests and simulations."""

    at: pendulum.DateTime = field(default_factory=lambda: pendulum.datetime(2026, 11, 2, 9, 0, 0))
    seed: int = 0
    elapsed_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Seed the dice, so that a run can be repeated."""
        self._dice = random.Random(self.seed)  # noqa: S311 -- jitter, not a secret

    def now(self) -> pendulum.DateTime:
        """The virtual time, UTC."""
        return self.at

    def monotonic(self) -> float:
        """Virtual seconds passed."""
        return self.elapsed_seconds

    def sleep(self, seconds: float) -> None:
        """Move time on at once."""
        self.advance(max(0.0, seconds))

    def advance(self, seconds: float) -> None:
        """Move time on."""
        self.at = self.at.add(microseconds=round(seconds * 1_000_000))
        self.elapsed_seconds += seconds

    def random(self) -> float:
        """The next roll of the seeded dice."""
        return self._dice.random()
