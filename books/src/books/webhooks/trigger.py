"""Start the job that reads noticed objects: soon, once for many notices, one at a time, and again after a failure."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from books.core.backoff import backoff_seconds
from books.core.clock import Clock, SystemClock
from books.core.flocks import try_lock

QUIET_SECONDS = 1.0
"""One action of a bookkeeper causes several notices: wait until none has arrived for this long ..."""

LONGEST_SECONDS = 5.0
"""... but no longer than this after the first."""

RETRY_SECONDS = 30.0
RETRY_SECONDS_MAX = 600.0

LOCK_POLL_SECONDS = 0.2
STOP_SECONDS = 20.0
"""How long a job may take to end after SIGTERM; the next one does what it left undone."""


def due_in(now: float, first_at: float, last_at: float, failures: int, failed_at: float) -> float:
    """Return the seconds until the job is due. Times are of one steady clock; `failures` counts those in a row."""
    due_at = min(last_at + QUIET_SECONDS, first_at + LONGEST_SECONDS)
    if failures:
        due_at = max(due_at, failed_at + backoff_seconds(failures, first=RETRY_SECONDS, seconds_max=RETRY_SECONDS_MAX))
    return due_at - now


@dataclass(frozen=True)
class Job:
    """A command, and the lock file that it shares with the scheduler's line for the same job (`books.core.flocks`)."""

    command: Sequence[str]
    folder: Path
    lock_file: Path


class Trigger:
    """Runs the job after each `poke`. Failures are logged; the job's own output goes to stderr."""

    def __init__(self, job: Job, logger: logging.Logger, clock: Clock | None = None) -> None:
        self._job = job
        self._logger = logger
        self._clock = clock or SystemClock()
        self._poked = asyncio.Event()
        self._failures = 0
        self._failed_at = 0.0
        self.running = False
        self.last_exit_code: int | None = None

    def poke(self) -> None:
        """Ask for the job: there is something to read."""
        self._poked.set()

    async def run_forever(self) -> None:
        """Wait for pokes and run the job, until cancelled; a running job is then stopped too."""
        while True:
            await self._poked.wait()
            await self._wait_until_due()
            self._poked.clear()
            self._note(await self._run())

    async def _wait_until_due(self) -> None:
        first_at = last_at = self._clock.monotonic()
        while (wait := due_in(self._clock.monotonic(), first_at, last_at, self._failures, self._failed_at)) > 0:
            self._poked.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._poked.wait(), wait)
                last_at = self._clock.monotonic()

    def _note(self, code: int) -> None:
        self.last_exit_code = code
        if code == 0:
            self._failures = 0
            return
        self._failures += 1
        self._failed_at = self._clock.monotonic()
        self._logger.warning("The job ended with exit code %d and is started again later. See why: books status", code)
        self.poke()

    async def _run(self) -> int:
        async with _locked(self._job.lock_file):
            self.running = True
            try:
                return await _run(self._job)
            finally:
                self.running = False


@contextlib.asynccontextmanager
async def _locked(path: Path) -> AsyncIterator[None]:
    """Hold the lock that `flock` takes in the scheduler's line; the system frees it if this process dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        while not try_lock(descriptor):  # noqa: ASYNC110 -- flock cannot wake a coroutine
            await asyncio.sleep(LOCK_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


async def _run(job: Job) -> int:
    process = await asyncio.create_subprocess_exec(
        *job.command, cwd=job.folder, stdin=asyncio.subprocess.DEVNULL, stdout=2, start_new_session=True
    )
    try:
        return await process.wait()
    except asyncio.CancelledError:
        await _stop(process)
        raise


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Stop the job and its children: SIGTERM first, SIGKILL if they do not end in time."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
