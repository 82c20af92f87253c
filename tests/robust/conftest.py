"""Both simulators for all tests of a file, and for each test settings with a store and a warehouse of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from meltano_project import both_simulators, furnish
from plugin_process import Ended, record, run, schema
from worlds import REALM, opsmerge_settings, quickbooks_settings

from tap_opsmerge.tap import TapOpsMerge
from tap_quickbooks_payments.tap import TapQuickBooksPayments
from target_duckdb.target import TargetDuckDB
from target_opsmerge.target import TargetOpsMerge
from target_quickbooks.target import TargetQuickBooks

_numbers = itertools.count(1)


class World:
    """The plugins by name, on the two simulators; the store, the warehouse and the files are this test's own."""

    def __init__(self, opsmerge: Any, quickbooks: Any, folder: Path, store_url: str) -> None:
        self.opsmerge = opsmerge
        self.quickbooks = quickbooks
        self.folder = folder
        self.store_url = store_url

    def config(self, plugin: Any) -> dict[str, Any]:
        """Settings with which a plugin works."""
        quickbooks = quickbooks_settings(self.quickbooks.url, self.store_url)
        return {
            TapOpsMerge: opsmerge_settings(self.opsmerge.url),
            TargetOpsMerge: opsmerge_settings(self.opsmerge.url) | {"store_url": self.store_url},
            TapQuickBooksPayments: quickbooks,
            TargetQuickBooks: quickbooks | {"mapping_file": str(self.folder / "mappings.yml"), **ACCOUNTS},
            TargetDuckDB: {"path": str(self.folder / "build.duckdb"), "schema": "raw"},
        }[plugin]

    def run(self, plugin: Any, *lines: Any, arguments: tuple[str, ...] = (), **settings: Any) -> Ended:
        return run(plugin, self.folder, self.config(plugin) | settings, *lines, arguments=arguments)

    def push(self, *invoices: Any, **settings: Any) -> Ended:
        """target-quickbooks on these invoices and a STATE."""
        rows = [record("invoices", each) for each in invoices]
        return self.run(
            TargetQuickBooks, schema("invoices", "id"), *rows, {"type": "STATE", "value": {"upto": 1}}, **settings
        )

    def number(self) -> str:
        """An invoice number that no other test has."""
        return f"INV-R-{next(_numbers):04}"

    def in_quickbooks(self, number: str) -> int:
        """How many invoices of this number QuickBooks has."""
        return len(self.quickbooks.state.books(REALM).find("Invoice", "DocNumber", number))


ACCOUNTS = {"default_income_account": "Sales of Product Income", "default_expense_account": "Cost of sales"}


@pytest.fixture(scope="module")
def simulators() -> Iterator[tuple[Any, Any]]:
    with both_simulators() as (opsmerge, quickbooks):
        furnish(opsmerge.control)
        quickbooks.control.switches(limits=False)
        yield opsmerge, quickbooks


@pytest.fixture
def sqlite_world(simulators: tuple[Any, Any], tmp_path: Path) -> World:
    """For what no kind of store can change."""
    return World(*simulators, tmp_path, f"sqlite:///{tmp_path}/books/books.db")


@pytest.fixture
def world(simulators: tuple[Any, Any], tmp_path: Path, upper_store_url: str) -> World:
    """On each kind of store in turn."""
    return World(*simulators, tmp_path, upper_store_url)
