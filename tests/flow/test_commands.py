"""The commands of `books`, on what the demo left behind."""

from __future__ import annotations

import json

import pytest


@pytest.fixture(scope="module")
def books(demo):
    def run(*words: str):
        return demo.project.command("books", "--environment", "demo", *words)

    return run


def test_the_log_shows_errors_first_with_what_to_do(books):
    """The sync log begins with what a person must mend: where, what is wrong, what to do."""
    rows = json.loads(books("log", "--json", "--limit", "5").out)
    assert [row["outcome"] for row in rows] == ["rejected", "rejected", "created", "created", "created"]
    assert {row["fault_field"] for row in rows[:2]} == {"lines[0].service", "lines[0].tax_code"}
    assert all("OpsMerge" in row["remedy"] for row in rows[:2])


def test_the_log_can_be_filtered(books):
    """By outcome, by invoice and by time."""
    assert len(json.loads(books("log", "--json", "--outcome", "created", "--limit", "1000").out)) == 140
    assert [row["number"] for row in json.loads(books("log", "--json", "--number", "INV-2026-0064").out)] == [
        "INV-2026-0064"
    ]
    assert json.loads(books("log", "--json", "--since", "2999-01-01").out) == []


def test_why_tells_the_story_of_one_invoice(books):
    """What was sent, what was answered, under which request, what is wrong, what to do."""
    posted, refused = books("why", "INV-2026-0001"), books("why", "INV-2026-0064")
    assert "created by us" in posted.out
    assert "intuit_tid" in posted.out
    assert "missing service" in refused.out
    assert "What to do: Give the line a service" in refused.out


def test_why_says_when_it_knows_nothing(books):
    """An unknown number is no success, and says so."""
    answer = books("why", "INV-1999-0001")
    assert (answer.code, "INV-1999-0001" in answer.out) == (1, True)


def test_retry_marks_what_is_named_and_says_what_it_does_not_know(books):
    """A known invoice is marked for the next push; an unknown one is named and ends with 1."""
    assert "INV-2026-0064" in books("retry", "INV-2026-0064").out
    unknown = books("retry", "INV-1999-0001")
    assert (unknown.code, "INV-1999-0001" in unknown.out) == (1, True)
    assert books("retry").code == 1


def test_the_report_can_be_shown_again(books, demo):
    """`books report --show` prints the published report and its address, and writes nothing."""
    shown = books("report", "--show")
    assert shown.code == 0
    assert "16 of 16 checks pass" in shown.out
    assert "drift-" in shown.out


def test_a_setting_that_is_wrong_is_named(demo):
    """Exit code 78, the setting, and what it should be."""
    answer = demo.project.command("books", "--environment", "demo", "status", TARGET_QUICKBOOKS_REALM_ID="12a")
    assert answer.code == 78
    assert "realm_id" in answer.out
    assert "Traceback" not in answer.out


def test_an_unknown_environment_is_named(demo):
    """Exit code 78 and the environments that there are."""
    answer = demo.project.command("books", "--environment", "live", "status")
    assert (answer.code, "production" in answer.out) == (78, True)
    assert "Traceback" not in answer.out


def test_daily_runs_all_three_and_ends_with_the_worst_code(bridge):
    """A dead connection stops none of the three jobs from being tried, and ends as 69."""
    bridge.quickbooks.deed("disconnect")
    bridge.open_invoice()
    answer = bridge.books("daily")
    assert answer.code == 69, answer.out[-3000:]
    assert all(
        f"demo:{tap}" in answer.out for tap in ("tap-opsmerge-to", "tap-quickbooks-payments-to", "tap-opsmerge--")
    )
