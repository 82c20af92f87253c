"""When a claim may still be sent, and when another run may settle it: free functions of numbers, and one fault.

A run claims invoices by committing its intent, proves the claim right before the bytes leave, and sends. Another run
takes a claim over only after a rest that begins when the last request under it can have left.
"""

from __future__ import annotations

import math

from books.core.faults import Exit, Halt

CLAIM_SECONDS_MAX = 60.0
"""A claim older than this is not sent any more: its process stood still, or waited."""

LOOK_UP_SECONDS_MAX = 60.0
"""How long a look-up by number is believed, under one hold of the push lock."""

CONNECT_SECONDS_MAX = 10.0
"""How long opening a connection may take, which happens after the proof (`books.transport.http`)."""

SHORT_WAIT_SECONDS = 2.0
"""A wait for the budget of one second does not count as waiting: it is over before anybody could act on it."""

NOT_SENT = "not_sent"
"""Fault code of a posting that was claimed, and not sent under that claim."""


def age_seconds(wall_seconds: float, steady_seconds: float) -> float:
    """Return how old something is: the greater of two clocks' answers.

    The store's clock goes on while a machine is suspended; the process's own is moved by no correction. What was made
    in the future, by the store's clock, is of no known age.
    """
    return max(wall_seconds, steady_seconds) if wall_seconds >= 0 else math.inf


def must_look_up_again(look_up_seconds: float, waited_seconds: float) -> bool:
    """Return whether a look-up of this age, after a wait for the rate limiter, is too old to create on."""
    return look_up_seconds > LOOK_UP_SECONDS_MAX or waited_seconds > SHORT_WAIT_SECONDS


def rest_seconds(settle_seconds: float, http_timeout: float, *, was_noted: bool) -> float:
    """Return how long after `attempted_at` an unknown posting may be settled.

    The settle wait begins when the last request can have left. Whoever noted that the answer is lost noted that moment
    too. Nobody did where a process was killed, or stands still: then it is the claim's time, up to a minute until the
    proof, and as long as connecting and waiting may take. Without a settle wait there is no rest (not in production).
    """
    if not settle_seconds or was_noted:
        return settle_seconds
    return CLAIM_SECONDS_MAX + CONNECT_SECONDS_MAX + http_timeout + settle_seconds


class ClaimLost(Halt):
    """A claim that cannot be proved: nothing was sent, and the next run decides again."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"{reason} between claiming these invoices and sending them, so they were not sent",
            exit_code=Exit.TRY_LATER,
            code=NOT_SENT,
            remedy="Run again: it looks them up and decides again; nothing is sent twice.",
        )
