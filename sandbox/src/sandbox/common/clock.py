"""A clock that runs with the machine's, from any date, and can be moved, set or stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FARTHEST = datetime(9000, 1, 1, tzinfo=UTC)


class SimClock:
    """Virtual time in UTC: the machine's time plus an offset, or standing still when frozen.

    `on_change` is called after each move with this clock, so that an owner can keep it across restarts.
    """

    def __init__(self, start: datetime | None = None, *, frozen: bool = False) -> None:
        self._offset = 0.0
        self._stopped_at: float | None = None
        self.on_change: list[Callable[[SimClock], None]] = []
        if start is not None:
            self.set(start)
        if frozen:
            self.freeze()

    def epoch(self) -> float:
        """Return virtual seconds since 1970."""
        return time.time() + self._offset if self._stopped_at is None else self._stopped_at

    def now(self) -> datetime:
        """Return virtual time, UTC, to the microsecond."""
        return EPOCH + timedelta(seconds=self.epoch())

    @property
    def frozen(self) -> bool:
        """Return whether the clock stands still."""
        return self._stopped_at is not None

    def advance(self, seconds: float) -> None:
        """Move time on, or back when negative.

        Raises:
            ValueError: the new time would lie outside the years 1970 to 9000.
        """
        self._move_to(self.epoch() + seconds)

    def set(self, now: datetime) -> None:
        """Set the time; a time without an offset is taken as UTC."""
        aware = now if now.tzinfo else now.replace(tzinfo=UTC)
        self._move_to((aware - EPOCH).total_seconds())

    def freeze(self) -> None:
        """Stop the clock until `run`."""
        self._stopped_at = self.epoch()
        self._changed()

    def run(self) -> None:
        """Let the clock run again, from where it stopped."""
        epoch = self.epoch()
        self._stopped_at = None
        self._offset = epoch - time.time()
        self._changed()

    def real_time(self) -> None:
        """Return to the machine's time."""
        self._offset, self._stopped_at = 0.0, None
        self._changed()

    def snapshot(self) -> dict[str, float | None]:
        """Return what `restore` needs, as JSON."""
        return {"offset_seconds": self._offset, "stopped_at": self._stopped_at}

    def restore(self, snapshot: dict[str, float | None]) -> None:
        """Restore a snapshot; a running clock has continued meanwhile."""
        self._offset = float(snapshot.get("offset_seconds") or 0.0)
        stopped_at = snapshot.get("stopped_at")
        self._stopped_at = None if stopped_at is None else float(stopped_at)

    def _move_to(self, epoch: float) -> None:
        if not 0 <= epoch <= (FARTHEST - EPOCH).total_seconds():
            raise ValueError("the clock goes from 1970 to 9000")
        if self._stopped_at is None:
            self._offset = epoch - time.time()
        else:
            self._stopped_at = epoch
        self._changed()

    def _changed(self) -> None:
        for listener in self.on_change:
            listener(self)


def parse_time(text: str) -> datetime:
    """Read an ISO 8601 date or time; without an offset it is UTC. `Z` is understood on every Python.

    Raises:
        ValueError: not such a time.
    """
    moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00").replace("z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
