"""Why an invoice that was never posted is not in QuickBooks, as `books why` says it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from books.operations.why import _next_push
from books.posting import records
from books.posting.eligibility import Scope

CREDIT = {
    "id": "inv_1",
    "number": "INV-1",
    "status": "open",
    "issue_date": date(2026, 11, 2),
    "currency": "GBP",
    "client_id": "cl_1",
    "client_name": "Acme",
    "lines": [],
    "subtotal": Decimal("-5.00"),
    "tax_total": Decimal("-1.00"),
    "total": Decimal("-6.00"),
    "accounting_excluded": False,
}
GO_LIVE = {"no go-live date": None, "before it": date(2026, 11, 20), "after it": date(2026, 11, 1)}


def _says(post_from=None, **changes):
    return _next_push(records.parse({**CREDIT, **changes}), Scope(post_from, "production:1", "QuickBooks"))


@pytest.mark.parametrize("status", ["open", "paid"])
@pytest.mark.parametrize("name", GO_LIVE)
def test_a_credit_is_named_as_one_whatever_the_go_live_date(name, status):
    """In the words of the push that refuses it, with what to do."""
    says = _says(GO_LIVE[name], status=status)
    assert "the total -6.00 is negative" in says
    assert "credit note in QuickBooks" in says


def test_a_credit_that_is_not_wanted_is_no_credit_to_enter():
    """Opted out, voided or a draft: that is the reason."""
    assert "opted out" in _says(accounting_excluded=True)
    assert "voided" in _says(status="voided")
    assert "drafts" in _says(status="draft")
