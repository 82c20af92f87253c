"""Meltano's folder: nobody else reads it, nothing of a killed run stays, and one run at a time is at work on a step."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from books.core.clock import SystemClock, VirtualClock
from books.core.processes import Process, processes
from books.operations import runfolder

STEP = "demo tap-opsmerge"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".meltano" / "run" / "tap-opsmerge").mkdir(parents=True)
    return tmp_path / ".meltano"


@pytest.fixture
def meltano(tmp_path: Path):
    """Real processes that look as Meltano's do; ended after the test."""
    script = tmp_path / "meltano"
    script.write_text("#!/bin/sh\nread line\n")
    script.chmod(0o700)
    started: list[subprocess.Popen] = []

    def start(*words: str) -> subprocess.Popen:
        process = subprocess.Popen([script, *words], stdin=subprocess.PIPE)
        started.append(process)
        while not any(each.pid == process.pid and str(script) in each.words for each in processes()):
            pass
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def settings_file(root: Path, kind: str = "tap") -> Path:
    file = root / "run" / "tap-opsmerge" / f"{kind}.01a21b2f-d6fd-7aeb-b8b3-a28d67654131.config.json"
    file.write_text('{"api_key": "om_secret"}')
    return file


def test_the_folder_is_closed_to_others(root):
    """However it was made, only its owner may enter it; a folder that is not there is no error."""
    root.chmod(0o755)
    runfolder.tidy(root)
    assert root.stat().st_mode & 0o777 == 0o700
    runfolder.tidy(root / "nowhere")


@pytest.mark.parametrize("kind", ["tap", "target"])
def test_settings_of_a_killed_run_are_removed(root, meltano, kind):
    """A file that was written before any living Meltano started belongs to a run that no longer lives."""
    file = settings_file(root, kind)
    os.utime(file, (1_000_000_000, 1_000_000_000))
    other = root / "run" / "tap-opsmerge" / "tap.properties.json"
    other.write_text("{}")
    meltano("run", "pull-payments")
    runfolder.tidy(root)
    assert (file.exists(), other.exists()) == (False, True)


def test_settings_of_a_living_run_stay(root, meltano, monkeypatch):
    """As long as the Meltano that may have written it lives, a file stays; then the next start removes it."""
    process = meltano("run", "push-invoices")
    monkeypatch.setattr(runfolder, "processes", lambda: [each for each in processes() if each.pid == process.pid])
    file = settings_file(root)
    runfolder.tidy(root)
    assert file.exists()
    process.kill()
    process.wait()
    runfolder.tidy(root)
    assert not file.exists()


def test_a_receiver_that_meltano_keeps_alive_keeps_no_settings(root, meltano, monkeypatch):
    """`meltano invoke books:webhooks` runs for weeks and writes no settings of taps and targets."""
    process = meltano("invoke", "books:webhooks")
    monkeypatch.setattr(runfolder, "processes", lambda: [each for each in processes() if each.pid == process.pid])
    file = settings_file(root)
    runfolder.tidy(root)
    assert not file.exists()


def test_one_run_at_a_time_has_a_step(root, meltano):
    """The second run learns who is at work; the first may claim again; another step is free; death ends a claim."""
    first, second = meltano("run", "push-invoices"), meltano("run", "--force", "push-invoices")
    clock = SystemClock()
    assert runfolder.claim(root, STEP, first.pid, clock) is None
    assert runfolder.claim(root, STEP, first.pid, clock) is None
    other = runfolder.claim(root, STEP, second.pid, clock)
    assert other is not None
    assert (other.pid, other.words) == (first.pid, "meltano run push-invoices")
    assert [each.pid for each in runfolder.at_work(root)] == [first.pid]
    assert runfolder.claim(root, "demo tap-quickbooks-payments", second.pid, clock) is None
    first.kill()
    first.wait()
    assert runfolder.claim(root, STEP, second.pid, clock) is None
    assert [each.pid for each in runfolder.at_work(root)] == [second.pid]


def test_without_meltano_nothing_is_claimed(root):
    """A tap in a pipe of the shell shares no file with another."""
    assert runfolder.claim(root, STEP, os.getpid(), SystemClock()) is None
    assert runfolder.at_work(root) == []


def test_two_runs_that_began_in_the_same_moment_are_two(root, monkeypatch):
    """The system counts starts in hundredths of a second: the number of the process tells such two apart."""
    both = [Process(pid, "boot 17", 0.0, ("python", "bin/meltano", "run", "push-invoices")) for pid in (11, 12)]
    monkeypatch.setattr(runfolder, "processes", lambda: both)
    assert runfolder.claim(root, STEP, 11, SystemClock()) is None
    assert runfolder.claim(root, STEP, 12, SystemClock()).pid == 11


def test_a_spoiled_claim_is_none(root, meltano):
    """A claim that was cut off while it was written holds nobody up."""
    (root / "run" / f"{STEP}.claim").write_text('{"pid": 1')
    assert runfolder.claim(root, STEP, meltano("run", "push-invoices").pid, SystemClock()) is None


def test_a_refused_run_waits_until_the_other_has_read_its_files(root, meltano):
    """Meltano removes the shared catalog when the second ends: so not before the first has read it, or is given up."""
    first, second = meltano("run", "push-invoices"), meltano("run", "push-invoices")
    clock = VirtualClock()
    runfolder.claim(root, STEP, first.pid, clock)
    other = runfolder.claim(root, STEP, second.pid, clock)
    began = clock.monotonic()
    runfolder.wait_until_loaded(root, STEP, other, clock)
    assert clock.monotonic() - began >= runfolder.LOADED_SECONDS_MAX
    runfolder.loaded(root, STEP, first.pid)
    began = clock.monotonic()
    runfolder.wait_until_loaded(root, STEP, other, clock)
    assert clock.monotonic() == began


def test_processes_are_seen_without_proc_too(tmp_path, monkeypatch):
    """Where there is no /proc, ps tells of the same processes: number, words, and the start to a few seconds."""
    mine = next(each for each in processes() if each.pid == os.getpid())
    monkeypatch.setattr("books.core.processes.PROC", tmp_path)
    if shutil.which("ps") is None:
        pytest.skip("no ps here")
    by_ps = next(each for each in processes() if each.pid == os.getpid())
    assert abs(by_ps.started_at - mine.started_at) < 3
    assert Path(by_ps.words[0]).name == Path(mine.words[0]).name
