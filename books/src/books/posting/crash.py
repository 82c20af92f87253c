"""Named points at which a test may kill the process, so that every gap between two steps can be tried for real.

`BOOKS_CRASH_AT=intent_committed` kills at that point, `BOOKS_CRASH_AT=after_send:3` at its third passing, with
SIGKILL: no clean-up runs. Without the variable the points do nothing.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence

VARIABLE = "BOOKS_CRASH_AT"

POINTS = (
    "run_started",
    "input_read",
    "company_checked",
    "numbers_looked_up",
    "found_recorded",
    "references_found",
    "customers_sent",
    "customers_learned",
    "items_sent",
    "drafted",
    "before_intent",
    "intent_committed",
    "after_send",
    "outcome_committed",
    "before_look_up_again",
    "before_resend",
    "resend_committed",
    "left_alone_recorded",
    "run_recorded",
    "before_state",
)

DISCONNECT_POINTS = ("revoked", "given_up", "opsmerge_told")
"""Those of `books disconnect`."""

Checkpoint = Callable[[str], None]


def from_environment(points: Sequence[str] = POINTS) -> Checkpoint:
    """The checkpoint that `BOOKS_CRASH_AT` asks for; one that does nothing where it is not set.

    Raises:
        ValueError: no point has that name (a test that never crashes would prove nothing).
    """
    wanted = os.environ.get(VARIABLE, "")
    if not wanted:
        return _pass
    name, _, nth = wanted.partition(":")
    if name not in points:
        raise ValueError(f"{VARIABLE}: there is no point {name!r}; known are {', '.join(points)}")
    return _killer(name, int(nth or 1))


def _pass(name: str) -> None:
    """Go on."""


def _killer(wanted: str, nth: int) -> Checkpoint:
    passed: Counter[str] = Counter()

    def checkpoint(name: str) -> None:
        passed[name] += 1
        if name == wanted and passed[name] == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    return checkpoint
