"""The wiring in meltano.yml: what a scheduler and an operator rely on."""

from __future__ import annotations

import json
import os
import signal

import pytest
import yaml
from forked_commands import forks

OF_THE_SDK = (
    "add_record_metadata",
    "batch_config",
    "batch_size_rows",
    "faker_config",
    "flattening_",
    "load_method",
    "stream_map",
    "validate_records",
)
"""Settings that every plugin of the Meltano Singer SDK has; they may be given in meltano.yml, and need no entry."""


@pytest.fixture(scope="module")
def definition(root) -> dict:
    return yaml.safe_load((root / "meltano.yml").read_text())


def test_jobs_and_schedules_bear_the_contract_s_names(definition):
    """The four jobs and their schedules are there."""
    assert [job["name"] for job in definition["jobs"]] == ["push-invoices", "pull-payments", "reconcile", "daily"]
    assert {each["job"]: each["interval"] for each in definition["schedules"]} == {
        "push-invoices": "* * * * *",
        "pull-payments": "*/5 * * * *",
        "daily": "0 6 * * *",
    }


def test_every_setting_that_a_plugin_has_can_be_given_through_meltano(root, definition):
    """Each plugin's own settings are all declared in meltano.yml, secrets as sensitive."""
    for kind, name in [
        ("extractors", "tap-opsmerge"),
        ("extractors", "tap-quickbooks-payments"),
        ("loaders", "target-quickbooks"),
        ("loaders", "target-opsmerge"),
        ("loaders", "target-duckdb"),
    ]:
        about = forks().run([name, "--about", "--format", "json"], root, os.environ)
        own = json.loads(about.stdout)["settings"]["properties"]
        declared = next(each for each in definition["plugins"][kind] if each["name"] == name)["settings"]
        wanted = {each for each in own if not each.startswith(OF_THE_SDK)}
        assert wanted <= {each["name"] for each in declared}, name
        secret = {each for each in wanted if own[each].get("secret")}
        assert secret <= {each["name"] for each in declared if each.get("sensitive")}, name


def test_with_nothing_due_a_push_makes_no_quickbooks_call(bridge):
    """`push-invoices` posts what is due once; run again, it does not call QuickBooks at all.

    What each plugin's run came to is kept: `books status --json` has exit code and summary.
    """
    invoice = bridge.open_invoice()
    first = bridge.pipe("push-invoices")
    assert first.code == 0, first.out
    accounting = bridge.opsmerge_invoice(invoice)["accounting"]
    assert (accounting["status"], bool(accounting["external_id"])) == ("posted", True)

    runs = {run["plugin"]: run for run in json.loads(bridge.books("status", "--json").out)["runs"]}
    assert sorted(runs) == ["tap-opsmerge", "tap-quickbooks-payments", "target-opsmerge", "target-quickbooks"]
    assert {run["exit_code"] for run in runs.values()} == {0}
    assert "1 created" in runs["target-quickbooks"]["message"]

    calls = len(bridge.quickbooks.requests())
    second = bridge.pipe("push-invoices")
    assert second.code == 0, second.out
    assert calls > 0
    assert len(bridge.quickbooks.requests()) == calls


def test_a_dead_connection_keeps_its_exit_code_in_status(bridge):
    """Of a push that ended with 69 `books status` knows, ends with 69 too, and says what to do."""
    bridge.quickbooks.deed("disconnect")
    bridge.open_invoice()
    run = bridge.pipe("push-invoices")
    status = bridge.books("status")
    assert (run.code, status.code) == (69, 69), run.out + status.out
    assert "QUICKBOOKS_REFRESH_TOKEN" in "".join(status.out.split())


def test_an_interrupted_and_repeated_push_posts_once(bridge):
    """A push that is killed while it posts, run again, leaves one invoice in QuickBooks."""
    invoice = bridge.open_invoice()
    killed = bridge.pipe("push-invoices", BOOKS_CRASH_AT="after_send")
    again = bridge.pipe("push-invoices", TARGET_QUICKBOOKS_SETTLE_SECONDS="0")
    assert (killed.code, again.code) == (-signal.SIGKILL, 0), again.out
    number = bridge.opsmerge_invoice(invoice)["number"]
    assert bridge.quickbooks_invoices(number) == 1
    assert bridge.opsmerge_invoice(invoice)["accounting"]["status"] == "posted"


def test_a_mistyped_dry_run_is_refused_and_posts_nothing(bridge):
    """A word that is neither true nor false does not count as false: nothing is posted.

    `meltano run` turns every failure into 1; `books status` still ends with 78.
    """
    invoice = bridge.open_invoice()
    run = bridge.push(TARGET_QUICKBOOKS_DRY_RUN="ture")
    status = bridge.books("status")
    assert run.code == 1
    assert "must be true or false" in run.out
    assert bridge.quickbooks_invoices(bridge.opsmerge_invoice(invoice)["number"]) == 0
    assert status.code == 78


def test_daily_runs_all_three_and_ends_with_the_worst_code(bridge):
    """A dead connection stops none of the three jobs from being tried, ends as 69, and opens an alert."""
    bridge.quickbooks.deed("disconnect")
    bridge.open_invoice()
    answer = bridge.books("daily")
    assert answer.code == 69, answer.out[-3000:]
    assert all(
        f"demo:{tap}" in answer.out for tap in ("tap-opsmerge-to", "tap-quickbooks-payments-to", "tap-opsmerge--")
    )
    assert "ALERT The connection to QuickBooks is dead" in answer.out
    alerts = json.loads(bridge.books("alerts", "--json").out)
    assert [each["cause"] for each in alerts["open"]] == ["connection_dead"]
    daily = next(job for job in json.loads(bridge.books("status", "--json").out)["jobs"] if job["job"] == "daily")
    assert (daily["exit_code"], daily["step"]) == (69, "books:daily")


def test_alerts_without_anybody_to_tell_or_with_a_wrong_address_say_so(bridge):
    """`--test` without addresses is 78 and names the variable; an address that is none is 78, named by its place."""
    nobody = bridge.books("alerts", "--test")
    assert (nobody.code, "BOOKS_ALERT_URLS" in nobody.out) == (78, True)
    number = bridge.project.command("books", "status", **bridge.urls, BOOKS_ALERT_QUIET_HOURS="three")
    assert (number.code, "alert_quiet_hours" in number.out, "Traceback" in number.out) == (78, True, False)
    bridge.urls["BOOKS_ALERT_URLS"] = "nosuch://canary-password@host"
    wrong = bridge.books("alerts", "--test")
    assert (wrong.code, "1 unknown" in wrong.out, "canary" in wrong.out) == (78, True, False)


def test_the_store_that_is_named_outside_wins(bridge, tmp_path):
    """BOOKS_STORE_URL is where everything is kept, whatever default the environment has; it cannot be used: 75."""
    bridge.urls["BOOKS_STORE_URL"] = f"sqlite:///{tmp_path}/elsewhere/books.db"
    assert bridge.books("status").code == 0
    assert (tmp_path / "elsewhere" / "books.db").is_file()
    assert not (bridge.project.root / ".demo").exists()
    bridge.urls["BOOKS_STORE_URL"] = "postgresql://bridge:canary-password@127.0.0.1:1/bridge"
    blind = bridge.books("alerts", "check")
    assert (blind.code, "cannot be used" in blind.out, "canary" in blind.out) == (75, True, False)
