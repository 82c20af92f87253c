"""Run Meltano from a command; keep its output and the plugins' own exit codes, which `meltano run` turns into 1."""

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
    """How a run of Meltano ended: the plugin's own exit code where one is known, and the whole output."""

    code: int
    log: str
    messages: tuple[str, ...]
    """The message of each plugin that failed."""


def run(configuration: Configuration, store: Store, words: Sequence[str], settings: Mapping[str, str]) -> Ended:
    """Run `meltano run WORDS` with plugin settings as environment variables; its output is kept, not printed."""
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
    messages = tuple(f"{each.plugin}: {each.message}" for each in failed if each.message)
    return Ended(finer_code(done.returncode, store, started_at), done.stdout, messages)


def finer_code(code: int, store: Store, started_at: pendulum.DateTime) -> int:
    """Return the worst exit code that a plugin recorded since then, where the run failed and one did."""
    found = [run.exit_code for run in runs.since(store, started_at) if run.exit_code != Exit.DONE]
    return runs.worst(found) if found and code != Exit.DONE else code


def failure(ended: Ended) -> str:
    """Return why it failed, for people: the plugins' messages, else the end of the log."""
    if ended.messages:
        return "\n".join(ended.messages)
    if ALREADY_RUNNING in ended.log:
        return (
            "Meltano reports that this job is running already.\nWhat to do: wait until it has ended; after a killed "
            "run, once no other runs, add --force."
        )
    return redact.mask("\n".join(ended.log.splitlines()[-LOG_LINES_SHOWN:]))


@contextmanager
def push_lock(root: Path) -> Iterator[None]:
    """Hold the documented lock file, so that no scheduled push starts meanwhile.

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
