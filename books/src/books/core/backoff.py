"""Exponential backoff: one formula for every retry of the project."""

from __future__ import annotations

FIRST_SECONDS = 1.0
SECONDS_MAX = 60.0

DOUBLINGS_MAX = 30
"""Keeps the power finite; every ceiling is reached long before."""


def backoff_seconds(
    tries: int, chance: float = 1.0, *, first: float = FIRST_SECONDS, seconds_max: float = SECONDS_MAX
) -> float:
    """Return the wait after `tries` failed tries: `first` seconds, doubled with each further try, up to a maximum.

    A random `chance` in [0, 1) makes it "full jitter" (AWS, "Exponential Backoff And Jitter"): anything below that
    wait, so that processes that failed together do not come back together.
    """
    return chance * min(seconds_max, first * 2.0 ** min(tries - 1, DOUBLINGS_MAX))
