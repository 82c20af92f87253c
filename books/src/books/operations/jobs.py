"""Running Meltano from a command: what it printed, and the exit code that `meltano run` itself makes a 1 of."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pendulum

from books.core import redact
from books.core.clock import SystemClock
from books.core.faults import Exit, Halt
from books.core.flocks import PUSH_LOCK, try_lock
from books.operations import runs
from books.operations.configuration import Configuration, meltano_command
from books.store import Store

LOCK_SECONDS_MAX = 180
LOCK_LOOK_SECONDS = 0.25
LOG_LINES_SHOWN = 15
ALREADY_RUNNING = "already running"


@dataclass(frozen=True)
class Ended:
    """How a run of Meltano ended, by the finest code known, and all that it printed."""

    code: int
    log: str
    words: tuple[str, ...]
    """What each plugin that failed said of it."""


def run(configuration: Configuration, store: Store, words: Sequence[str], settings: Mapping[str, str]) -> Ended:
    """`meltano run WORDS` with settings of plugins given as environment variables; nothing is printed meanwhile."""
    started_at = SystemClock().now()
    call = meltano_command(configuration, *words)
    environment = {**os.environ, **settings, "NO_COLOR": "1"}
    done = subprocess.run(  # noqa: S603 -- our own command
        call,
        cwd=configuration.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    failed = [each for each in runs.since(store, started_at) if each.exit_code != Exit.DONE]
    told = tuple(f"{each.plugin}: {each.message}" for each in failed if each.message)
    return Ended(finer(done.returncode, store, started_at), done.stdout, told)


def finer(code: int, store: Store, started_at: pendulum.DateTime) -> int:
    """The finer exit code that a plugin left in the store since then, where the run failed."""
    found = [run.exit_code for run in runs.since(store, started_at) if run.exit_code != Exit.DONE]
    return runs.worst(found) if found and code != Exit.DONE else code


def failure(ended: Ended) -> str:
    """Why it failed, for people: the plugins' own words, else the end of the log."""
    if ended.words:
        return "\n".join(ended.words)
    if ALREADY_RUNNING in ended.log:
        return (
            "Meltano says that this is running already.\nWhat to do: wait until it has ended; after a killed run, "
            "once no other lives, add --force."
        )
    return redact.mask("\n".join(ended.log.splitlines()[-LOG_LINES_SHOWN:]))


@contextmanager
def push_lock(root: Path) -> Iterator[None]:
    """Keep scheduled pushes away meanwhile, those that hold the documented lock file.

    Raises:
        Halt: TRY_LATER; another has held it for three minutes.
    """
    clock = SystemClock()
    give_up_at = clock.monotonic() + LOCK_SECONDS_MAX
    with (root / PUSH_LOCK).open("w") as file:
        while not try_lock(file.fileno()):
            if clock.monotonic() > give_up_at:
                raise _busy()
            clock.sleep(LOCK_LOOK_SECONDS)
        yield


def _busy() -> Halt:
    return Halt(
        f"another push has held {PUSH_LOCK} for {LOCK_SECONDS_MAX} seconds",
        exit_code=Exit.TRY_LATER,
        code="lock_busy",
        remedy="Run again when it has ended; `books status` shows whether one is in flight.",
    )
