"""Whatever happens in QuickBooks and to the news of it, one more run makes OpsMerge right to the penny."""

from __future__ import annotations

import pytest
from histories import History, play

from books.writeback.allocation_store import AllocationStore

HISTORIES = 40
SOAK = 2000
LINES_MAX = 40


def test_one_more_run_makes_opsmerge_right(between):
    """Deeds on both sides, webhooks lost, doubled, late and shuffled, tap, target and receiver killed anywhere."""
    _play_all(between)


def _play_all(between):
    for seed in range(HISTORIES):
        play(between, seed)


@pytest.mark.soak
@pytest.mark.parametrize("block", range(20))
def test_one_more_run_makes_opsmerge_right_over_2000_histories(between, block):
    """The same over many more histories."""
    for seed in range(HISTORIES + block, HISTORIES + SOAK, 20):
        play(between, seed)


def test_a_history_can_fail(between, monkeypatch):
    """A bridge that never notices what a complete read does not show is found out."""
    monkeypatch.setattr(AllocationStore, "mark_gone", lambda *_: 0)
    with pytest.raises(AssertionError, match=r"seed \d+") as caught:
        _play_all(between)
    assert isinstance(caught.value.__cause__, AssertionError), caught.value.__cause__


def test_a_tap_killed_at_any_line_loses_nothing(between):
    """Whichever line of the tap is its last: what it had not told is told by the next run, also beyond the overlap."""
    history = History(between, 1)
    history.know_all()
    for lines in range(LINES_MAX):
        history.pay_a_penny()
        between.wait(4000)
        whole = between.run(tap_lines=lines)
        between.wait(4000)
        between.run()
        history.compare()
        if whole:
            return
    pytest.fail("the tap never came to its end")


@pytest.fixture
def refusing(between):
    """An OpsMerge that takes no more money than an invoice needs."""
    history = History(between, 1)
    history.know_all()
    between.opsmerge.control.switches(refuse_overpayment=True)
    return history


def test_a_run_that_heard_of_half_a_swap_is_made_good_by_the_next(between, refusing):
    """The payment that takes the place of another is heard of first, and refused; the next run tells both, at once."""
    (invoice, *_) = refusing.invoices
    quickbooks = between.quickbooks.control
    first = quickbooks.deed("record_payment", invoice_id=invoice.external_id)
    between.run()
    quickbooks.deed("delete_payment", payment_id=first["Id"])
    quickbooks.deed("record_payment", invoice_id=invoice.external_id)
    for lines in range(LINES_MAX):  # until the new payment comes through, and no more: deletions come last
        between.run(tap_lines=lines)
        if len(between.ledger()) > 1:
            break
    assert [row["fault_code"] for row in between.ledger()] == [None, "conflict"]
    between.run()
    refusing.compare()
