"""Files appear whole: written beside their place, then renamed into it."""

from __future__ import annotations

from pathlib import Path


def write_text(path: Path, text: str) -> Path:
    """Write `text` as UTF-8; a reader sees the old file or the new."""
    return write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> Path:
    """Write `content`; a reader sees the old file or the new."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    return new.replace(path)
