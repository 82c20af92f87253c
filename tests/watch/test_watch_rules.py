"""When something counts as wrong: ages on a virtual clock, real rows in a real store."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pendulum
import pytest
from sqlalchemy import insert

from books.ledgers.quickbooks.webhook import QuickBooksWebhooks
from books.operations import runs
from books.operations.alerts import rules
from books.operations.alerts.facts import Disk
from books.operations.alerts.inbox import InboxLag
from books.operations.alerts.reconciliation import Reconciliation
from books.store.tables_infra import token
from books.transport.governor import Governor
from books.webhooks.inbox import Inbox

REALM = "9341453000000001"
CONNECTION = f"sandbox:{REALM}"
NOON = pendulum.datetime(2026, 11, 22, 12)


def test_a_bridge_that_works_raises_nothing(world):
    """All jobs ran well, tokens are fresh, nothing is refused: no cause."""
    for job in ("push-invoices", "pull-payments", "reconcile"):
        world.run(job)
    assert world.wrong() == {}


def test_a_store_that_was_never_used_raises_nothing(world):
    """On the day of setting up, before the first run, nobody is alarmed."""
    with world.store.begin() as conn:
        conn.execute(token.delete())
    world.hours(24 * 30)
    assert world.wrong() == {}


@pytest.mark.parametrize(
    ("idle_days", "levels"), [(39, None), (41, {"60"}), (71, {"60", "30"}), (94, {"60", "30", "7"})]
)
def test_an_idle_connection_is_told_60_30_and_7_days_before_it_dies(world, idle_days, levels):
    """100 days after the last refresh the chain is dead; each threshold is an item of its own."""
    world.hours(24 * idle_days)
    cause = world.wrong().get("idle_expiry")
    assert (set(cause.items) if cause else None) == levels


def test_the_consent_s_hard_end_is_told_before(world):
    """Five years after the consent it ends whatever is done: 20 days before, two thresholds are passed."""
    world.tokens(hard_expires_at=world.clock.now().add(days=20))
    cause = world.wrong()["hard_expiry"]
    assert set(cause.items) == {"60", "30"}
    assert "2026-11-22" in cause.message
    assert "books connect" in cause.remedy


def test_a_refused_token_is_a_dead_connection(world):
    """Intuit refused every token: dead, with what to do, and no other warning beside it."""
    world.tokens(refused_at=world.clock.now())
    assert set(world.wrong()) == {"connection_dead"}
    assert "refresh_token" in world.wrong()["connection_dead"].remedy


def test_a_run_that_ended_with_69_is_a_dead_connection_until_the_tokens_are_renewed(world):
    """69 in the newest run counts; a reconnection after it ends the cause before anything has run again."""
    world.run("pull-payments", 69)
    assert set(world.wrong()) == {"connection_dead"}
    world.hours(0.1)
    world.tokens()
    assert world.wrong() == {}


def test_a_rate_limit_is_told_after_hours_not_minutes(world):
    """Exit code 75 for one hour is weather; for more than two it is told, with why."""
    world.run("push-invoices")
    for _quarter in range(5):
        world.run("push-invoices", 75)
        world.hours(0.25)
    assert world.wrong() == {}
    for _quarter in range(5):
        world.run("push-invoices", 75)
        world.hours(0.25)
    assert set(world.wrong()) == {"rate_limited"}
    world.run("push-invoices")
    assert world.wrong() == {}


def test_a_pause_of_hours_that_lies_ahead_is_told_at_once(world):
    """Retry-After of half a day: nobody has to wait two hours to hear of it."""
    governor = Governor(world.store, world.clock, world.settings.access.limits)
    governor.pause(CONNECTION, 43_200, "HTTP 429")
    assert "12.0 hours" in world.wrong()["rate_limited"].message


@pytest.mark.parametrize(("reads", "levels"), [(399_999, None), (400_000, {"80"}), (500_000, {"80", "95", "100"})])
def test_reads_that_run_out_are_told_before_they_have(world, reads, levels):
    """80, 95 and 100 percent of the tier's 500,000."""
    world.reads(reads)
    cause = world.wrong().get("reads_running_out")
    assert (set(cause.items) if cause else None) == levels


def test_refused_invoices_are_named_by_number_and_nobody_by_name(world):
    """Number, outcome and code; never the client, whose name stands in the fault's own words."""
    world.refuse("INV-2026-0007")
    world.refuse("INV-2026-0008", "conflict", "changed_after_posting")
    cause = world.wrong()["invoices_refused"]
    assert sorted(cause.items.values()) == [
        "INV-2026-0007: rejected (missing service)",
        "INV-2026-0008: conflict (changed after posting)",
    ]
    assert "Hartley" not in f"{cause}"


def test_nothing_ran_is_told_once_not_for_each_job(world):
    """Three quiet hours: one cause, and no overdue jobs beside it."""
    for job in ("push-invoices", "pull-payments", "reconcile"):
        world.run(job)
    world.hours(2.9)
    assert world.wrong() == {}
    world.hours(0.2)
    assert set(world.wrong()) == {"nothing_ran"}


def test_a_job_that_stopped_while_others_run_is_overdue(world):
    """pull-payments is no longer scheduled, push-invoices is; the reconciliation has a day and a quarter."""
    for job in ("push-invoices", "pull-payments", "reconcile"):
        world.run(job)
    world.hours(4)
    world.run("push-invoices")
    assert set(world.wrong()) == {"overdue:pull-payments"}
    world.hours(27)
    world.run("push-invoices")
    world.run("pull-payments")
    assert set(world.wrong()) == {"overdue:reconcile"}


def test_a_job_fails_repeatedly_after_three_times_in_a_row(world):
    """Once or twice is not told; three times is, with step and code; one good run ends it."""
    for _time in range(2):
        world.run("push-invoices", 78)
    assert world.wrong() == {}
    world.run("push-invoices", 78)
    cause = world.wrong()["failing:push-invoices"]
    assert "tap-opsmerge has failed 3 times in a row" in cause.message
    assert "78: a setting is missing or wrong" in cause.message
    world.run("push-invoices")
    assert world.wrong() == {}


def test_a_daily_job_fails_repeatedly_with_its_second_day(world):
    """Where a job runs once a day, three in a row would be three days: half a day without a good run will do."""
    world.run("reconcile")
    world.hours(24)
    world.run("reconcile", 1)
    assert set(world.wrong()) == {"failing:reconcile"}


def test_a_day_that_failed_in_a_part_without_a_trace_is_told_too(world):
    """Dbt or the loader failed: only `books daily` knows; where a part says it itself, it is not told twice."""
    world.run("daily")
    world.hours(24)
    world.run("daily", 1)
    assert set(world.wrong()) == {"failing:daily"}
    for _time in range(3):
        world.run("push-invoices", 1)
    assert set(world.wrong()) == {"failing:push-invoices"}


def reconciliation(**more):
    values = {"run_id": "r1", "run_at": NOON, "connection": CONNECTION, "failed_gates": {}, "breaks": 2, "critical": {}}
    return Reconciliation(**{**values, **more})


def test_a_failed_gate_is_told_and_its_breaks_are_not(world):
    """Do not act: the promise that was not kept; what such a run calls critical is left as it was."""
    run = reconciliation(failed_gates={"both_sides_fresh": "both were read"}, critical={"k": "INV-1: I03"})
    assert set(world.wrong(reconciliation=run)) == {"gate_failed"}
    assert "check failed: both were read" in world.wrong(reconciliation=run)["gate_failed"].items.values()


def test_critical_breaks_are_told_one_by_one(world):
    """From a run that may be acted on; each break is an item of its own."""
    run = reconciliation(critical={"k1": "INV-1: I03 Duplicate in QuickBooks", "k2": "INV-2: I09 Deleted"})
    assert set(world.wrong(reconciliation=run)["critical_breaks"].items) == {"k1", "k2"}


def test_another_company_s_reconciliation_says_nothing_about_this_one(world):
    """The warehouse of one environment, the connection of another: not judged."""
    run = reconciliation(connection="sandbox:1", failed_gates={"x": "y"})
    assert world.wrong(reconciliation=run) == {}


def test_a_full_disk_is_told_for_the_machine_it_is_on(world):
    """Less room than the next reconciliation may take."""
    assert set(world.wrong(disk=Disk("bridge-1", 1, 2))) == {"disk:bridge-1"}


def test_silent_webhooks_are_told_where_there_is_a_receiver(world):
    """Payments that a read found and no notice announced; without a receiver nothing is judged."""
    assert "webhook_silence" not in world.wrong(unnoticed=None)
    assert "webhook_silence" not in world.wrong(unnoticed=[])
    assert "2 payments" in world.wrong(unnoticed=["12", "13"])["webhook_silence"].message


def test_the_inbox_says_what_waits_and_what_no_notice_told_of(world):
    """From the receiver's own log: nothing without a receiver; then the lag, and silence: until a notice comes."""
    assert (world.facts().inbox, world.facts().unnoticed) == (None, None)
    inbox = Inbox(world.store, QuickBooksWebhooks(()), "sandbox")
    inbox.record_heartbeat()
    inbox.receive([b"[]"])
    world.hours(0.5)
    assert (world.facts().inbox.waiting, world.facts().inbox.oldest_seconds) == (1, 1800)
    inbox.record_unnoticed(CONNECTION, "payment", {"17": world.clock.now()})
    assert "webhook_silence" not in world.wrong()
    world.hours(2)
    assert set(world.wrong()) == {"webhook_silence", "webhooks_stand_still"}
    event = {"id": "1", "type": "qbo.payment.updated.v1", "intuitaccountid": REALM, "intuitentityid": "99"}
    inbox.receive([json.dumps([event]).encode()])
    inbox.split((REALM,))
    inbox.mark_read(CONNECTION, "payment", inbox.noticed(CONNECTION, "payment", 0).seq)
    assert "webhook_silence" not in world.wrong()
    assert [row["entity_id"] for row in inbox.missed(CONNECTION)] == ["17"]
    inbox.record_unnoticed(CONNECTION, "payment", {"18": world.clock.now().add(seconds=1)})
    world.hours(2)
    assert "webhook_silence" in world.wrong()
    world.hours(24)
    assert "webhook_silence" not in world.wrong()


def test_the_runbook_has_every_cause_and_no_other(world):
    """docs/operations.md says of each cause what it means, where to see it and what to do."""
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    table = page.partition("### Runbook")[2].partition("\n## ")[0]
    in_docs = set(re.findall(r"^\| `([a-zA-Z_:]+)` \|", table, re.MULTILINE))
    inbox = InboxLag(0, None, 0)
    facts = world.facts(reconciliation=reconciliation(), unnoticed=[], inbox=inbox, disk=Disk("MACHINE", 1, 1))
    causes = {re.sub(r"^(overdue|failing):.*", r"\1:JOB", key) for key in rules.judge(facts)}
    assert in_docs == causes


# Runs put together into jobs


def test_a_job_s_last_run_is_put_together_from_its_steps(world):
    """All steps ended: done. A step still out: not ended. A failed step: its code and its words."""
    world.run("push-invoices")
    [push, pull, *_] = world.facts().job_runs
    assert (push.job, push.exit_code, push.finished_at) == ("push-invoices", 0, world.clock.now())
    assert (pull.job, pull.started_at) == ("pull-payments", None)
    world.hours(1)
    world.step("tap-opsmerge")
    push = world.facts().job_runs[0]
    assert (push.exit_code, push.finished_at) == (None, None)
    world.step("tap-opsmerge target-quickbooks", 78, "setting post_from is required")
    push = world.facts().job_runs[0]
    assert (push.exit_code, push.step, push.message) == (
        78,
        "tap-opsmerge target-quickbooks",
        "setting post_from is required",
    )


def test_runs_of_a_rare_step_outlive_those_of_a_frequent_one(world, monkeypatch):
    """A push every minute does not push the last reconciliation out of the table."""
    monkeypatch.setattr(runs, "KEPT_RUNS", 5)
    world.run("reconcile")
    for _time in range(12):
        world.step("tap-opsmerge")
    kept = [run.step for run in runs.since(world.store, world.clock.now())]
    assert kept.count("tap-opsmerge") == 5
    assert "books:report" in kept


def test_a_cut_off_refresh_and_other_companies_do_not_disturb(world):
    """Facts are those of this connection, whatever else lies in the store."""
    with world.store.begin() as conn:
        conn.execute(insert(token).values(connection="sandbox:1", refused_at=world.clock.now()))
    assert world.wrong() == {}


def test_deliveries_that_nobody_splits_are_told(world):
    """Five minutes after a delivery was kept and not split, and not before, and over once it is."""
    inbox = Inbox(world.store, QuickBooksWebhooks(()), "sandbox")
    inbox.record_heartbeat()
    inbox.receive([b"rubbish"])
    assert "webhooks_stand_still" not in world.wrong()
    world.clock.advance(301)
    cause = world.wrong()["webhooks_stand_still"]
    assert "5 minutes" in cause.message
    assert "pull-payments" in cause.remedy
    inbox.split()
    assert "webhooks_stand_still" not in world.wrong()
