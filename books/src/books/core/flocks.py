"""The file locks that the scheduler's lines take with flock(1), so that a job never runs twice at once."""

from __future__ import annotations

import fcntl

PUSH_LOCK = ".push.lock"
PULL_LOCK = ".pull.lock"
"""Files in the project's folder, as named in the README's cron lines."""


def try_lock(descriptor: int) -> bool:
    """Lock an open file if nobody holds it; return whether it is ours. The system frees it with the last descriptor."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
