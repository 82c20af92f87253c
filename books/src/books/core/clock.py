"""Time, sleep and randomness, passed in: nothing else in the project reads a clock or draws a random number."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Protocol

import pendulum


def text_of(at: pendulum.DateTime) -> str:
    """Return a time as text in UTC, always of the same width, so that it sorts."""
    return at.in_timezone("UTC").strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Clock(Protocol):
    """The clock that a caller is given."""

    def now(self) -> pendulum.DateTime:
        """Return the wall-clock time, UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences mean anything."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; zero and negative seconds return at once."""
        ...

    def random(self) -> float:
        """Return a number in [0, 1), for jitter."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> pendulum.DateTime:
        """Return the wall-clock time, UTC."""
        return pendulum.now("UTC")

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        if seconds > 0:
            time.sleep(seconds)

    def random(self) -> float:
        """Return a number in [0, 1). Jitter needs no cryptographic randomness."""
        return random.random()  # noqa: S311 -- jitter, not a secret


@dataclass
class VirtualClock:
    """A clock that moves only by `advance` and `sleep`. Shipped for tests and simulations."""

    at: pendulum.DateTime = field(default_factory=lambda: pendulum.datetime(2026, 11, 2, 9, 0, 0))
    seed: int = 0
    elapsed_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Seed the random numbers, so that a run can be repeated."""
        self._random = random.Random(self.seed)  # noqa: S311 -- jitter, not a secret

    def now(self) -> pendulum.DateTime:
        """Return the virtual time, UTC."""
        return self.at

    def monotonic(self) -> float:
        """Return the virtual seconds passed."""
        return self.elapsed_seconds

    def sleep(self, seconds: float) -> None:
        """Advance the time at once."""
        self.advance(max(0.0, seconds))

    def advance(self, seconds: float) -> None:
        """Advance the time."""
        self.at = self.at.add(microseconds=round(seconds * 1_000_000))
        self.elapsed_seconds += seconds

    def random(self) -> float:
        """Return the next seeded random number."""
        return self._random.random()
