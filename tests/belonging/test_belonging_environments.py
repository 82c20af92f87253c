"""Two environments at one OpsMerge: a sandbox never changes what is production's, and what it changed is mended."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import as_released

from books.writeback import accounting


def as_1f79c9d_left(office: Any) -> None:
    """The store as that version left it, and every block believed to be as it was written."""
    path = Path(office.store_url.removeprefix("sqlite:///"))
    today = path.with_name("today.db")
    path.rename(today)
    as_released.make(f"sqlite:///{today}", office.store_url)
    with sqlite3.connect(path) as database:
        unsure = "SELECT count(*) FROM accounting_block WHERE due OR written_sha256 IS NULL"
        assert database.execute(unsure).fetchone() == (0,)
    database.close()


def test_after_a_rehearsal_of_1f79c9d_the_next_runs_mend_everything(world: Any) -> None:
    """Blocks name production again, the false Paid is undone, nothing is doubled; the sandbox can touch it no more."""
    production, sandbox = world.office("production"), world.office("sandbox", is_test=False)
    ids = world.invoices(6)
    production.first_push()
    right, booked = world.links(ids), world.in_quickbooks(production)
    assert {connection for connection, _ in right} == {production.connection}

    # What sandbox did at 1f79c9d: took every block, made one Paid, and cleared two when it was disconnected.
    for serial, each in enumerate(ids):
        world.set_block(each, sandbox.connection, None if serial in (1, 2) else str(500 + serial))
    world.set_payment(ids[0], f"{sandbox.realm}:77:500")
    world.set_payment(ids[1], f"{sandbox.realm}:78:501")
    production.read_past()
    as_1f79c9d_left(production)
    assert [world.shown(each)["status"] for each in ids[:3]] == ["paid", "paid", "open"]

    posts = len(world.quickbooks.control.requests())
    said = production.push()
    assert world.links(ids) == right
    assert "6 updated, 4 of them taken over" in said
    said = production.pull()
    assert [world.shown(each)["status"] for each in ids] == ["open"] * 6
    assert "2 payments of non-production companies were voided" in said
    assert world.in_quickbooks(production) == booked
    assert not [row for row in world.quickbooks.control.requests()[posts:] if row["path"].endswith("/batch")]

    before = world.writes()
    sandbox.push()
    world.pay(sandbox, ids[3])
    sandbox.pull()
    sandbox.disconnect()
    assert world.writes() == before
    assert len(world.in_quickbooks(sandbox)) == 6
    world.pay(production, ids[4])
    production.push()
    production.pull()
    assert [world.shown(each)["status"] for each in ids] == ["open"] * 4 + ["paid", "open"]
    assert world.links(ids) == right


def test_going_live_after_a_sandbox_that_wrote_takes_everything_over(world: Any) -> None:
    """Blocks of a sandbox are taken over and counted, what it made Paid is open again, each invoice is posted once."""
    sandbox, production = world.office("sandbox", is_test=True), world.office("production", is_test=False)
    ids = world.invoices(3)
    sandbox.push()
    world.pay(sandbox, ids[0])
    sandbox.pull()
    assert [world.shown(each)["status"] for each in ids] == ["paid", "open", "open"]
    said = production.first_push()
    assert "3 updated, 3 of them taken over" in said
    production.pull()
    assert {connection for connection, _ in world.links(ids)} == {production.connection}
    assert [world.shown(each)["status"] for each in ids] == ["open"] * 3
    assert len(world.in_quickbooks(production)) == 3

    right, before = world.links(ids), world.writes()
    world.pay(sandbox, ids[1])
    said = sandbox.pull()  # even where it may write: these are production's
    assert f"it belongs to {production.connection} in OpsMerge" in said
    sandbox.push()
    assert sandbox.disconnect().opsmerge_left == 3
    assert (world.writes(), world.links(ids)) == (before, right)


def test_a_sandbox_at_a_real_opsmerge_posts_shows_and_writes_nothing(world: Any) -> None:
    """Where opsmerge_is_test is false the sandbox's company gets the invoices, OpsMerge nothing; the log says what."""
    sandbox = world.office("sandbox", is_test=False)
    ids = world.invoices(7)
    said = sandbox.push()
    world.pay(sandbox, ids[0])
    paid = sandbox.pull()
    assert (len(world.in_quickbooks(sandbox)), world.writes()) == (7, [])
    numbers = ", ".join(world.number(each) for each in ids[:5])
    assert f"OpsMerge invoices {numbers} and 2 more would be written (7 blocks, 0 payments), but were not" in said
    assert "(7 blocks, 1 payments)" in paid
    sandbox.is_test = True
    sandbox.pull()
    assert world.shown(ids[0])["status"] == "paid"
    assert {connection for connection, _ in world.links(ids)} == {sandbox.connection}


def test_a_sandbox_may_clear_its_own_ids_anywhere(world: Any) -> None:
    """A disconnect clears the sandbox's own ids at a real OpsMerge, and no other's."""
    sandbox = world.office("sandbox", is_test=True)
    ids = world.invoices(3)
    sandbox.push()
    sandbox.is_test = False
    world.set_block(ids[0], "production:1", "9")
    disconnected = sandbox.disconnect()
    assert (disconnected.invoices_given_up, disconnected.opsmerge_told, disconnected.opsmerge_left) == (3, 2, 1)
    assert world.links(ids) == [("production:1", "9"), (sandbox.connection, None), (sandbox.connection, None)]


def test_two_environments_in_one_store_by_mistake(world: Any) -> None:
    """A store that both share changes nothing: production's word stands, whoever spoke last."""
    production, sandbox = world.office("production"), world.office("sandbox", is_test=False)
    sandbox.store_url = production.store_url
    ids = world.invoices(3)
    production.first_push()
    right = world.links(ids)
    before = world.writes()
    sandbox.push()
    world.pay(sandbox, ids[0])
    sandbox.pull()
    assert (world.writes(), world.links(ids)) == (before, right)
    world.set_block(ids[1], sandbox.connection, "7")
    world.pay(production, ids[2])
    production.push()
    production.pull()
    assert world.links(ids) == right
    assert [world.shown(each)["status"] for each in ids] == ["open", "open", "paid"]


def test_an_invoice_of_another_production_company_is_neither_posted_nor_touched(world: Any, tmp_path: Any) -> None:
    """It is left, counted and named, by plan and push; given up there, it is posted here."""
    production = world.office("production")
    ids = world.invoices(3)
    world.set_block(ids[0], "production:999", "41")
    plan = tmp_path / "shown.json"
    said = production.push(dry_run=True, plan_file=str(plan))
    assert f"leave      {world.number(ids[0])}" in said
    production.state = {}
    said = production.first_push()
    assert "1 left: belongs to another company" in said
    assert f"{world.number(ids[0])} left: it belongs to production:999 in OpsMerge" in said
    assert len(world.in_quickbooks(production)) == 2
    assert world.link(ids[0]) == ("production:999", "41")
    world.set_block(ids[0], "production:999", None)
    production.push()
    assert (len(world.in_quickbooks(production)), world.link(ids[0])[0]) == (3, production.connection)


def test_a_posted_invoice_that_another_production_company_took_is_left_with_its_payments(world: Any) -> None:
    """Neither its block nor its payments are written while it belongs there; once given up, both are."""
    production = world.office("production")
    ids = world.invoices(2)
    production.first_push()
    right = world.links(ids)
    world.set_block(ids[0], "production:999", "41")
    world.pay(production, ids[0])
    before = world.writes()
    production.push()
    said = production.pull()
    assert world.writes() == before
    assert "1 left" in said
    assert f"OpsMerge invoices {world.number(ids[0])} were not changed: it belongs to production:999" in said
    world.set_block(ids[0], "production:999", None)
    production.push()
    production.pull()
    assert (world.links(ids), world.shown(ids[0])["status"]) == (right, "paid")


def test_a_lost_or_changed_link_is_written_again_by_the_next_push(world: Any) -> None:
    """Whatever changed the block, the next push has it as the store says, with no other change; then it is silent."""
    production = world.office("production")
    ids = world.invoices(3)
    production.first_push()
    right = world.links(ids)
    world.set_block(ids[0], production.connection, None)
    world.set_block(ids[1], production.connection, "12345")
    world.set_block(ids[2], "sandbox:5", "6")
    said = production.push()
    assert "3 invoices lost or changed their link in OpsMerge" in said
    assert world.links(ids) == right
    before = world.writes()
    production.push()
    production.push()
    assert world.writes() == before


def test_a_block_that_changed_after_it_was_read_is_not_overwritten(world: Any) -> None:
    """The block is read right before it is written: what a push read a moment before decides nothing."""
    production = world.office("production")
    ids = world.invoices(1)
    production.first_push()
    world.set_block(ids[0], production.connection, "12345")
    production._post(production._read_opsmerge())  # sees a link to mend
    world.set_block(ids[0], "production:999", "41")
    production._write_back(production._tap("postings", ("postings",)))
    assert world.link(ids[0]) == ("production:999", "41")


def test_many_blocks_are_looked_at_by_one_list(world: Any, monkeypatch: Any) -> None:
    """After an upgrade those that are right cost no call each; those that are not are read once more and mended."""
    production = world.office("production")
    ids = world.invoices(4)
    production.first_push()
    right = world.links(ids)
    world.set_block(ids[3], "sandbox:5", "6")
    production.read_past()
    as_1f79c9d_left(production)
    monkeypatch.setattr(accounting, "LIST_FROM", 3)
    before = len(world.opsmerge.control.requests())
    production.push()
    calls = [f"{row['method']} {row['path']}" for row in world.opsmerge.control.requests()[before:]]
    assert [call for call in calls if "/invoices/" in call] == [
        f"GET /api/v1/psa/invoices/{ids[3]}",
        f"PUT /api/v1/psa/invoices/{ids[3]}/accounting",
    ]
    assert world.links(ids) == right
