"""List the processes of this machine: start time and command line."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from books.core.clock import SystemClock

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A running process."""

    pid: int
    key: str
    """Distinguishes it from a later process with the same number."""
    started_at: float
    """Seconds since 1970."""
    words: tuple[str, ...]


def processes() -> list[Process]:
    """Return the running processes that are visible to us."""
    return list(_of_linux() if (PROC / "self" / "stat").exists() else _of_ps())


def _of_linux() -> Iterator[Process]:
    boot, ticks = (PROC / "sys/kernel/random/boot_id").read_text().strip(), os.sysconf("SC_CLK_TCK")
    booted_at = float(re.search(r"^btime (\d+)$", (PROC / "stat").read_text(), re.MULTILINE)[1])  # type: ignore[index] # always there
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):  # it has ended meanwhile
            state, *fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if state in "ZX":  # a zombie: it has ended
                continue
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            started = fields[18]
            yield Process(int(entry.name), f"{boot} {started}", booted_at + int(started) / ticks, tuple(words))


def _of_ps() -> Iterator[Process]:
    """Yield the processes that `ps` lists, where there is no /proc (macOS)."""
    now = SystemClock().now().timestamp()
    command = ["ps", "-A", "-o", "pid=,lstart=,etime=,args="]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 -- a fixed command
    for line in listed.splitlines():
        pid, *rest = line.split()
        key, etime, words = " ".join(rest[:5]), rest[5], rest[6:]
        yield Process(int(pid), key, now - _seconds(etime), tuple(words))


def _seconds(etime: str) -> int:
    """Return the seconds of `[[days-]hours:]minutes:seconds`, as ps writes the age of a process."""
    days, _, clock = etime.rpartition("-")
    seconds = 0
    for part in clock.split(":"):
        seconds = seconds * 60 + int(part)
    return int(days or 0) * 86_400 + seconds
