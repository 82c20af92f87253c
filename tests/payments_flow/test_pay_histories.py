"""Whatever happens in QuickBooks and to the news of it, one more run makes OpsMerge right to the penny."""

from __future__ import annotations

import pytest
from histories import play

HISTORIES = 30
SOAK = 2000


def test_one_more_run_makes_opsmerge_right(between):
    """Deeds on both sides, webhooks lost, doubled, late and shuffled, tap, target and receiver killed anywhere."""
    for seed in range(HISTORIES):
        play(between, seed)


@pytest.mark.soak
@pytest.mark.parametrize("block", range(20))
def test_one_more_run_makes_opsmerge_right_over_2000_histories(between, block):
    """The same over many more histories."""
    for seed in range(HISTORIES + block, HISTORIES + SOAK, 20):
        play(between, seed)
