"""Invoices to post, and a journal on each kind of store."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from worlds import make_line, make_record

sys.path.insert(0, str(Path(__file__).parent))  # so that tests here share `schedules`


@pytest.fixture
def record():
    return make_record


@pytest.fixture
def line():
    return make_line
