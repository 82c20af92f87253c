"""Payments on their way back, between both simulators."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that tests here share `histories`
pytest.register_assert_rewrite("histories")


@pytest.fixture
def between(opsmerge_sim, quickbooks_sim, tmp_path: Path) -> Iterator:
    """Both simulators, and a bridge between them in this process."""
    from histories import Between

    yield from Between.opened(opsmerge_sim, quickbooks_sim, tmp_path)
