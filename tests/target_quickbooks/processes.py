"""Real processes of the target for tests that kill or freeze them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from books.posting.records import to_text


class Processes:
    """Runs of the target, each a process of its own."""

    def __init__(self, folder):
        self._folder = folder
        self._started = 0
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("zygote.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": ""},
            text=True,
        )

    def run(self, config, messages, crash=""):
        """Run the target to its end: its wait status, and what it printed."""
        status, _ = self.start(config, messages, crash=crash)
        return status, self._file("output").read_text()

    def start(self, config, messages, **order):
        """Run the target until it ends or stops itself: its wait status, and its process id."""
        self._started += 1
        given, printed = self._file("input"), self._file("output")
        given.write_text("".join(to_text(message) + "\n" for message in messages))
        return self._order({"config": config, "input": str(given), "output": str(printed), **order})

    def resume(self, pid):
        """Let a stopped process go on, to its end or its next stop: its wait status."""
        return self._order({"resume": pid})[0]

    def _file(self, kind):
        """Of the last process started; a stopped one before it keeps its own."""
        return self._folder / f"{kind}-{self._started}.jsonl"

    def _order(self, order):
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        status, pid = self._process.stdout.readline().split()
        return int(status), int(pid)

    def close(self):
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def messages(rows):
    """What a tap prints for these invoices."""
    schema = {"type": "object", "properties": {"id": {"type": "string"}}}
    head = {"type": "SCHEMA", "stream": "invoices", "key_properties": ["id"], "schema": schema}
    return [
        head,
        *({"type": "RECORD", "stream": "invoices", "record": row} for row in rows),
        {"type": "STATE", "value": {"upto": len(rows)}},
    ]
