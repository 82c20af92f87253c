"""Who is told what, and when: real mail and real HTTP, one message per cause and one when it is over."""

from __future__ import annotations

import logging
import sqlite3

import pytest
from sqlalchemy import select

from books.core.faults import Exit, Halt
from books.operations.alerts import sending
from books.operations.alerts.check import notify_monitoring_down, notify_monitoring_restored
from books.operations.alerts.messages import trial
from books.store.tables_jobs import alert

PASSWORD = "canary-Pass-4711"
PATH_TOKEN = "canary-TokenInPath-99"


def rows(world) -> list[dict]:
    with world.store.read() as conn:
        return [dict(row) for row in conn.execute(select(alert).order_by(alert.c.id)).mappings()]


WHERE = "OpsMerge to QuickBooks (production)"


def test_one_message_per_cause_and_one_when_it_is_over(world, hook):
    """Five checks while it lasts: one message. The check after it: one more. Then silence."""
    world.tokens(refused_at=world.clock.now())
    for _check in range(5):
        assert world.check(hook.url).failures == []
        world.hours(0.25)
    world.tokens()
    for _check in range(3):
        world.check(hook.url)
    assert hook.titles == [
        "The connection to QuickBooks is dead",
        "resolved: The connection to QuickBooks is dead",
    ]
    assert "What to do: Reconnect" in hook.messages[0]["message"]
    assert "Resolved after 1 hour 15 minutes" in hook.messages[1]["message"]
    assert "from 2026-11-02 09:00 UTC to 2026-11-02 10:15 UTC" in hook.messages[1]["message"]


def test_it_comes_by_mail_too(world, mailbox):
    """A real mail server: subject, what is wrong, what to do; and no link or picture that would be fetched."""
    world.refuse("INV-2026-0007")
    assert world.check(mailbox.url).failures == []
    [text] = mailbox.texts
    assert text.startswith("OpsMerge to QuickBooks (production): Invoices were refused\n")
    assert "INV-2026-0007: rejected (missing service)" in text
    assert "What to do:" in text
    assert "Hartley" not in text
    assert "http" not in text


def test_new_refusals_are_told_by_number_at_most_once_an_hour(world, hook):
    """The second message names what is new since the first, and only that; what was mended and breaks again is new."""
    world.refuse("INV-1")
    world.check(hook.url)
    world.hours(0.5)
    world.refuse("INV-2")
    world.check(hook.url)
    world.refuse("INV-3")
    world.hours(0.6)
    world.check(hook.url)
    assert len(hook.messages) == 2
    assert "New since the last message" in hook.messages[1]["message"]
    assert [f"INV-{n}:" in hook.messages[1]["message"] for n in (1, 2, 3)] == [False, True, True]
    for number in (1, 2, 3):
        world.mend(f"INV-{number}")
    world.check(hook.url)
    assert hook.titles[2:] == ["resolved: Invoices were refused"]


def test_a_hundred_refusals_make_one_readable_message(world, hook):
    """Twenty are named, the rest counted."""
    for number in range(100):
        world.refuse(f"INV-{number:04}")
    world.check(hook.url)
    body = hook.messages[0]["message"]
    assert body.count("INV-") == 20
    assert "and 80 more" in body
    assert "100 invoices rejected" in body


def test_a_message_that_could_not_be_sent_is_sent_by_the_next_check(world, hook):
    """The endpoint is down: said, kept, exit code 75; up again: sent once."""
    world.tokens(refused_at=world.clock.now())
    hook.status = 503
    checked = world.check(hook.url)
    assert checked.exit_code(sending.addresses(hook.url, "bridge")) is Exit.TRY_LATER
    assert "1 JSON" in checked.failures[0]
    assert "503" in checked.failures[0]
    assert checked.open[0].failure == checked.failures[0]
    hook.status = 200
    checked = world.check(hook.url)
    assert (checked.failures, checked.open[0].failure, len(hook.messages)) == ([], None, 1)


def test_an_address_that_works_is_not_told_twice_because_another_fails(world, hook, mailbox):
    """Two addresses, one down: the other gets the message once, the failed one later."""
    world.tokens(refused_at=world.clock.now())
    both = f"{hook.url} {mailbox.url}"
    mailbox.refuses = True
    assert len(world.check(both).failures) == 1
    world.check(both)
    mailbox.refuses = False
    world.check(both)
    world.check(both)
    assert (len(hook.messages), len(mailbox.mails)) == (1, 1)


def test_what_was_over_before_it_could_be_told_is_one_message(world, hook):
    """Wrong and over while mail was down: one message says both times, not two."""
    world.tokens(refused_at=world.clock.now())
    hook.status = 503
    world.check(hook.url)
    world.tokens()
    hook.status = 200
    world.check(hook.url)
    assert hook.titles == ["resolved: The connection to QuickBooks is dead"]


def test_thresholds_are_told_one_after_the_other(world, hook):
    """60, 30 and 7 days before the end: three messages in 100 days of daily checks, and one when it is refreshed."""
    for _day in range(98):
        world.check(hook.url)
        world.hours(24)
    world.tokens()
    world.check(hook.url)
    assert hook.titles == ["The connection to QuickBooks will die unless it is used"] * 3 + [
        "resolved: The connection to QuickBooks will die unless it is used"
    ]


def test_without_addresses_alerts_are_kept_and_shown(world, hook):
    """Nobody to tell: open alerts are told as soon as somebody is; what is long over is not."""
    world.tokens(refused_at=world.clock.now())
    assert [each.cause for each in world.check().open] == ["connection_dead"]
    world.tokens()
    world.refuse("INV-1")
    world.check()
    world.check(hook.url)
    assert hook.titles == ["Invoices were refused"]


def test_what_cannot_be_judged_stays_as_it_was(world, hook):
    """A machine without the warehouse neither opens nor ends what another machine's check said about it."""
    from books.operations.alerts import check as checking
    from books.operations.alerts import rules

    cause = rules.Cause("gate_failed", "Do not act on the reconciliation", "m", "r")
    with world.store.begin() as conn:
        checking.sent.record_causes(conn, world.settings.connection, {"gate_failed": cause}, world.clock.now())
    world.check(hook.url)
    world.check(hook.url)
    assert hook.titles == ["Do not act on the reconciliation"]


def test_an_address_that_apprise_does_not_know_is_named_by_its_place(world, hook):
    """Exit code 78, the place in the list and never what it holds; the others are told."""
    world.tokens(refused_at=world.clock.now())
    urls = f"{hook.url} nosuch://{PASSWORD}@host"
    checked = world.check(urls)
    assert checked.exit_code(sending.addresses(urls, "bridge")) is Exit.MISCONFIGURED
    assert "2 unknown" in checked.failures[0]
    assert PASSWORD not in checked.failures[0]
    assert len(hook.messages) == 1


@pytest.fixture
def debug_log(tmp_path):
    """Everything that any library logs at DEBUG while alerts are sent."""
    from books.core import redact

    redact.install()
    path = tmp_path / "debug.log"
    handler, root = logging.FileHandler(path), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield path
    root.setLevel(before)
    root.removeHandler(handler)
    handler.close()


def test_no_part_of_an_address_is_in_a_log_the_store_or_a_failure(world, hook, mailbox, debug_log):
    """At DEBUG, through success and refusal by mail and HTTP, even where a server repeats them: found nowhere."""
    world.tokens(refused_at=world.clock.now())
    urls = f"{hook.url} {mailbox.url}"
    hook.status, mailbox.refuses = 503, True
    failed = world.check(urls)
    hook.status, mailbox.refuses = 200, False
    world.check(urls)
    assert len(failed.failures) == 2
    raw = sqlite3.connect(world.store.engine.url.database)
    left = debug_log.read_text() + "\n".join(raw.iterdump()) + f"{failed}{sending.addresses(urls, 'bridge')}"
    raw.close()
    assert "POST" in debug_log.read_text()
    assert [secret for secret in (PASSWORD, PATH_TOKEN) if secret in left] == []


def test_when_nothing_can_be_looked_at_that_is_told_once_and_its_end_too(tmp_path, hook):
    """The store is gone: it cannot remember what was told, an empty file does."""
    marker = tmp_path / ".books" / "unwatched-production"
    halt = Halt("the state store cannot be opened", exit_code=Exit.TRY_LATER, remedy="check store_url")
    there = sending.addresses(hook.url, "bridge")
    hook.status = 503
    assert len(notify_monitoring_down(marker, halt, there, WHERE)) == 1
    hook.status = 200
    for _check in range(3):
        notify_monitoring_down(marker, halt, there, WHERE)
    for _check in range(3):
        notify_monitoring_restored(marker, there, WHERE)
    assert hook.titles == ["the bridge cannot be watched", "resolved: the bridge can be watched again"]


def test_the_test_message_says_that_nothing_is_wrong(hook):
    """`--test` sends it to each address."""
    [address] = sending.addresses(hook.url, "bridge")
    assert sending.send(address, trial(WHERE)) is None
    assert hook.titles == ["test"]
    assert "Nothing is wrong" in hook.messages[0]["message"]


def test_past_alerts_stay_for_the_record_and_not_for_ever(world):
    """An alert that is over stays readable for a year and a month."""
    world.refuse("INV-1")
    world.check()
    world.mend("INV-1")
    world.check()
    world.hours(24 * 399)
    world.tokens()
    world.check()
    assert [row["cause"] for row in rows(world)] == ["invoices_refused"]
    world.hours(24 * 2)
    world.check()
    assert rows(world) == []
