"""Whatever happens to a load, the database holds all of it or nothing, and STATE says the same."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from target_duckdb.database import Database
from target_duckdb.errors import ConfigurationError, DatabaseBusyError, InputError
from target_duckdb.target import TargetDuckDB

COMMAND = Path(sys.executable).with_name("target-duckdb")


def start(tmp_path: Path, code: str | None = None, **settings) -> subprocess.Popen:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"path": "build.duckdb", "schema": "raw", **settings}))
    return subprocess.Popen(
        [*([sys.executable, "-c", code] if code else [COMMAND]), "--config", config],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "MELTANO_PROJECT_ROOT": str(tmp_path), "TMPDIR": str(tmp_path)},
    )


def send(process: subprocess.Popen, *messages) -> None:
    process.stdin.write(b"".join(json.dumps(each).encode() + b"\n" for each in messages))
    process.stdin.flush()


def wait_for_first_merge(process: subprocess.Popen) -> None:
    """The first widening warning shows that a portion has been merged, uncommitted."""
    for line in process.stderr:
        if b"is widened" in line:
            return
    pytest.fail("the load ended early")


def test_state_leaves_after_the_commit_and_unchanged(warehouse, singer):
    """The newest STATE comes out once, byte for byte, with its rows in the table."""
    line = '{"type":"STATE","value":{"bookmarks":{"invoices":{"seq":1.10}}}}'
    states = warehouse.load(singer.schema(), singer.state({"old": 1}), singer.record(id="1"), line)
    assert states == [{"bookmarks": {"invoices": {"seq": 1.10}}}]
    assert warehouse.query("SELECT count(*) FROM raw.invoices") == [(1,)]


def test_checkpoints_commit_rows_with_their_state(warehouse, singer):
    """With `checkpoint_rows`, a STATE comes out as soon as its rows are committed; a later failure keeps them."""
    with pytest.raises(InputError):
        warehouse.load(
            singer.schema(),
            singer.record(id="1"),
            singer.record(id="2"),
            singer.state({"upto": 2}),
            singer.record(id="3"),
            "not Singer",
            checkpoint_rows=2,
        )
    assert warehouse.query("SELECT id FROM raw.invoices ORDER BY id") == [("1",), ("2",)]


@pytest.mark.parametrize("line", ["not json", '{"type":"RECORD"}', '{"type":"SONG","stream":"x"}', "[]", "NaN"])
def test_a_line_that_is_not_singer_undoes_the_run(warehouse, singer, line):
    """The error names the line's number and not its content, which may be personal data."""
    warehouse.load(singer.schema(), singer.record(id="1"))
    with pytest.raises(InputError, match=r"^Line 3 of the input") as caught:
        warehouse.load(singer.schema(), singer.record(id="2"), line)
    assert line not in str(caught.value)
    assert warehouse.query("SELECT id FROM raw.invoices") == [("1",)]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_killed_in_the_middle_the_old_rows_stay(tmp_path, warehouse, singer, number, code):
    """A killed load lets no STATE out, does not report success, and leaves the database as it was."""
    warehouse.load(singer.schema(total=singer.money), singer.record(id="1", total=1))
    process = start(tmp_path, batch_size_rows=2)
    send(process, singer.schema(total=singer.money), *(singer.record(id=str(n), total=0.001) for n in range(4)))
    send(process, singer.state({"upto": 4}))
    wait_for_first_merge(process)
    process.send_signal(number)
    out, _err = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, b"")
    assert warehouse.query("SELECT id, CAST(total AS VARCHAR) FROM raw.invoices") == [("1", "1.00")]
    if number != signal.SIGKILL:
        assert not list(tmp_path.glob("target-duckdb-*")), "the spool, with its data, is left behind"


KILLED = """
import os, signal
from target_duckdb import loader, loads, table, target
whole = {point}
def cut(*arguments, **named):
    if "{when}" == "after":
        whole(*arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)
{point} = cut
target.TargetDuckDB.cli()
"""


@pytest.mark.parametrize(
    ("point", "when", "rows"),
    [
        ("table.Table._replace_live_rows", "after", ["old"]),
        ("loads.write", "after", ["old"]),
        ("loader.Loader._commit", "before", ["old"]),
        ("target.emit_state", "before", ["new", "old"]),
    ],
)
def test_killed_at_a_named_point_of_a_load(tmp_path, warehouse, singer, point, when, rows):
    """Before the commit nothing is there, after it everything; without a STATE the same comes again, to no harm."""
    warehouse.load(singer.schema(), singer.record(id="old"))
    process = start(tmp_path, code=KILLED.format(point=point, when=when))
    messages = [singer.schema(), singer.record(id="new"), singer.state({"upto": 1})]
    send(process, *messages)
    out, _err = process.communicate(timeout=20)
    assert (process.returncode, out) == (-signal.SIGKILL, b"")
    assert warehouse.query("SELECT id FROM raw.invoices ORDER BY id") == [(row,) for row in rows]
    assert warehouse.load(*messages) == [{"upto": 1}]
    assert warehouse.query("SELECT id FROM raw.invoices ORDER BY id") == [("new",), ("old",)]


def test_the_command_loads_from_a_pipe(tmp_path, warehouse, singer):
    """The installed command reads stdin, writes only STATE to stdout, and exits with 0."""
    process = start(tmp_path)
    send(process, singer.schema(), singer.record(id="ü"), singer.state({"upto": 1}))
    out, _err = process.communicate(timeout=20)
    assert (process.returncode, json.loads(out)) == (0, {"upto": 1})
    assert warehouse.query("SELECT id FROM raw.invoices") == [("ü",)]


@pytest.mark.parametrize(
    ("settings", "code", "message"),
    [
        ({"path": None}, 78, b"path"),
        ({"batch_size_rows": 0}, 78, b"batch_size_rows"),
        ({"memory_limit": "plenty"}, 78, b"memory_limit must be a size such as 512MB"),
        ({"schema": ""}, 78, b"schema must be a name"),
        ({"schema": "raw\0"}, 78, b"schema must be a name"),
    ],
)
def test_a_wrong_setting_is_named_and_exits_with_78(tmp_path, singer, settings, code, message):
    """A misconfigured target says which setting."""
    process = start(tmp_path, **settings)
    with contextlib.suppress(BrokenPipeError):
        send(process, singer.schema())
    _out, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert message in err
    assert b"Traceback" not in err


HOSTILE = ("1GB'; COPY (SELECT 1) TO '{file}", "x\"; COPY (SELECT 1) TO '{file}'; --")


@pytest.mark.parametrize("hostile", HOSTILE, ids=["text", "name"])
@pytest.mark.parametrize("setting", ["memory_limit", "schema", "deleted_column", "deleted_value", "path"])
def test_a_setting_is_never_code(tmp_path, singer, setting, hostile):
    """SQL in a setting is a name, a value or a refusal: what it says is not done."""
    written = tmp_path / "written.csv"
    hostile = hostile.format(file=written)
    settings = {"path": str(tmp_path / "w.duckdb"), "schema": "raw", setting: hostile}
    settings["path"] = str(tmp_path / settings["path"].replace("/", "-" if setting == "path" else "/"))
    with pytest.raises(ConfigurationError) if setting == "memory_limit" else contextlib.nullcontext():
        target = TargetDuckDB(config=settings)
        target.process_lines([json.dumps(singer.schema(status=singer.text)), json.dumps(singer.record(id="1"))])
        target.process_endofpipe()
        target.loader.close()
    assert not written.exists()


@pytest.mark.parametrize("limit", ["512MB", "1.5 GiB", "40mb"])
def test_sizes_of_memory_are_taken(tmp_path, limit):
    """A size in any of DuckDB's units is a memory limit."""
    Database(tmp_path / "w.duckdb", limit).connect().close()


def test_a_full_disk_is_said_and_the_old_rows_stay(tmp_path, warehouse, singer):
    """A load that the file system refuses ends with 78, one line and no STATE; the database is as it was."""
    warehouse.load(singer.schema(), singer.record(id="1"))
    process = start(tmp_path)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))  # no file may grow from now on
    send(process, singer.schema(), singer.record(id="2"), singer.state({"upto": 2}))
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (78, b"")
    assert b"free space" in err
    assert b"Traceback" not in err
    assert warehouse.query("SELECT id FROM raw.invoices") == [("1",)]


def test_too_little_memory_is_said_and_the_old_rows_stay(tmp_path, warehouse, singer):
    """A load that does not fit into `memory_limit` ends with 78, one line that names the setting, and no STATE."""
    warehouse.load(singer.schema(), singer.record(id="1"))
    process = start(tmp_path, memory_limit="20MB")
    with contextlib.suppress(BrokenPipeError):
        send(process, singer.schema(note=singer.text), singer.record(id="2", note="x" * 30_000_000))
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (78, b"")
    assert b"memory_limit" in err
    assert b"Traceback" not in err
    assert warehouse.query("SELECT id FROM raw.invoices") == [("1",)]


def test_a_file_in_use_exits_with_75(tmp_path, singer):
    """One process writes at a time; the next waits as long as told, then says so."""
    with duckdb.connect(str(tmp_path / "build.duckdb")):
        process = start(tmp_path, lock_wait_seconds=0)
        send(process, singer.schema())
        _out, err = process.communicate(timeout=20)
    assert process.returncode == 75
    assert b"in use by another process" in err


def test_waiting_for_the_file_is_bounded(tmp_path):
    """The wait ends at the limit, and earlier when the file is free."""
    path = tmp_path / "build.duckdb"
    holder = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", holder, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    passed = []
    database = Database(path, lock_wait_seconds=1)
    with pytest.raises(DatabaseBusyError):
        database.connect(sleep=passed.append, monotonic=lambda: sum(passed))
    assert sum(passed) == 1

    def let_go(_seconds: float) -> None:
        process.communicate()

    database.connect(sleep=let_go).close()


@pytest.mark.soak
def test_memory_is_bounded(tmp_path):
    """Beyond the row groups that DuckDB writes at once, twice the rows take no more memory worth speaking of."""

    def peak_kilobytes(rows: int) -> int:
        script = Path(__file__).with_name("load_and_measure.py")
        command = [sys.executable, script, tmp_path / f"{rows}.duckdb", str(rows)]
        return int(subprocess.run(command, capture_output=True, check=True).stdout)

    assert peak_kilobytes(600_000) < peak_kilobytes(300_000) + 150_000
