"""Real processes killed with SIGKILL at every named point: run again, and the books are the same as without it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from processes import Processes, messages

from books.posting.crash import POINTS, VARIABLE, from_environment
from books.posting.records import to_text

ONLY_AFTER_A_5XX = {"before_look_up_again", "before_resend", "resend_committed"}
ONLY_WITH_OLD_INVOICES = {"left_alone_recorded"}


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    started = Processes(tmp_path_factory.mktemp("processes"))
    yield started
    started.close()


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_point_changes_nothing_in_the_end(sqlite_bridge, record, processes, point):
    """Killed there, no STATE has left; the next runs leave each invoice once in the books, and its id in the store."""
    rows = [record(number) for number in range(5)] + [record(9, issue_date="2026-10-01")]
    config = {**sqlite_bridge.config, "settle_seconds": 0, "batch_size": 2, "post_from": "2026-11-01"}
    if point in ONLY_AFTER_A_5XX:
        sqlite_bridge.sim.control.fault("5xx_before", method="POST", path="/batch", nth=3)
    status, printed = processes.run(config, messages(rows), crash=point)
    assert (os.WTERMSIG(status), printed) == (signal.SIGKILL, ""), point
    for _ in range(3):
        status, printed = processes.run(config, messages(rows))
        assert status == 0
    assert printed == '{"upto": 6}\n'
    invoices = sqlite_bridge.books()
    assert sorted(each["DocNumber"] for each in invoices) == [f"INV-2026-{number:04}" for number in range(5)]
    postings = sqlite_bridge.postings()
    assert {each["outcome"] for each in postings.values()} <= {"created", "adopted"}
    assert {each["external_id"] for each in postings.values()} == {each["Id"] for each in invoices}
    assert len(sqlite_bridge.books("Customer")) == 3


def test_two_processes_that_push_the_same_invoices_at_once_post_each_once(sqlite_bridge, record, tmp_path):
    """Of two claims on an invoice one is refused; both runs end well."""
    rows = [record(number) for number in range(40)]
    folders = [tmp_path / name for name in ("one", "two", "three")]
    started = []
    for folder in folders:
        folder.mkdir()
        started.append(Processes(folder))
    config = {**sqlite_bridge.config, "batch_size": 5}
    statuses = []
    threads = [
        threading.Thread(target=lambda each=each: statuses.append(each.run(config, messages(rows)))) for each in started
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in started:
        each.close()
    assert statuses == [(0, '{"upto": 40}\n')] * 3
    assert sorted(each["DocNumber"] for each in sqlite_bridge.books()) == [f"INV-2026-{n:04}" for n in range(40)]
    assert {each["outcome"] for each in sqlite_bridge.postings().values()} == {"created"}


def test_a_point_that_does_not_exist_is_refused(monkeypatch):
    """A test that never crashes would prove nothing."""
    monkeypatch.setenv(VARIABLE, "no_such_point")
    with pytest.raises(ValueError, match="no point"):
        from_environment()


def test_a_signal_ends_the_run_without_state(sqlite_bridge, record, tmp_path):
    """SIGTERM during the push: exit code 143, nothing on stdout; the next run finishes the work."""
    sqlite_bridge.sim.control.fault("delay", method="POST", path="/batch", seconds=30, times=0)
    given = tmp_path / "input.jsonl"
    given.write_text("".join(to_text(message) + "\n" for message in messages([record(1)])))
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**sqlite_bridge.config, "http_timeout": 60}))
    command = [sys.executable, "-m", "target_quickbooks", "--config", str(config), "--input", str(given)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not any("batch" in path for _, path in sqlite_bridge.calls()) and process.poll() is None:
        pass
    process.send_signal(signal.SIGTERM)
    printed, log = process.communicate(timeout=20)
    assert (process.returncode, printed) == (143, ""), log
