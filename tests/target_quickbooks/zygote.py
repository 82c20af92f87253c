"""Runs the target in real processes, fast: imports once, then forks for each line of its input.

A line is {"config", "input", "output", "crash", ...}; the answer is the wait status of the child, e.g. 9 for SIGKILL,
and its process id. A child that stopped itself is answered too; {"resume": pid} lets it go on and waits again.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
import traceback
from pathlib import Path

import pendulum

from books.core.clock import SystemClock
from books.core.faults import Halt
from books.posting import crash
from target_quickbooks.target import TargetQuickBooks


class HurriedClock(SystemClock):
    """Real time, except that waits are short: the simulator's limits are off."""

    def sleep(self, seconds):
        super().sleep(min(seconds, 0.01))


class ShiftedClock:
    """The time of this machine, moved by the seconds that a file holds, as after a suspension; waits pass at once.

    No SystemClock, so that PostgreSQL's clock is this one too. `freeze_at_sleep` stops the process in its n-th wait.
    """

    def __init__(self, file, freeze_at_sleep=0):
        self._file = Path(file)
        self._freeze_at_sleep = freeze_at_sleep
        self._sleeps = 0
        self._slept = 0.0

    def now(self):
        return pendulum.now("UTC").add(seconds=self._moved())

    def monotonic(self):
        return time.monotonic() + self._moved()

    def _moved(self):
        return float(self._file.read_text() or 0) + self._slept

    def sleep(self, seconds):
        self._sleeps += 1
        if self._sleeps == self._freeze_at_sleep:
            os.kill(os.getpid(), signal.SIGSTOP)
        self._slept += max(0.0, seconds)

    def random(self):
        return 0.5


def child(order):
    for variable, name in ((crash.VARIABLE, "crash"), (crash.FREEZE_VARIABLE, "freeze")):
        if order.get(name):
            os.environ[variable] = order[name]
    os.dup2(os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
    clock = ShiftedClock(order["clock"], order.get("freeze_at_sleep", 0)) if order.get("clock") else HurriedClock()
    with Path(order["input"]).open() as lines:
        TargetQuickBooks(config=order["config"], clock=clock).listen(lines)
    sys.stdout.flush()


def start(order):
    """The child's process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        child(order)
        code = 0
    except Halt as halt:
        code = int(halt.exit_code)
    except BaseException:  # noqa: BLE001 -- the last handler of a process
        traceback.print_exc()
    finally:
        os._exit(code)


def main():
    logging.disable(logging.CRITICAL)
    for line in sys.stdin:
        order = json.loads(line)
        if "resume" in order:
            pid = order["resume"]
            os.kill(pid, signal.SIGCONT)
        else:
            pid = start(order)
        _, status = os.waitpid(pid, os.WUNTRACED)
        os.write(1, f"{status} {pid}\n".encode())


if __name__ == "__main__":
    main()
