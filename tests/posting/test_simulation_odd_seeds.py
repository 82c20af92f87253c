"""The other half of the 20,000 schedules of `test_simulation`: pytest gives a worker whole files."""

from __future__ import annotations

import pytest
from schedules import play_all

SCHEDULES = 20_000


@pytest.mark.parametrize("block", range(2))
def test_no_odd_schedule_duplicates_loses_or_leaves_an_invoice_unfinished(block, record):
    """In every schedule with an odd seed each invoice is in the books once, and the store knows its id."""
    play_all(range(2 * block + 1, SCHEDULES, 4), record)
