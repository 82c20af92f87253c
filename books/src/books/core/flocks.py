"""The locks that flock(1) takes in a scheduler's lines: they keep our own starts of a job and the scheduler's apart."""

from __future__ import annotations

import fcntl

PUSH_LOCK = ".push.lock"
PULL_LOCK = ".pull.lock"
"""Files in the project's folder, as the README's cron lines name them."""


def try_lock(descriptor: int) -> bool:
    """Take the lock of an open file if nobody has it. The system frees it with the file's last descriptor."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
