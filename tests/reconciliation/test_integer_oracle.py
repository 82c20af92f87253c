"""Another engine, in whole pennies and in Python, comes to the same sums: VAT by both rules, and every total."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

import pytest
from recon_world import PLANTS, World, agreeing

Cell = tuple[str, str, str]


def pence(amount: Decimal) -> int:
    return int((amount * 100).to_integral_exact())


def percent(amount_pence: int, rate: Decimal) -> int:
    """Whole pennies of a percentage, halves up, in integers only: rates have at most four decimals."""
    ten_thousandths = int(rate * 10_000)
    sign = -1 if amount_pence < 0 else 1
    return sign * ((abs(amount_pence) * ten_thousandths * 2 + 1_000_000) // 2_000_000)


def spoiled(seed: int) -> World:
    world = agreeing(seed, 300)
    for plant in PLANTS:
        plant(world)
    return world


def test_vat_by_line_and_by_code(reconcile):
    """No penny of VAT is rounded otherwise than by integers, on either rule."""
    world = spoiled(31)
    connection = reconcile(world)
    found = connection.execute(
        "select opsmerge_invoice_id, tax_by_line, tax_by_code from statement.opsmerge_line_totals"
    )
    for invoice_id, by_line, by_code in found.fetchall():
        lines = world.opsmerge[invoice_id]["lines"]
        nets: dict[tuple[str, Decimal], int] = defaultdict(int)
        for line in lines:
            nets[line["tax_code_id"], line["tax_rate"]] += pence(line["net_amount"])
        assert pence(by_line) == sum(percent(pence(line["net_amount"]), line["tax_rate"]) for line in lines)
        assert pence(by_code) == sum(percent(net, rate) for (_, rate), net in nets.items())


@pytest.mark.parametrize("seed", [32, 33])
def test_every_total_of_every_month(reconcile, seed: int):
    """Each side's total per measure, currency and month is the sum of its documents, in integers."""
    world = spoiled(seed)
    connection = reconcile(world)
    rows = connection.execute(
        "select measure, currency, period, opsmerge_total, ledger_total from recon.control_totals"
    )
    found = {row[:3]: (pence(row[3]), pence(row[4])) for row in rows.fetchall()}
    ours, theirs = opsmerge_totals(world), quickbooks_totals(world)
    assert {cell: pair for cell, pair in found.items() if any(pair)} == {
        cell: (ours[cell], theirs[cell]) for cell in ours.keys() | theirs.keys() if ours[cell] or theirs[cell]
    }


def opsmerge_totals(world: World) -> dict[Cell, int]:
    totals: dict[Cell, int] = defaultdict(int)
    names = {"net": "subtotal", "tax": "tax_total", "gross": "total", "balance": "balance"}
    for row in world.opsmerge.values():
        if row["status"] != "voided":
            for measure, name in names.items():
                totals[measure, row["currency"], f"{row['issue_date']:%Y-%m}"] += pence(row[name])
    for row in world.opsmerge_payments.values():
        if not row["voided"]:
            totals["payments", row["currency"], f"{row['paid_on']:%Y-%m}"] += pence(row["amount"])
    return totals


def quickbooks_totals(world: World) -> dict[Cell, int]:
    totals: dict[Cell, int] = defaultdict(int)
    names = {"net": "net_amount", "tax": "tax_amount", "gross": "total_amount", "balance": "balance"}
    for row in world.quickbooks.values():
        if row["status"] != "deleted":
            for measure, name in names.items():
                totals[measure, row["currency"], f"{row['txn_date']:%Y-%m}"] += pence(row[name])
    for row in world.quickbooks_payments.values():
        totals["payments", row["currency"], f"{row['txn_date']:%Y-%m}"] += pence(row["total_amount"])
    return totals
