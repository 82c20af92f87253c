"""A thousand changes at once: an answer of change data capture that may have been cut."""

from __future__ import annotations

import pytest
from histories import History

THOUSAND = [{"CustomerRef": {"name": "Acme"}, "TotalAmt": 1}] * 1000


@pytest.mark.parametrize("extra", [0, 1])
def test_what_lies_beyond_a_thousand_changes_reaches_opsmerge(between, extra):
    """1,001 or 1,002 payments changed: the newest one is told to OpsMerge, and so is the deletion after it."""
    history = History(between, 1)
    history.know_all()
    quickbooks = between.quickbooks.control
    one, two = history.invoices[:2]
    first = quickbooks.deed("record_payment", invoice_id=one.external_id)
    between.run()
    between.wait(4000)
    quickbooks.seed({"entities": {"Payment": THOUSAND[: 999 + extra]}})
    between.wait(1)
    quickbooks.deed("record_payment", invoice_id=two.external_id)
    quickbooks.deed("delete_payment", payment_id=first["Id"])
    between.run()
    history.compare()
    assert [each["external_id"].split(":")[2] for each in between.payments() if not each["voided"]] == [two.external_id]
