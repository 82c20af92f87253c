"""The QuickBooks company of the demo before the bridge first runs: some customers, some items."""

from __future__ import annotations

from typing import Any

from sandbox.control import Control
from sandbox.demo.catalogue import CLIENTS, SERVICES

COMPANY_NAME = "Pennine Managed IT Ltd"


def open_company(quickbooks: Control) -> None:
    """Name the company and enter what is there already."""
    customers = [{"DisplayName": client.in_quickbooks} for client in CLIENTS if client.in_quickbooks]
    quickbooks.seed(
        {
            "company": {"CompanyName": COMPANY_NAME},
            "entities": {"Customer": customers, "Item": [_item(name) for name in existing_items()]},
        }
    )


def existing_items() -> list[str]:
    """Return the names of the items that exist, each once: several services may share one."""
    return sorted({service.item or service.name for service in SERVICES if service.exists})


def _item(name: str) -> dict[str, Any]:
    return {
        "Name": name,
        "Type": "Service",
        "IncomeAccountRef": {"name": "Sales of Product Income"},
        "ExpenseAccountRef": {"name": "Cost of sales"},
    }
