"""The published warehouse is whole at every moment, and its readers never wait and never make anybody wait."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from recon_runner import ROOT
from recon_world import RUN_AT

from books.core.faults import Exit, Halt
from books.report.publish import publish

READ = "import duckdb, sys; print(duckdb.connect(sys.argv[1], read_only=True).execute('from a.v').fetchone())"
KILLED = """
import os, pathlib, shutil, signal
from books.report.publish import publish
whole = {point}
def cut(*arguments):
    if "{when}" == "after":
        whole(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
{point} = cut
publish(pathlib.Path({build!r}), pathlib.Path({published!r}))
"""


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
    reader = duckdb.connect(str(published), read_only=True)  # has it open all the while
    code = (
        "from pathlib import Path; from books.report.publish import publish\n"
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
        answers = subprocess.run(
            [sys.executable, "-c", READ, published], capture_output=True, text=True, check=True, timeout=30
        ).stdout
        assert answers == "(2000000, 2000000)\n"
        assert reader.execute("select total, rows from a.v").fetchone() == (2_000_000, 2_000_000)
    reader.close()


@pytest.mark.parametrize("point", ["shutil.copyfile", "os.fsync", "pathlib.Path.replace"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_a_named_point_of_publishing(tmp_path: Path, point: str, when: str):
    """Killed on either side of each step, the old state or the new is there, whole; the next publishing succeeds."""
    published = publish(built(tmp_path, 1), tmp_path / "books.duckdb")
    build = built(tmp_path, 2)
    code = KILLED.format(point=point, when=when, build=str(build), published=str(published))
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL
    swapped = (point, when) == ("pathlib.Path.replace", "after")
    assert total_of(published) == (2 if swapped else 1)
    assert total_of(publish(build, published)) == 2


def total_of(database: Path) -> int:
    with duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute("select total from a.v").fetchone()[0]


def test_killed_during_dbt_the_published_state_stays(warehouse, tmp_path: Path):
    """After `dbt build` was killed half-way nothing can be published but what was; a whole run heals it."""
    build = Path(shutil.copy(warehouse.build, tmp_path / "build.duckdb"))
    published = publish(build, tmp_path / "books.duckdb")
    before = published.read_bytes()
    kill_dbt_once_it_has_built("statement.run", build, tmp_path / "target")
    with duckdb.connect(str(build), read_only=True) as connection:
        runs = connection.execute("select run.run_id, totals.run_id from statement.run, recon.control_totals as totals")
        assert runs.fetchone() == ("run-2", "run-1"), "dbt was killed too late to show anything"
    with pytest.raises(Halt) as halted:
        publish(build, published)
    assert halted.value.code == "build_incomplete"
    assert published.read_bytes() == before
    with duckdb.connect(str(build)) as connection:
        warehouse.compiled.run(connection, "run-2", RUN_AT + timedelta(days=1))
    publish(build, published)
    with duckdb.connect(str(published), read_only=True) as connection:
        assert connection.execute("select distinct run_id from recon.control_totals").fetchall() == [("run-2",)]


def kill_dbt_once_it_has_built(model: str, build: Path, target: Path) -> None:
    dbt = str(Path(sys.executable).with_name("dbt"))
    options = {"project-dir": "transform", "profiles-dir": "transform", "target-path": target, "log-path": target}
    variables = json.dumps({"run_id": "run-2", "run_at": str(RUN_AT + timedelta(days=1))})
    process = subprocess.Popen(
        [dbt, "build", "--vars", variables, *(f"--{name}={value}" for name, value in options.items())],
        cwd=ROOT,
        env={**os.environ, "BOOKS_BUILD_DATABASE": str(build), "BOOKS_ACCEPTED_FILE": str(target / "accepted.yml")},
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if "OK created" in line and model in line:
            break
    process.kill()
    process.wait()


def test_a_load_after_the_last_run_is_not_published_without_one(warehouse, tmp_path: Path):
    """Raw tables and reconciliation change together: after a load alone the published state stays."""
    build = Path(shutil.copy(warehouse.build, tmp_path / "build.duckdb"))
    with duckdb.connect(str(build)) as connection:
        connection.execute("update raw_opsmerge._loads set extract_ended_at = extract_ended_at + interval 1 day")
    with pytest.raises(Halt) as halted:
        publish(build, tmp_path / "books.duckdb")
    assert halted.value.exit_code is Exit.TRY_LATER
    assert not (tmp_path / "books.duckdb").exists()
