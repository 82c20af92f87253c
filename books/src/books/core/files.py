"""Replace files whole: written beside their place, then renamed into it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path, *, private: bool = False, durable: bool = False) -> Iterator[Path]:
    """Yield the path of a new file, which takes the place of `path` when the block ends without an exception.

    Readers see the old file or the new one. A kill leaves the old one, and at worst a file ending in `.new`.
    `private`: only the owner may read it, from its first byte on. `durable`: it survives a power cut.
    """
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    try:
        if private:
            new.touch(mode=0o600, exist_ok=False)
        yield new
        if durable:
            _sync(new, os.O_RDWR)
        new.replace(path)
        if durable:
            _sync(path.parent, os.O_RDONLY)
    finally:
        new.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes, *, private: bool = False) -> Path:
    """Replace the file at `path` by one with this content; return `path`."""
    with replacing(path, private=private) as new:
        new.write_bytes(content)
    return path


def write_text(path: Path, text: str, *, private: bool = False) -> Path:
    """Replace the file at `path` by one with this text, as UTF-8; return `path`."""
    return write_bytes(path, text.encode(), private=private)


def _sync(path: Path, flags: int) -> None:
    """Wait until a file, or a folder with the names in it, is on the disk."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
