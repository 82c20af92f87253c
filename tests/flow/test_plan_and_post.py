"""`books plan` and `books post --plan` through real Meltano, against both simulators."""

from __future__ import annotations

import json
from pathlib import Path

from books.posting.plan import Plan, to_json

PRODUCTION = {
    "TARGET_QUICKBOOKS_ENVIRONMENT": "production",
    "TAP_QUICKBOOKS_PAYMENTS_ENVIRONMENT": "production",
    "TARGET_QUICKBOOKS_POST_FROM": "2026-01-01",
    "TARGET_QUICKBOOKS_DUPLICATE_NUMBERS_CHECKED": "yes",
}


def accounting(bridge, invoice_id):
    return (bridge.opsmerge_invoice(invoice_id).get("accounting") or {}).get("status")


def test_a_plan_is_posted_exactly_once_and_what_changed_is_held(bridge):
    """Plan, look, post in production: a killed posting is gone on with, once each; an edited invoice waits."""
    bridge.urls.update(PRODUCTION)
    first, second, edited = (bridge.open_invoice() for _ in range(3))
    planned = bridge.books("plan", "--json")
    assert planned.code == 0, planned.out[-2000:]
    plan = json.loads(planned.out)
    assert [(row["action"], row["net"], row["ledger_tax"]) for row in plan["rows"]] == [
        ("create", "300.00", "60.00")
    ] * 3
    assert plan["totals"] == [
        {"action": "create", "currency": "GBP", "invoices": 3, "net": "900.00", "tax": "180.00", "total": "1080.00"}
    ]
    assert Path(plan["file"]).stat().st_mode & 0o077 == 0

    assert "wait for a plan" in json.loads(bridge.books("status", "--json").out)["warnings"][0]
    bridge.opsmerge.deed("edit_invoice", invoice_id=edited, due_date="2027-01-31")
    killed = bridge.books("post", "--plan", plan["id"], BOOKS_CRASH_AT="outcome_committed")
    assert killed.code == 1, killed.out
    assert "nothing is posted twice" in killed.out
    again = bridge.books("post", "--plan", plan["file"], "--force")
    assert again.code == 0, again.out
    assert "changed in OpsMerge since the plan" in again.out
    assert [accounting(bridge, each) for each in (first, second, edited)] == ["posted", "posted", "held"]
    numbers = [row["number"] for row in plan["rows"]]
    assert [bridge.quickbooks_invoices(number) for number in numbers] == [1, 1, 0]


def test_a_plan_that_cannot_be_made_or_found_says_why(bridge):
    """Exit codes as everywhere: 69 for a dead connection, 78 for a plan that is not there or another company's."""
    bridge.open_invoice()
    bridge.quickbooks.deed("disconnect")
    dead = bridge.books("plan")
    assert (dead.code, "token expired" in dead.out) == (69, True), dead.out
    assert not list(bridge.project.root.glob("plans/*/*.json"))
    missing = bridge.books("post", "--plan", "nowhere.json")
    assert (missing.code, "books plan" in missing.out) == (78, True), missing.out
    foreign = bridge.project.root / "foreign.json"
    foreign.write_text(to_json(Plan.of("production:1", "2026-11-02T09:00:00Z", [])))
    refused = bridge.books("post", "--plan", str(foreign))
    assert (refused.code, "this plan is for production:1" in refused.out) == (78, True), refused.out
