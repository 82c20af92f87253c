from __future__ import annotations

import contextlib
import itertools
import os
import re
import stat
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pendulum
import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, inspect, select, text

from books.core.clock import SystemClock, VirtualClock
from books.core.faults import Exit, Halt
from books.store import Money, Store, Timestamp, schema

pytestmark = pytest.mark.usefixtures("real_migration")

NOON = pendulum.datetime(2026, 11, 2, 12, 0, 0, 123456)


def test_a_store_is_made_once_and_opened_fast(store_url: str) -> None:
    """The first opening makes every table; the next ones only look, in a few milliseconds."""
    Store.open(store_url).close()
    seconds = []
    for _time in range(5):
        start = time.perf_counter()
        store = Store.open(store_url)
        seconds.append(time.perf_counter() - start)
        with store.read() as conn:
            assert schema.revision(conn) == schema.HEAD
        store.close()
    if store_url.startswith("sqlite"):
        assert min(seconds) < 0.010


def test_head_is_the_newest_migration() -> None:
    """The revision that the fast path trusts is the one that the migrations end at."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.HEAD]


def test_every_declared_table_is_there(store: Store) -> None:
    """The tables of every concern are made, with every column that the code names."""
    assert {"token", "call", "pause", "counter"} <= set(schema.load_tables().tables)
    with store.read() as conn:
        for table in schema.metadata.tables.values():
            conn.execute(select(table).limit(1))


def test_a_newer_store_is_refused(store_url: str) -> None:
    """Older code does not touch a store that newer code has migrated, and says what to do."""
    store = Store.open(store_url)
    with store.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    with pytest.raises(Halt, match="revision 9999, which this version does not know") as caught:
        Store.open(store_url)
    assert caught.value.exit_code is Exit.MISCONFIGURED
    assert "update" in caught.value.remedy


def test_processes_that_open_a_new_store_together_all_succeed(store_url: str, start_worker: Any) -> None:
    """Four processes find no store at the same moment: one makes it, all use it."""
    workers = [start_worker("open_store", store_url=store_url, start_at=time.time() + 1.5) for _n in range(4)]
    for worker in workers:
        worker.finish()
    assert sorted(event["seq"] for worker in workers for event in worker.events()) == [1, 2, 3, 4]


def test_a_half_made_store_is_not_left(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When making the tables fails in the middle, the next opening starts from nothing and succeeds."""
    from alembic import op

    create_table = op.create_table

    def breaks(name: str, *columns: Any) -> None:
        create_table(name, *columns)
        if name == "posting":
            raise OSError("disk full")

    monkeypatch.setattr(op, "create_table", breaks)
    with pytest.raises(OSError, match="disk full"):
        Store.open(store_url)
    monkeypatch.undo()
    store = Store.open(store_url)
    with store.begin() as conn:
        assert store.next_seq(conn) == 1
    store.close()


def test_the_migrations_make_what_the_code_declares(store_url: str) -> None:
    """Column for column, key for key, index for index: a column that only the code has would fail at a user's."""
    store = Store.open(store_url)
    with store.read() as conn:
        migrated = told(conn)
    with store.begin() as conn:
        schema.load_tables().drop_all(conn)
        schema.load_tables().create_all(conn)
    with store.read() as conn:
        declared = told(conn)
    store.close()
    assert len(migrated) == len(schema.metadata.tables)
    assert migrated == declared


FILLED_0006 = """
INSERT INTO call (connection, kind, epoch, at) VALUES ('sandbox:1', 'batch', 'boot', 41.5);
INSERT INTO pause VALUES ('sandbox:1', 'boot', 99.5, 60.0, '429');
INSERT INTO breaker VALUES ('sandbox:1', 5, 'boot', 71.0, 30.0);
INSERT INTO metered_reads VALUES ('sandbox:1', '2026-10', 400000), ('sandbox:1', '2026-11', 12);
INSERT INTO metered_reads VALUES ('sandbox:2', '2026-11', 7);
INSERT INTO token (connection, access_token, refresh_token) VALUES ('sandbox:1', 'A', 'R')
"""


@pytest.fixture
def filled_0006(store_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store as revision 0006 left it, with rows in every table of the rate limiter."""
    with monkeypatch.context() as patched:
        patched.setattr(schema, "HEAD", "0006")
        store = Store.open(store_url)
    with store.begin() as conn:
        for statement in FILLED_0006.split(";"):
            conn.execute(text(statement))
    store.close()
    return store_url


def test_the_limiters_rows_survive_revision_0007(filled_0006: str) -> None:
    """Nothing that was counted is lost: metered reads are metered calls, a pause that is on stays on."""
    store = Store.open(filled_0006)
    with store.read() as conn:
        rows = conn.execute(text("SELECT connection, month, calls FROM metered ORDER BY connection, month")).all()
        others = {name: conn.execute(text(f"SELECT * FROM {name}")).mappings().one() for name in LIMITER}
        tables = inspect(conn).get_table_names()
    assert rows == [("sandbox:1", "2026-10", 400_000), ("sandbox:1", "2026-11", 12), ("sandbox:2", "2026-11", 7)]
    assert {name: dict(row) for name, row in others.items()} == {
        "call": {"id": 1, "connection": "sandbox:1", "kind": "batch", "epoch": "boot", "at": 41.5},
        "pause": {**STOPPED, "until": 99.5, "seconds": 60.0, "reason": "429", "ends_at": None},
        "breaker": {**STOPPED, "failures": 5, "until": 71.0, "seconds": 30.0},
    }
    assert "metered_reads" not in tables
    store.close()


LIMITER = ("call", "pause", "breaker")
STOPPED = {"connection": "sandbox:1", "epoch": "boot"}


def test_a_migration_that_fails_half_way_leaves_the_store_as_it_was(
    filled_0006: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old code can still use it, and the next opening goes all the way."""
    from alembic import op

    def breaks(name: str) -> None:
        raise OSError(f"disk full: {name}")

    with monkeypatch.context() as patched:
        patched.setattr(op, "drop_table", breaks)
        with pytest.raises(OSError, match="disk full: metered_reads"):
            Store.open(filled_0006)
        patched.setattr(schema, "HEAD", "0006")
        old = Store.open(filled_0006)
        with old.read() as conn:
            assert conn.execute(text("SELECT sum(reads) FROM metered_reads")).scalar() == 400_019
            assert not inspect(conn).has_table("metered")
        old.close()
    store = Store.open(filled_0006)
    with store.read() as conn:
        assert conn.execute(text("SELECT sum(calls) FROM metered")).scalar() == 400_019
    store.close()


def told(conn: Connection) -> dict[str, Any]:
    """Every table of ours, as the database itself describes it."""
    inspector = inspect(conn)
    return {
        name: (
            [{**column, "type": _type(conn, column["type"])} for column in inspector.get_columns(name)],
            inspector.get_pk_constraint(name),
            sorted((index["name"], index["column_names"]) for index in inspector.get_indexes(name)),
        )
        for name in inspector.get_table_names()
        if name != "alembic_version"
    }


def _type(conn: Connection, found: Any) -> str:
    """A column's type; without its length in SQLite, which heeds none, so that none is migrated there."""
    return re.sub(r"\(\d+\)", "", str(found)) if conn.dialect.name == "sqlite" else str(found)


def test_exceptions_roll_back(store: Store) -> None:
    """What a failed transaction wrote is gone, its numbers too."""
    with contextlib.suppress(ZeroDivisionError), store.begin() as conn:
        assert store.next_seq(conn) == 1
        _ = 1 / 0
    with store.begin() as conn:
        assert store.next_seq(conn) == 1


def test_numbers_rise_over_processes(store_url: str, start_worker: Any) -> None:
    """Three processes draw numbers at once: none is given twice, each process sees its own rise."""
    Store.open(store_url).close()
    workers = [start_worker("count", store_url=store_url, rounds=40) for _n in range(3)]
    for worker in workers:
        worker.finish()
    drawn = [[event["seq"] for event in worker.events()] for worker in workers]
    assert all(each == sorted(each) for each in drawn)
    assert sorted(itertools.chain.from_iterable(drawn)) == list(range(1, 121))


def test_the_clock_is_the_one_passed_in(store: Store, clock: VirtualClock) -> None:
    """In tests, both stores live on the virtual clock."""
    with store.read() as conn:
        assert store.now(conn) == clock.now()
        before = store.steady(conn)
        clock.advance(90)
        assert store.steady(conn).seconds - before.seconds == 90


class WrongClock(SystemClock):
    """A machine whose wall clock is an hour slow."""

    def now(self) -> pendulum.DateTime:
        return super().now().subtract(hours=1)

    def monotonic(self) -> float:
        return super().monotonic() + 5_000


def test_postgresql_tells_the_time_itself(postgresql: Any) -> None:
    """Machines that share a PostgreSQL store share its clock, however wrong their own is."""
    store, other = (Store.open(url, clock) for url in [postgresql()] for clock in (WrongClock(), SystemClock()))
    with store.read() as conn, other.read() as theirs:
        assert abs((store.now(conn) - pendulum.now("UTC")).total_seconds()) < 60
        first, second = store.steady(conn), other.steady(theirs)
        assert first.epoch == second.epoch
        assert abs(first.seconds - second.seconds) < 60
    store.close()
    other.close()


def test_locks_are_exclusive_named_and_bounded(store: Store, store_url: str) -> None:
    """A lock is held by one holder; another name is another lock; waiting for it ends with exit code 75."""
    other = Store.open(store_url, VirtualClock())
    with store.lock("push a", 0):
        assert other.is_locked("push a")
        with other.lock("push b", 0):
            pass
        with (
            pytest.raises(Halt, match="another process has held the lock 'push a' for 7 seconds") as caught,
            other.lock("push a", 7),
        ):
            pass
        assert caught.value.exit_code is Exit.TRY_LATER
    with other.lock("push a", 0):
        pass
    other.close()


def test_a_lock_whose_session_is_lost_is_not_held(postgresql: Any) -> None:
    """A database server that ended the session has freed the lock: its holder can see that, and ends well."""
    url = postgresql()
    first, other = Store.open(url), Store.open(url)
    with first.lock("push a", 0) as is_held:
        assert is_held()
        with other.begin() as connection:
            ours = "application_name = 'opsmerge-books' AND datname = current_database() AND pid <> pg_backend_pid()"
            connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}"))
        assert not is_held()
        assert not is_held(), "also when the session was opened again"
        with other.lock("push a", 5) as also_held:
            assert also_held()
    first.close()
    other.close()


def test_a_killed_holder_frees_its_lock(store_url: str, start_worker: Any) -> None:
    """SIGKILL while holding: the next one gets the lock at once, nothing has to be cleaned up."""
    store = Store.open(store_url)
    worker = start_worker("hold_slot", store_url=store_url)
    worker.wait_for_event()
    assert store.is_locked("push sandbox:9341453000000001")
    worker.process.kill()
    worker.process.wait()
    with store.lock("push sandbox:9341453000000001", 5):
        pass
    store.close()


def test_lock_files_stay_and_links_are_refused(tmp_path: Path) -> None:
    """A lock file is never unlinked, is private, and a link in its place is not followed."""
    store = Store.open(f"sqlite:///{tmp_path}/books.db")
    with store.lock("push a", 0):
        pass
    path = tmp_path / "books.db.push-a.lock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    victim = tmp_path / "victim"
    (tmp_path / "books.db.push-b.lock").symlink_to(victim)
    with pytest.raises(Halt, match="cannot be opened"), store.lock("push b", 0):
        pass
    assert not victim.exists()
    store.close()


def test_a_store_is_private(tmp_path: Path) -> None:
    """Folder 0700 and files 0600 whatever the umask; a store that others may read is refused with the remedy."""
    before = os.umask(0)
    try:
        store = Store.open(f"sqlite:///{tmp_path}/state/books.db")
        with store.begin() as conn:
            store.next_seq(conn)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o600}
    assert {"books.db", "books.db-wal"} <= set(modes)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    store.close()
    (tmp_path / "state" / "books.db").chmod(0o640)
    with pytest.raises(Halt, match="other users may read or write it") as caught:
        Store.open(f"sqlite:///{tmp_path}/state/books.db")
    assert caught.value.remedy == f"chmod 600 {tmp_path}/state/books.db"
    assert caught.value.exit_code is Exit.MISCONFIGURED


def test_a_relative_path_is_the_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default store lies in the project, from whatever folder a plugin was started."""
    monkeypatch.setenv("MELTANO_PROJECT_ROOT", str(tmp_path))
    Store.open("sqlite:///.books/books.db").close()
    assert (tmp_path / ".books" / "books.db").is_file()


def test_sqlite_is_durable(tmp_path: Path) -> None:
    """A commit is on the disk before it returns, and readers do not block the writer."""
    store = Store.open(f"sqlite:///{tmp_path}/books.db")
    with store.read() as conn:
        assert conn.execute(text("PRAGMA synchronous")).scalar() == 2
        assert conn.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert conn.execute(text("PRAGMA busy_timeout")).scalar() == 30_000
        with store.begin() as writer:
            store.next_seq(writer)
    store.close()


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("mysql://root:canary@host/db", Exit.MISCONFIGURED, "must be sqlite"),
        ("canary", Exit.MISCONFIGURED, "must be sqlite"),
        ("postgresql://books:canary@127.0.0.1:notaport/books", Exit.MISCONFIGURED, "must be sqlite"),
        ("postgresql://books:canary@[::1/books", Exit.MISCONFIGURED, "must be sqlite"),
        ("sqlite://", Exit.MISCONFIGURED, "must name a file"),
        ("sqlite:///:memory:", Exit.MISCONFIGURED, "must name a file"),
        ("sqlite:////dev/null/books.db", Exit.MISCONFIGURED, "cannot be opened"),
        ("postgresql://books:canary-password@127.0.0.1:1/books", Exit.TRY_LATER, "127.0.0.1:1/books cannot be used"),
    ],
)
def test_a_store_that_cannot_be_used_is_named_without_its_password(url: str, code: Exit, words: str) -> None:
    """A wrong or unreachable store ends the run in words, with the right exit code and without the password."""
    with pytest.raises(Halt, match=words) as caught:
        Store.open(url)
    assert caught.value.exit_code is code
    assert "canary" not in caught.value.message


things = Table(
    "things", MetaData(), Column("id", Integer, primary_key=True), Column("m", Money), Column("t", Timestamp)
)


@pytest.fixture
def thing_store(store: Store) -> Store:
    with store.begin() as conn:
        things.create(conn)
    return store


@pytest.mark.parametrize("amount", ["0.00", "-0.01", "1234567.80", "9999999999999999.99", "12", "1.1"])
def test_money_comes_back_exact(thing_store: Store, amount: str) -> None:
    """An amount is the same to the penny in both stores, with two decimals."""
    with thing_store.begin() as conn:
        conn.execute(things.insert().values(m=Decimal(amount)))
        found = conn.execute(select(things.c.m)).scalar_one()
    assert isinstance(found, Decimal)
    assert (found, found.as_tuple().exponent) == (Decimal(amount), -2)


@pytest.mark.parametrize("amount", [1.5, 3, "1.00", Decimal("0.001"), Decimal("NaN"), Decimal(10000000000000000)])
def test_what_is_no_exact_money_is_refused(thing_store: Store, amount: Any) -> None:
    """Neither store rounds on the way in, and no float gets there."""
    with pytest.raises(Exception, match=r"money|penny"), thing_store.begin() as conn:
        conn.execute(things.insert().values(m=amount))


def test_moments_come_back_in_utc_and_sort(thing_store: Store) -> None:
    """A moment keeps its microseconds, whatever its zone, and both stores sort it; one without a zone is refused."""
    moments = [NOON, NOON.add(microseconds=1), NOON.start_of("day"), NOON.in_timezone("Europe/London").add(hours=1)]
    with thing_store.begin() as conn:
        for moment in moments:
            conn.execute(things.insert().values(t=moment))
        found = list(conn.execute(select(things.c.t).order_by(things.c.t)).scalars())
        later = list(conn.execute(select(things.c.t).where(things.c.t > NOON)).scalars())
    assert found == sorted(moments)
    assert all(isinstance(moment, pendulum.DateTime) and moment.timezone_name == "UTC" for moment in found)
    assert len(later) == 2
    with pytest.raises(Exception, match="no time zone"), thing_store.begin() as conn:
        conn.execute(things.insert().values(t=NOON.naive()))
