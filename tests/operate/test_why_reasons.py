"""Why an invoice that was never posted is not in QuickBooks, as `books why` says it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from books.operations.why import _left

INVOICE = {
    "status": "open",
    "issue_date": date(2026, 11, 2),
    "accounting_excluded": False,
    "subtotal": Decimal("-5.00"),
    "total": Decimal("-6.00"),
}
GO_LIVE = {"no go-live date": None, "before it": date(2026, 11, 20), "after it": date(2026, 11, 1)}


@pytest.mark.parametrize("status", ["open", "paid"])
@pytest.mark.parametrize("name", GO_LIVE)
def test_a_credit_is_named_as_one_whatever_the_go_live_date(name, status):
    """In the words of the push that refuses it, with what to do."""
    told = _left({**INVOICE, "status": status}, GO_LIVE[name])
    assert "the total -6.00 is negative" in told
    assert "credit note in QuickBooks" in told


def test_a_credit_that_is_not_wanted_is_no_credit_to_enter():
    """Opted out, voided or a draft: that is the reason."""
    assert "opted out" in _left({**INVOICE, "accounting_excluded": True}, None)
    assert "voided" in _left({**INVOICE, "status": "voided"}, None)
    assert "drafts" in _left({**INVOICE, "status": "draft"}, None)
