"""A void and an opt-out in OpsMerge after posting, through the real plugins: told at once, the id kept, and ended."""

from __future__ import annotations

import json


def block(bridge, invoice):
    shown = bridge.opsmerge_invoice(invoice)["accounting"]
    return shown["status"], shown["external_id"], shown["error"]


def test_the_block_says_conflict_with_the_id_kept_until_both_sides_agree(bridge):
    """By the next push; it ends with a void in QuickBooks that the pull has seen, or with the opt-out cleared."""
    voided, excluded = bridge.open_invoice(), bridge.open_invoice()
    bridge.pipe("push-invoices")
    ids = [block(bridge, each)[1] for each in (voided, excluded)]
    assert all(ids)
    number = bridge.opsmerge_invoice(voided)["number"]
    bridge.opsmerge.deed("void_invoice", invoice_id=voided)
    bridge.opsmerge.deed("set_opt_out", invoice_id=excluded)
    told = bridge.pipe("push-invoices")
    assert told.code == 0, told.out
    status, external_id, error = block(bridge, voided)
    assert (status, external_id) == ("conflict", ids[0])
    assert "voided in OpsMerge after it was posted" in error
    assert "Void it in QuickBooks" in error
    status, external_id, error = block(bridge, excluded)
    assert (status, external_id, "opted out in OpsMerge after" in error) == ("conflict", ids[1], True)
    why = bridge.books("why", number)
    assert "[voided_after_posting]" in why.out
    assert f"OpsMerge shows: conflict, QuickBooks id {ids[0]}" in why.out
    assert json.loads(bridge.books("status", "--json").out)["postings"]["conflict"] == 2
    again = bridge.pipe("push-invoices")
    assert "no call to QuickBooks" in again.out
    assert [row["fault_code"] for row in json.loads(bridge.books("log", "--json").out)] == [
        "excluded_after_posting",
        "voided_after_posting",
    ]

    bridge.quickbooks.deed("void_invoice", invoice=number)
    bridge.opsmerge.deed("set_opt_out", invoice_id=excluded, excluded=False)
    bridge.pipe("pull-payments")
    ended = bridge.pipe("push-invoices")
    assert "no call to QuickBooks" in ended.out
    assert [block(bridge, each) for each in (voided, excluded)] == [("posted", each, None) for each in ids]
    assert "QuickBooks shows it as voided since then." in bridge.books("why", number).out
