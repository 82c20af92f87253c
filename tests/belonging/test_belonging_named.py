"""Whose an invoice is stands in preflight and why before and after a push: the same rule, in words."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb

from books.cli.plan import TITLES
from books.cli.why import _lines
from books.core.clock import SystemClock
from books.ledgers.quickbooks import open_client as open_quickbooks
from books.ledgers.quickbooks.ledger import QuickBooksLedger
from books.ledgers.quickbooks.settings import QuickBooksSettings
from books.ledgers.registry import vendor
from books.operations import why as story
from books.operations.preflight import State, inspect
from books.operations.preflight.gather import Rules, gather
from books.operations.session import Session
from books.opsmerge import OpsMergeSettings, open_client
from books.posting.journal import SqlJournal
from books.posting.mappings import Mappings
from books.posting.plan import NEEDS_A_PERSON_FIRST

OTHER = "production:999"


def session_of(office: Any, store: Any, warehouse: Path) -> Session:
    plugins = {
        "target-opsmerge": office.to_opsmerge,
        "target-quickbooks": {**office.to_quickbooks, "post_from": "2026-01-01"},
        "target-duckdb": {"path": str(warehouse / "build.duckdb")},
    }
    configuration: Any = SimpleNamespace(
        environment="production", plugin=lambda name: plugins.get(name, {}), vendor=lambda: vendor("quickbooks")
    )
    return Session(configuration, QuickBooksSettings.from_config(office.to_quickbooks), store)


def test_a_plan_has_words_for_each_action() -> None:
    """`books plan` can print whatever a plan may hold, an invoice that is left among it."""
    assert set(TITLES) == set(NEEDS_A_PERSON_FIRST)


def test_preflight_names_the_invoices_of_another_company(world: Any) -> None:
    """They are no longer counted as due, and one finding names them, whose they are, and what to do."""
    production = world.office("production")
    ids = world.invoices(2)
    world.set_block(ids[0], OTHER, "41")
    clock = SystemClock()
    with closing(production.store()) as store:
        settings = QuickBooksSettings.from_config(production.to_quickbooks)
        ledger = QuickBooksLedger(open_quickbooks(settings, store, clock), settings.connection)
        opsmerge = open_client(OpsMergeSettings.from_config(production.to_opsmerge), clock)
        rules = Rules(Mappings(), None, "post", None, None)
        facts = gather(ledger, opsmerge, store, rules)
        assert SqlJournal(store, settings.connection).load(ids) == {}
    [found] = [each for each in inspect(facts) if each.what == "belongs to another company"]
    assert (found.state, found.numbers) == (State.WARNING, (world.number(ids[0]),))
    assert OTHER in found.says
    assert "`books disconnect`" in found.remedy
    assert [each.number for each in facts.invoices] == [world.number(ids[1])]


def test_why_says_whose_an_invoice_is_that_was_left(world: Any, tmp_path: Path) -> None:
    """Of an invoice without a posting, and of one that was posted before another company took it."""
    production = world.office("production")
    ids = world.invoices(1)
    production.first_push()
    world.set_block(ids[0], OTHER, "41")
    world.pay(production, ids[0])
    production.push()
    with duckdb.connect(str(tmp_path / "books.duckdb")) as warehouse:
        warehouse.execute("CREATE SCHEMA raw_opsmerge")
        warehouse.execute(
            "CREATE TABLE raw_opsmerge.invoices AS SELECT 'inv_x' AS id, 'INV-X' AS number, 'open' AS status, "
            "DATE '2026-11-02' AS issue_date, 'GBP' AS currency, 'cl_1' AS client_id, 'Acme' AS client_name, "
            "'[]'::JSON AS lines, 1.00 AS subtotal, 0.20 AS tax_total, 1.20 AS total, false AS accounting_excluded, "
            "?::JSON AS accounting",
            [f'{{"connection": "{OTHER}", "external_id": "42"}}'],
        )
    with closing(production.store()) as store:
        session = session_of(production, store, tmp_path)
        [told] = story.stories(session, world.number(ids[0]))
        assert f"it belongs to {OTHER} in OpsMerge" in "\n".join(_lines(told))
        assert any(f"it belongs to {OTHER} in OpsMerge" in reason for reason in story.reasons(session, "INV-X"))


def test_why_says_that_a_sandbox_writes_nothing_to_a_real_opsmerge(world: Any, tmp_path: Path) -> None:
    """Not "is to be told": it will not be."""
    sandbox = world.office("sandbox", is_test=False)
    ids = world.invoices(1)
    sandbox.push()
    with closing(sandbox.store()) as store:
        [told] = story.stories(session_of(sandbox, store, tmp_path), world.number(ids[0]))
        assert "only a production connection writes to it" in "\n".join(_lines(told))
