"""The documented backup of a SQLite store, taken while others write."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from books.store import Store

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def documented(store: Path, backup: Path) -> str:
    """The command of docs/operations.md, for other files."""
    [line] = re.findall(r"^ +(umask 077; sqlite3 .+?) +#", PAGE.read_text(), re.MULTILINE)
    return line.replace(".books/production/books.db", str(store)).replace("/backup/books-$(date +%F).db", str(backup))


def test_a_backup_has_all_that_was_committed_while_others_work(tmp_path):
    """`sqlite3 .backup` with a writer in mid-transaction: everything committed is in it, nothing else; it is private.

    A plain copy of the file is no backup, as the page says: what is newest lies in the write-ahead log.
    """
    if shutil.which("sqlite3") is None:
        pytest.skip("the program sqlite3 is not installed")
    path, backup, copy = (tmp_path / name / "books.db" for name in ("live", "backup", "copy"))
    store = Store.open(f"sqlite:///{path}")
    for folder in (backup.parent, copy.parent):
        folder.mkdir(mode=0o700)
    for _time in range(41):
        with store.begin() as conn:
            store.next_seq(conn)
    with store.begin() as conn:
        store.next_seq(conn)
        subprocess.run(["sh", "-c", documented(path, backup)], check=True, timeout=30)
        shutil.copy2(path, copy)
    assert next_seq_of(backup) == 42
    assert next_seq_of(copy) < 42
    assert backup.stat().st_mode & 0o777 == 0o600
    store.close()


def next_seq_of(path: Path) -> int:
    store = Store.open(f"sqlite:///{path}")
    with store.begin() as conn:
        found = store.next_seq(conn)
    store.close()
    return found
