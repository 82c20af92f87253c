"""Pytest fixtures: each test gets simulators of its own, served over real HTTP on free ports.

The simulators are imported when a fixture is first used, so that a test run without them pays nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import pytest

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from sandbox.control import Control
    from sandbox.opsmerge import OpsMergeState
    from sandbox.quickbooks import QuickBooksState

State = TypeVar("State")


@dataclass(frozen=True)
class Simulator(Generic[State]):
    """A running simulator: its base URL, a client of its `/_control`, its state and its ASGI app."""

    url: str
    control: Control
    state: State
    app: Starlette


@pytest.fixture
def quickbooks_sim() -> Iterator[Simulator[QuickBooksState]]:
    """Yield a fresh QuickBooks Online simulator, in memory; `.url` is the host, without `/v3`."""
    from sandbox.control import Control
    from sandbox.quickbooks import QuickBooksState, create_app
    from sandbox.server import running

    state = QuickBooksState()
    app = create_app(state)
    with running(app) as url:
        yield Simulator(url, Control(url), state, app)


@pytest.fixture
def opsmerge_sim() -> Iterator[Simulator[OpsMergeState]]:
    """Yield a fresh OpsMerge simulator, in memory; the API is below `.url` + `/api/v1`."""
    from sandbox.control import Control
    from sandbox.opsmerge import OpsMergeState, create_app
    from sandbox.server import running

    state = OpsMergeState()
    app = create_app(state)
    with running(app) as url:
        yield Simulator(url, Control(url), state, app)
