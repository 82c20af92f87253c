"""Runs the target in real processes, fast: imports once, then forks for each line of its input.

A line is {"config", "input", "output", "crash"}; the answer is the wait status of the child, e.g. 9 for SIGKILL.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from pathlib import Path

from books.clock import SystemClock
from books.posting import crash
from target_quickbooks.target import TargetQuickBooks


class HurriedClock(SystemClock):
    """Real time, except that waits are short: the simulator's limits are off."""

    def sleep(self, seconds):
        super().sleep(min(seconds, 0.01))


def child(order):
    if order["crash"]:
        os.environ[crash.VARIABLE] = order["crash"]
    os.dup2(os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
    with Path(order["input"]).open() as lines:
        TargetQuickBooks(config=order["config"], clock=HurriedClock()).listen(lines)
    sys.stdout.flush()


def main():
    logging.disable(logging.CRITICAL)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                child(json.loads(line))
                code = 0
            except BaseException:  # noqa: BLE001 -- the last handler of a process
                traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        os.write(1, f"{status}\n".encode())


if __name__ == "__main__":
    main()
