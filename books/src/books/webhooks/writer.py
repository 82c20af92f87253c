"""Group commit: store deliveries that arrive at the same time in one transaction, with one flush of the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

GROUP_MAX = 100
"""Deliveries in one transaction."""

Waiting = tuple[bytes, "asyncio.Future[None]"]


class Writer:
    """Writes bodies in groups: `keep` writes a group, in a thread; `kept` is called after each group."""

    def __init__(self, keep: Callable[[Sequence[bytes]], None], kept: Callable[[], None]) -> None:
        self._keep = keep
        self._kept = kept
        self._waiting: list[Waiting] = []
        self._task: asyncio.Task[None] | None = None

    async def write(self, body: bytes) -> None:
        """Return when the body is on the disk.

        Raises:
            Exception: what `keep` raised; the body may or may not be stored.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((body, done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write_groups())
        await done

    async def _write_groups(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:GROUP_MAX], self._waiting[GROUP_MAX:]
            await self._write_group(group)

    async def _write_group(self, group: Sequence[Waiting]) -> None:
        try:
            await asyncio.to_thread(self._keep, [body for body, _ in group])
        except Exception as error:  # noqa: BLE001 -- every waiting caller gets it; nobody else would
            for _, done in group:
                done.set_exception(error)
            return
        for _, done in group:
            done.set_result(None)
        self._kept()
