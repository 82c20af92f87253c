"""A process that can be killed at any step: each call, each commit, each line of output is one.

What is killed does nothing any more: clean-up that Python still runs reaches neither the network nor the disk.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, event

from books.transport.http import HttpTransport


class Killed(BaseException):
    """The process is gone: no handler of ours may run on."""


class Life:
    """How many steps a process has left. It begins without an end."""

    def __init__(self) -> None:
        self._left: int | None = None
        self._gone = False

    @contextmanager
    def of(self, steps: int | None) -> Iterator[None]:
        """One process, killed at this step; None lets it live."""
        self._left, self._gone = steps, False
        try:
            yield
        finally:
            self._left, self._gone = None, False

    def end(self) -> None:
        """Kill it now."""
        self._gone = True
        raise Killed

    def step(self, *_: object) -> None:
        """It is about to do something that lasts."""
        if self._gone:
            raise Killed
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                self.end()


@contextmanager
def mortal(life: Life) -> Iterator[None]:
    """Put every call to a vendor and every transaction under this life: before it, and after it."""
    send = HttpTransport.send

    def counted(self: HttpTransport, request):
        life.step()
        answer = send(self, request)
        life.step()
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HttpTransport, "send", counted)
        for moment in ("begin", "commit"):
            event.listen(Engine, moment, life.step)
        try:
            yield
        finally:
            for moment in ("begin", "commit"):
                event.remove(Engine, moment, life.step)


class Output(io.StringIO):
    """Where a process writes to. It may be killed at one of its lines, and leave a part of that."""

    def __init__(self, life: Life, *, lines: int | None = None, part: bool = False) -> None:
        super().__init__()
        self._life = life
        self._lines = lines
        self._part = part

    def write(self, text: str) -> int:
        """One line."""
        try:
            self._life.step()
            self._count()
        except Killed:
            if self._part and text.strip():
                super().write(text[: len(text) // 2])
                self._part = False
            raise
        return super().write(text)

    def _count(self) -> None:
        if self._lines is not None:
            self._lines -= 1
            if self._lines < 0:
                self._life.end()


class Pipe:
    """What a target reads: the tap's lines, and then its end, or the target's own."""

    def __init__(self, text: str, life: Life, *, ends: bool) -> None:
        self._lines = text.splitlines(keepends=True)
        self._life = life
        self._ends = ends

    def __iter__(self) -> Iterator[str]:
        """The lines."""
        yield from self._lines
        if not self._ends:
            self._life.end()
