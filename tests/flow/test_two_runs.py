"""Two runs of one job at once: the second says so and changes nothing, the first is untouched, status knows both."""

from __future__ import annotations

import json
import os
import subprocess
import time

import pytest
from meltano_project import COMMAND_SECONDS_MAX, both_simulators

from books.operations import runfolder

OTHER = "has been running since"


@pytest.fixture(scope="module")
def bridge(tmp_path_factory, new_bridge):
    """One project for all tests here, after a first run."""
    with both_simulators() as simulators:
        made = new_bridge(tmp_path_factory.mktemp("two") / "project", *(each.url for each in simulators))
        assert made.push().code == 0
        yield made


def start(bridge) -> subprocess.Popen:
    """`meltano run --force push-invoices`, not waited for."""
    return subprocess.Popen(
        [str(bridge.project.root / ".venv" / "bin" / "meltano"), "run", "--force", "push-invoices"],
        cwd=bridge.project.root,
        env={**bridge.project.environment, **bridge.urls},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def has_read_its_files(bridge, run: subprocess.Popen) -> bool:
    """Whether the first tap of a run has."""
    claims = runfolder.at_work(bridge.project.root / ".meltano")
    return any(each.pid == run.pid and each.loaded for each in claims)


def run_both(bridge, seconds_between: float | None) -> list[tuple[int, str]]:
    """Exit code and output of both, the good one first; without a time the second starts while the first works."""
    first = start(bridge)
    while seconds_between is None and first.poll() is None and not has_read_its_files(bridge, first):
        time.sleep(0.05)
    time.sleep(seconds_between or 0)
    second = start(bridge)
    said = [each.communicate(timeout=COMMAND_SECONDS_MAX)[0] for each in (first, second)]
    return sorted(zip((first.returncode, second.returncode), said, strict=True))


def test_the_second_run_says_so_and_the_first_is_untouched(bridge):
    """Both with --force: one posts, one ends with 75 and one line; settings of a killed run are gone."""
    folder = bridge.project.root / ".meltano"
    assert folder.stat().st_mode & 0o777 == 0o700
    left = folder / "run" / "tap-opsmerge" / "tap.01a21b2f-0000-7000-8000-000000000000.config.json"
    left.write_text('{"api_key": "om_left_behind"}')
    os.utime(left, (1_000_000_000, 1_000_000_000))
    invoice = bridge.open_invoice()
    [good, refused] = run_both(bridge, None)
    assert (good[0], refused[0]) == (0, 1), good[1] + refused[1]
    assert OTHER in refused[1]
    assert OTHER not in good[1]
    assert not left.exists()
    assert bridge.quickbooks_invoices(bridge.opsmerge_invoice(invoice)["number"]) == 1
    assert bridge.opsmerge_invoice(invoice)["accounting"]["status"] == "posted"
    status = bridge.books("status", "--json")
    facts = json.loads(status.out)
    push = next(job for job in facts["jobs"] if job["job"] == "push-invoices")
    assert (status.code, push["exit_code"], facts["at_work"]) == (0, 0, [])
    assert {(run["exit_code"], OTHER in run["message"]) for run in facts["refused"]} == {(75, True)}


@pytest.mark.parametrize("tenths", [0, *(pytest.param(each, marks=pytest.mark.soak) for each in range(4, 60, 4))])
def test_the_first_is_untouched_whenever_the_second_comes(bridge, tenths):
    """At the same moment or later: one run posts, the other says so or comes after it."""
    invoice = bridge.open_invoice()
    [good, other] = run_both(bridge, tenths / 10)
    assert good[0] == 0, good[1] + other[1]
    assert other[0] == 0 or OTHER in other[1], other[1]
    assert bridge.opsmerge_invoice(invoice)["accounting"]["status"] == "posted"
