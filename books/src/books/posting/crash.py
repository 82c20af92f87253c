"""Named points at which a test may kill or freeze the process, so that every gap between two steps can be tried.

`BOOKS_CRASH_AT=intent_committed` kills at that point, `BOOKS_CRASH_AT=after_send:3` at its third passing, with
SIGKILL: no clean-up runs. `BOOKS_FREEZE_AT` stops the process there with SIGSTOP, as a suspended machine does, until
somebody sends SIGCONT. Without the variables the points do nothing.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence

VARIABLE = "BOOKS_CRASH_AT"
FREEZE_VARIABLE = "BOOKS_FREEZE_AT"

POINTS = (
    "run_started",
    "input_read",
    "company_checked",
    "numbers_looked_up",
    "references_found",
    "decisions_recorded",
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
    """Return the checkpoint that `BOOKS_CRASH_AT` or `BOOKS_FREEZE_AT` asks for; one that does nothing without them.

    Raises:
        ValueError: no point has that name (a test that never crashes would prove nothing).
    """
    for variable, number in ((VARIABLE, signal.SIGKILL), (FREEZE_VARIABLE, signal.SIGSTOP)):
        wanted = os.environ.get(variable, "")
        if not wanted:
            continue
        name, _, nth = wanted.partition(":")
        if name not in points:
            raise ValueError(f"{variable}: there is no point {name!r}; known are {', '.join(points)}")
        return _signaller(name, int(nth or 1), number)
    return _pass


def _pass(name: str) -> None:
    """Do nothing."""


def _signaller(wanted: str, nth: int, number: signal.Signals) -> Checkpoint:
    passed: Counter[str] = Counter()

    def checkpoint(name: str) -> None:
        passed[name] += 1
        if name == wanted and passed[name] == nth:
            os.kill(os.getpid(), number)

    return checkpoint
