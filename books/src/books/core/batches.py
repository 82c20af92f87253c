"""Split many values into batches, for statements and calls that take only so many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batched(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the values in order, in lists of `size`; the last may be shorter (itertools has it from Python 3.12 on)."""
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch
