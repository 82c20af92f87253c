"""Put the demo's month into two empty simulators, over HTTP, once."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from sandbox.control import Control, ControlError
from sandbox.demo.catalogue import CLIENTS, SERVICES, Client, Service
from sandbox.demo.company import open_company
from sandbox.demo.month import Invoice, Line, by_hand, recurring

NOTE = "demo"
BEGINS = "2026-09-28T09:00:00Z"
RECURRING_RUN = "2026-09-30T23:01:00Z"  # 00:01 of the 1st in London
ENDS = "2026-11-02T09:00:00Z"


def furnish(opsmerge: Control, quickbooks: Control) -> bool:
    """Seed both simulators; False when that was done before. Interrupted, it begins again from nothing.

    Raises:
        ControlError: the OpsMerge simulator holds invoices that are not the demo's; they are left alone.
    """
    state = opsmerge.get("state")
    if state["notes"].get(NOTE) == "ready":
        return False
    if NOTE not in state["notes"] and state["documents"].get("invoice"):
        raise ControlError("the state holds invoices that are not the demo's; choose another folder, or none")
    for simulator in (opsmerge, quickbooks):
        simulator.reset()
    opsmerge.post("notes", {NOTE: "begun"})
    open_company(quickbooks)
    _bill(opsmerge)
    for simulator in (opsmerge, quickbooks):
        _go_on_in_the_present(simulator)
    opsmerge.post("notes", {NOTE: "ready"})
    return True


def _bill(opsmerge: Control) -> None:
    """Bill September's set-up, the recurring run, and October day by day, on a stopped clock: every run is the same."""
    opsmerge.post("clock", {"now": BEGINS, "frozen": True})
    opsmerge.seed(
        {"clients": [_client(client) for client in CLIENTS], "services": [_service(service) for service in SERVICES]}
    )
    opsmerge.seed({"agreements": [_agreement(invoice) for invoice in recurring()]})
    opsmerge.set_clock(RECURRING_RUN)
    opsmerge.deed("run_recurring", date="2026-10-01")
    for day, invoices in groupby(by_hand(), key=lambda invoice: invoice.issue_date):
        opsmerge.set_clock(f"{day}T09:30:00Z")
        opsmerge.seed({"invoices": [_invoice(invoice) for invoice in invoices]})
    opsmerge.set_clock("2026-10-31T16:00:00Z")
    for invoice in by_hand():
        if invoice.becomes == "voided":
            opsmerge.deed("void_invoice", number=invoice.number)


def _go_on_in_the_present(simulator: Control) -> None:
    """Switch to the machine's time, so that both simulators and the bridge agree on it.

    On a machine whose clock is before the demo's end, time goes on from that end.
    """
    if simulator.real_time() < ENDS:
        simulator.set_clock(ENDS)


def _client(client: Client) -> dict[str, Any]:
    slug = client.id.replace("_", "-")
    address = {"line1": f"{int(client.id[3:]) * 3} High Street", "city": client.town, "country": "GB"}
    return {
        "id": client.id,
        "name": client.name,
        "email": f"accounts@{slug}.example",
        "billing_address": address,
    }


def _service(service: Service) -> dict[str, Any]:
    return {"id": service.id, "name": service.name, "quickbooks_item": service.item}


def _agreement(invoice: Invoice) -> dict[str, Any]:
    lines = [_line(line) for line in invoice.lines]
    return {
        "client_id": invoice.client_id,
        "terms_days": invoice.terms_days,
        "notes": invoice.notes,
        "lines": lines,
    }


def _invoice(invoice: Invoice) -> dict[str, Any]:
    return {
        **_agreement(invoice),
        "issue_date": invoice.issue_date,
        "status": "draft" if invoice.becomes == "draft" else "open",
        "accounting_excluded": invoice.becomes == "excluded",
    }


def _line(line: Line) -> dict[str, Any]:
    fields = {
        "description": line.description,
        "quantity": line.quantity,
        "unit_price": line.unit_price,
        "service_id": line.service_id,
        "tax_code_id": line.tax_code_id,
        "net": line.net,
    }
    return {name: value for name, value in fields.items() if value is not None}
