"""One store, one OpsMerge, and one company's id in both environments: the keys keep them apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from books.ledgers.quickbooks.webhook import QuickBooksWebhooks
from books.store import schema
from books.store.tables_opsmerge import allocation, opsmerge_payment
from books.store.tables_webhooks import webhook_notice
from books.webhooks.inbox import Inbox
from books.writeback.accounting import effects_lock

COMPANY = "9341453000000001"


@pytest.fixture
def offices(world: Any, tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    """A sandbox and a production company with the same id, each at a QuickBooks of its own, so with the same ids."""
    from sandbox.control import Control
    from sandbox.quickbooks import QuickBooksState, create_app
    from sandbox.server import running

    made = []
    with ExitStack() as stack:
        for environment in ("sandbox", "production"):
            office = world.office(environment, is_test=True)
            url = stack.enter_context(running(create_app(QuickBooksState())))
            office.url, office.control = url, Control(url)
            office.control.switches(limits=False)
            office.realm, office.connection = COMPANY, f"{environment}:{COMPANY}"
            office.token = "RT-sandbox-0001"
            office.store_url = f"sqlite:///{tmp_path}/books.db"
            made.append(office)
        yield made[0], made[1]


def rows_of(office: Any) -> dict[str, list[dict[str, Any]]]:
    """Everything that the store holds for a connection, by table."""
    found = {}
    with closing(office.store()) as store, store.read() as conn:
        for table in schema.load_tables().sorted_tables:
            if "connection" in table.c:
                rows = conn.execute(select(table).where(table.c.connection == office.connection))
                found[table.name] = [dict(row) for row in rows.mappings()]
    return found


def pay(world: Any, office: Any, invoice: str, amount: int) -> None:
    office.control.deed("record_payment", realm=COMPANY, invoice=world.number(invoice), amount=amount)


def notice(payment_id: str) -> bytes:
    event = {"id": "e1", "type": "qbo.payment.updated.v1", "intuitaccountid": COMPANY, "intuitentityid": payment_id}
    return json.dumps([event]).encode()


def at_work(world: Any, sandbox: Any, production: Any) -> tuple[str, str]:
    """Each has posted, been paid, and heard of it; production comes second and takes over what it may."""
    mine, theirs = world.invoices(2)
    for office, invoice in ((sandbox, mine), (production, theirs)):
        office.first_push() if office is production else office.push()
        pay(world, office, invoice, 120)
        with closing(office.store()) as store:
            inbox = Inbox(store, QuickBooksWebhooks(()), office.connection.partition(":")[0])
            inbox.record_heartbeat()
            inbox.receive([notice("190")])
        office.pull()
        office.pull()
    return mine, theirs


def test_both_are_filled_and_each_has_its_own(world: Any, offices: tuple[Any, Any]) -> None:
    """The same ids of documents, payments and notices under two connections, each with its own content."""
    sandbox, production = offices
    mine, theirs = at_work(world, sandbox, production)
    of_sandbox, of_production = rows_of(sandbox), rows_of(production)
    filled = {name for name, rows in of_sandbox.items() if rows} - {"nonproduction_company"}  # production's of others
    assert {"payment", "allocation", "ledger_balance", "opsmerge_payment", "opsmerge_read", "posting"} <= filled
    assert {"attempt", "learned", "accounting_block", "token", "push_run", "webhook_notice", "webhook_reader"} <= filled
    assert filled <= {name for name, rows in of_production.items() if rows}

    [ours], [others] = ([row for row in each["allocation"] if row["amount"]] for each in (of_sandbox, of_production))
    assert ours["payment_id"] == others["payment_id"]
    assert (ours["opsmerge_invoice_id"], others["opsmerge_invoice_id"]) == (mine, theirs)
    assert [row["entity_id"] for row in of_sandbox["webhook_notice"] + of_production["webhook_notice"]] == ["190"] * 2
    assert [world.shown(each)["status"] for each in (mine, theirs)] == ["open", "paid"], "a sandbox's money is not real"


def test_the_work_of_one_changes_no_row_of_the_other(world: Any, offices: tuple[Any, Any]) -> None:
    """Voiding, deleting, a complete read, webhooks: the other environment's rows stay as they are, to the byte."""
    sandbox, production = offices
    _, theirs = at_work(world, sandbox, production)
    for office, other in ((sandbox, production), (production, sandbox)):
        before = rows_of(other)
        [paid] = rows_of(office)["payment"]
        office.control.deed("delete_payment", realm=COMPANY, id=paid["payment_id"])
        office.state.clear()  # everything is read anew
        world.invoices(1)
        office.push()
        with closing(office.store()) as store:
            Inbox(store, QuickBooksWebhooks(()), office.connection.partition(":")[0]).receive([notice("191")])
        office.pull()
        assert rows_of(other) == before
        [row] = rows_of(office)["payment"]
        assert row["status"] in ("deleted", "gone")
    assert world.shown(theirs)["status"] == "open"


def test_a_run_without_rows_writes_what_is_due_of_its_own(world: Any, offices: tuple[Any, Any]) -> None:
    """SCHEMA names the connection: what OpsMerge lost is written again by the one whose it is, by no other."""
    sandbox, production = offices
    at_work(world, sandbox, production)
    with closing(production.store()) as store, store.begin() as conn:
        conn.execute(allocation.update().values(due=True))
        conn.execute(opsmerge_payment.delete())
    writes, before = world.writes(), rows_of(production)["allocation"]
    sandbox.pull()
    assert rows_of(production)["allocation"] == before
    assert not rows_of(production)["opsmerge_payment"]
    production.pull()
    assert not any(row["due"] for row in rows_of(production)["allocation"])
    assert world.writes() == writes


def test_one_does_not_wait_for_the_other(world: Any, offices: tuple[Any, Any]) -> None:
    """While the sandbox writes to OpsMerge, production writes too."""
    sandbox, production = offices
    [invoice] = world.invoices(1)
    with closing(sandbox.store()) as store, store.lock(effects_lock(sandbox.connection), 0):
        production.first_push()
        assert not store.is_locked(effects_lock(production.connection))
    assert world.link(invoice)[0] == production.connection


def test_a_delivery_is_split_in_its_own_environment(offices: tuple[Any, Any]) -> None:
    """Production's deliveries wait for production, and are not the sandbox's to read, to count or to replay."""
    sandbox, production = offices
    dialect = QuickBooksWebhooks(())
    with closing(production.store()) as store:
        ours, theirs = Inbox(store, dialect, "production"), Inbox(store, dialect, "sandbox")
        ours.receive([notice("7")])
        assert theirs.split([COMPANY]).deliveries == 0
        assert not theirs.is_used()
        assert (ours.backlog(["payment"]).unsplit, theirs.backlog(["payment"]).unsplit) == (1, 0)
        assert ours.split([COMPANY]).notices == 1
        assert ours.has_unread({"payment": ()})
        assert not theirs.has_unread({"payment": ()})
        assert theirs.noticed(sandbox.connection, "payment", 0).changed_at == {}
        assert theirs.replay(sandbox.connection) == 0
        with store.read() as conn:
            assert conn.execute(select(webhook_notice.c.connection)).scalars().all() == [production.connection]
