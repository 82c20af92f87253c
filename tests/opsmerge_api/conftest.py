"""A tenant on the simulator, and a client of it whose waits are virtual."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from books.core.clock import VirtualClock
from books.opsmerge import OpsMergeClient, OpsMergeSettings, open_client

LINE = {
    "description": "Support",
    "quantity": Decimal("1.5"),
    "unit_price": Decimal("33.335"),
    "service_id": "svc_1",
    "tax_code_id": "tax_1",
}
KEY = "om_sandbox_key"


def line(**changes: Any) -> dict[str, Any]:
    """A line as the simulator's deeds take it: plain JSON numbers."""
    return {name: float(value) if isinstance(value, Decimal) else value for name, value in {**LINE, **changes}.items()}


class Tenant:
    """A tenant with one client and one service, and a client of its API."""

    def __init__(self, sim: Any, clock: VirtualClock) -> None:
        self.sim = sim
        self.control = sim.control
        self.clock = clock
        self.control.seed(
            {"clients": [{"id": "cl_1", "name": "O'Brien & Söhne"}], "services": [{"id": "svc_1", "name": "Support"}]}
        )

    @property
    def api_url(self) -> str:
        return self.sim.url + "/api/v1"

    def client(self, key: str = KEY) -> OpsMergeClient:
        return open_client(OpsMergeSettings(api_key=key, api_url=self.api_url), self.clock)

    def invoice(self, *lines: Any, **details: Any) -> dict[str, Any]:
        return self.control.deed("create_invoice", client_id="cl_1", lines=list(lines) or [line()], **details)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def tenant(opsmerge_sim: Any, clock: VirtualClock) -> Tenant:
    return Tenant(opsmerge_sim, clock)
