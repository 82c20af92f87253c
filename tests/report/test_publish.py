"""The published warehouse is whole at every moment, and its readers never wait and never make anybody wait."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from books.faults import Exit, Halt
from books.publish import publish


def built(folder: Path, value: int, rows: int = 1) -> Path:
    path = folder / "build.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema if not exists a")
        connection.execute(f"create or replace table a.t as select {value} as value from range({rows})")
        connection.execute("create or replace view a.v as select sum(value) as total, count(*) as rows from a.t")
    return path


def test_the_published_copy_has_everything(tmp_path: Path):
    """Tables and views answer in the copy, though the file bears another name."""
    published = publish(built(tmp_path, 3), tmp_path / "books.duckdb")
    with duckdb.connect(str(published), read_only=True) as connection:
        assert connection.execute("select total from a.v").fetchone() == (3,)


def test_a_reader_keeps_what_it_opened(tmp_path: Path):
    """Publishing goes through while a reader has the old file open; the reader sees the old state to its end."""
    published = publish(built(tmp_path, 1), tmp_path / "books.duckdb")
    reader = duckdb.connect(str(published), read_only=True)
    publish(built(tmp_path, 2), published)
    assert reader.execute("select total from a.v").fetchone() == (1,)
    reader.close()
    with duckdb.connect(str(published), read_only=True) as connection:
        assert connection.execute("select total from a.v").fetchone() == (2,)


def test_a_build_in_progress_is_not_published(tmp_path: Path):
    """While another process writes the build, publishing says try later, and the old copy stays."""
    build = built(tmp_path, 1)
    published = publish(build, tmp_path / "books.duckdb")
    before = published.read_bytes()
    code = f"import duckdb,sys; c=duckdb.connect({str(build)!r}); print('open',flush=True); sys.stdin.read()"
    writer = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        writer.stdout.readline()
        with pytest.raises(Halt) as halted:
            publish(build, published)
        assert halted.value.exit_code is Exit.TRY_LATER
    finally:
        writer.communicate("")
    assert published.read_bytes() == before


def test_nothing_built_is_a_matter_of_set_up(tmp_path: Path):
    """Without a build there is nothing to publish, and the message says what to run."""
    with pytest.raises(Halt) as halted:
        publish(tmp_path / "build.duckdb", tmp_path / "books.duckdb")
    assert halted.value.exit_code is Exit.MISCONFIGURED
    assert "reconcile" in halted.value.remedy


def test_killed_at_any_moment_a_reader_finds_a_whole_file(tmp_path: Path):
    """A publishing process killed again and again leaves the old copy or the new one, never half of one."""
    build, published = built(tmp_path, 1, rows=2_000_000), tmp_path / "books.duckdb"
    publish(build, published)
    code = (
        "from pathlib import Path; from books.publish import publish\n"
        f"while True: publish(Path({str(build)!r}), Path({str(published)!r}))"
    )
    for attempt in range(5):
        process = subprocess.Popen([sys.executable, "-c", code])
        until = published.stat().st_mtime_ns
        deadline = time.monotonic() + 20
        while published.stat().st_mtime_ns == until and time.monotonic() < deadline:
            pass  # until it has published once and is at it again
        time.sleep(0.003 * attempt)  # another moment each time
        process.kill()
        process.wait()
        with duckdb.connect(str(published), read_only=True) as connection:
            assert connection.execute("select total, rows from a.v").fetchone() == (2_000_000, 2_000_000)
