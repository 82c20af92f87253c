"""Files and input that are not what they should be: one line with their name and the remedy, and the exit code."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from meltano_project import make_project
from plugin_process import Ended, command, invoice, record, schema

from books.store import Store
from tap_opsmerge.tap import TapOpsMerge
from tap_quickbooks_payments.tap import TapQuickBooksPayments
from target_duckdb.target import TargetDuckDB
from target_opsmerge.target import TargetOpsMerge
from target_quickbooks.target import TargetQuickBooks

PLUGINS = (TapOpsMerge, TapQuickBooksPayments, TargetQuickBooks, TargetOpsMerge, TargetDuckDB)
TAPS = PLUGINS[:2]
TARGETS = PLUGINS[2:]
OF_THE_STORE = (TapQuickBooksPayments, TargetQuickBooks, TargetOpsMerge)


def named(plugin: Any) -> str:
    return str(plugin.name)


def refused(ended: Ended, code: int, *words: str) -> None:
    assert ended.code == code, ended.err
    assert all(word in ended.err for word in words), ended.err
    assert "Traceback" not in ended.err
    assert "canary" not in ended.err + ended.out


@pytest.mark.parametrize("plugin", PLUGINS, ids=named)
@pytest.mark.parametrize("content", [None, "{canary", "[1]"])
def test_settings_that_are_missing_or_no_json(tmp_path, plugin, content):
    """78, with the file's name."""
    path = tmp_path / "settings.json"
    if content is not None:
        path.write_text(content)
    refused(command(plugin, "--config", str(path)), 78, str(path), "--config")


@pytest.mark.parametrize("plugin", TAPS, ids=named)
@pytest.mark.parametrize("option", ["--state", "--catalog"])
@pytest.mark.parametrize("content", ["{canary", "[1]", ""])
def test_a_state_or_catalog_that_is_no_json(sqlite_world, plugin, option, content):
    """78, with the file's name."""
    path = sqlite_world.folder / "other.json"
    path.write_text(content)
    refused(sqlite_world.run(plugin, arguments=(option, str(path))), 78, str(path), option)


@pytest.mark.parametrize("plugin", TAPS, ids=named)
def test_an_option_that_is_none_is_bad_usage(sqlite_world, plugin):
    """1, as for every command of ours."""
    assert sqlite_world.run(plugin, arguments=("--nonsense",)).code == 1
    assert sqlite_world.run(plugin, arguments=("--state", "/nowhere/state.json")).code == 1


GARBAGE = [
    b"\x00\xff\xfe canary\n",
    b"canary\n",
    b'{"type": "RECORD", "stream": "invoices", "record": {"id": "canary"\n',
    b'{"type": "SONG"}\n',
    b'{"type": "RECORD", "stream": "invoices"}\n',
    b'{"type": "RECORD", "stream": "nowhere", "record": {"id": "canary"}}\n',
    b'{"type": "SCHEMA", "stream": "invoices", "schema": "canary"}\n',
    b'{"type": "STATE"}\n',
    b"[]\n",
    b"\n",
]


@pytest.mark.parametrize("plugin", TARGETS, ids=named)
@pytest.mark.parametrize("line", GARBAGE)
def test_garbage_on_standard_input(sqlite_world, plugin, line):
    """1, with the number of the line and never its content; nothing is written and no STATE leaves."""
    number = sqlite_world.number()
    rows = [schema("invoices", "id"), record("invoices", invoice(number)), {"type": "STATE", "value": {"x": 1}}]
    ended = sqlite_world.run(plugin, *rows, line)
    refused(ended, 1, "nowhere" if b"nowhere" in line and plugin is TargetDuckDB else "")
    assert ended.out == ""
    assert sqlite_world.in_quickbooks(number) == 0
    if plugin is not TargetDuckDB:
        assert "Line 4 of the input" in ended.err


def used(world: Any, plugin: Any) -> Ended:
    if plugin is TargetQuickBooks:
        return world.push(invoice(world.number()))
    if plugin is TargetOpsMerge:
        return world.run(plugin, schema("payments", "connection", "id"))
    return world.run(plugin)


@pytest.mark.parametrize("plugin", OF_THE_STORE, ids=named)
def test_a_damaged_store(sqlite_world, plugin):
    """78, with the file and the backup; the file is left as it is."""
    path = Path(sqlite_world.store_url.removeprefix("sqlite:///"))
    Store.open(sqlite_world.store_url).close()
    path.write_bytes(b"no database at all " * 500)
    refused(used(sqlite_world, plugin), 78, str(path), "backup")
    assert path.read_bytes().startswith(b"no database")


@pytest.mark.parametrize("plugin", OF_THE_STORE, ids=named)
def test_a_store_server_that_is_not_there(sqlite_world, plugin):
    """75, without the password."""
    sqlite_world.store_url = "postgresql://books:canary@127.0.0.1:9/books"
    refused(used(sqlite_world, plugin), 75, "postgresql://127.0.0.1:9/books", "run again")


@pytest.mark.parametrize("plugin", OF_THE_STORE, ids=named)
def test_a_disk_that_is_full(sqlite_world, plugin):
    """75, one fault without a trace, from the real command: no file may grow any more."""
    path = Path(sqlite_world.store_url.removeprefix("sqlite:///"))
    Store.open(sqlite_world.store_url).close()
    config = sqlite_world.folder / "config.json"
    config.write_text(json.dumps(sqlite_world.config(plugin)))
    executable = Path(sys.executable).with_name(plugin.name)
    process = subprocess.Popen(
        [executable, "--config", config], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={key: value for key, value in os.environ.items() if not key.startswith(("TAP_", "TARGET_", "MELTANO"))},
    )  # fmt: skip
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))
    row = {"connection": "sandbox:1", "id": "1", "status": "active", "allocations": [], "sync_token": "0"}
    lines = [schema("invoices", "id"), record("invoices", invoice(sqlite_world.number()))]
    if plugin is TargetOpsMerge:
        lines = [schema("payments", "connection", "id"), record("payments", row)]
    given = (
        b""
        if plugin is TapQuickBooksPayments
        else b"".join(json.dumps(each, default=str).encode() + b"\n" for each in lines)
    )
    out, err = process.communicate(given, timeout=60)
    refused(Ended(process.returncode, out.decode(), err.decode()), 75, str(path), "disk has space")


def test_a_damaged_warehouse(sqlite_world):
    """78, one line with the file and the way on; the file is left as it is."""
    path = sqlite_world.folder / "build.duckdb"
    path.write_bytes(b"no database at all " * 500)
    ended = sqlite_world.run(TargetDuckDB, schema("t", "id"), record("t", {"id": "1"}))
    refused(ended, 78, str(path), "move")
    with duckdb.connect() as other:
        other.execute(f"ATTACH '{sqlite_world.folder}/good.duckdb' AS good; CREATE TABLE good.x AS FROM range(100000)")
    whole = (sqlite_world.folder / "good.duckdb").read_bytes()
    path.write_bytes(whole[:12288] + b"\x00" * (len(whole) - 12288))
    ended = sqlite_world.run(TargetDuckDB, schema("t", "id"), record("t", {"id": "1"}))
    refused(ended, 78, str(path), "move")


@pytest.mark.parametrize("words", [("status",), ("alerts", "check")])
def test_a_command_on_a_damaged_store(tmp_path, words):
    """`books` says the same as the plugins."""
    project = make_project(tmp_path / "project")
    (project.root / ".demo").mkdir(mode=0o700)
    store = project.root / ".demo" / "books.db"
    store.write_bytes(b"no database at all " * 500)
    store.chmod(0o600)
    done = project.command("books", *words)
    refused(Ended(done.code, "", done.out), 78, str(store), "backup")
