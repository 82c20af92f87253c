"""Erase a client in files that this project wrote: reports, logs and plans. Other files are only named."""

from __future__ import annotations

import html
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path

from books.core import money
from books.core.files import replacing
from books.operations.forget.client import ClientData, Erased

BYTES_MAX = 256 * 1024 * 1024
"""No file of this project is larger."""


def erase(folders: Iterable[Path], client: ClientData, *, act: bool) -> list[Erased]:
    """Mask the client's names and e-mail addresses in every file below these folders, or count the files."""
    found = []
    for folder in folders:
        count = 0
        for path in _files(folder):
            masked = _masked(path, client)
            if masked is not None:
                count += 1
                if act:
                    _replace(path, masked)
        found.append(Erased(str(folder), "the name or e-mail address in files", count))
    return [each for each in found if each.count]


def mentioned(paths: Iterable[Path], client: ClientData) -> list[Path]:
    """Return which of these files name the client."""
    names = [client.id, *client.texts]
    texts = {path: path.read_text(encoding="utf-8", errors="replace") for path in paths if path.is_file()}
    return [path for path, text in texts.items() if any(each.casefold() in text.casefold() for each in names)]


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= BYTES_MAX:
            yield path


def _masked(path: Path, client: ClientData) -> bytes | None:
    """Return the file's new content; None where it does not mention the client."""
    content = path.read_bytes()
    if zipfile.is_zipfile(BytesIO(content)):
        return _masked_zip(content, client)
    masked = _masked_text(content, client)
    return masked if masked != content else None


def _masked_zip(content: bytes, client: ClientData) -> bytes | None:
    """Return a workbook's new content: XML files in a ZIP. None where it does not mention the client."""
    out, changed = BytesIO(), False
    with zipfile.ZipFile(BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            before = old.read(member)
            after = _masked_text(before, client)
            changed = changed or after != before
            new.writestr(member, after)
    return out.getvalue() if changed else None


def _masked_text(content: bytes, client: ClientData) -> bytes:
    """Return the content with the client masked, whether the name is written plain, in HTML or XML, or in JSON."""
    text = content.decode("utf-8", "surrogateescape")
    escaped = {
        form
        for each in client.texts
        for form in (each, html.escape(each), html.escape(each, quote=False), money.dumps(each)[1:-1])
    }
    other = ClientData(client.id, names=frozenset(escaped))
    return other.masked(text).encode("utf-8", "surrogateescape")


def _replace(path: Path, content: bytes) -> None:
    with replacing(path) as new:
        new.write_bytes(content)
        shutil.copymode(path, new)
