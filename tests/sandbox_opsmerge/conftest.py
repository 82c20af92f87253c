"""A small API client for the tests, and a tenant with one client and one service."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import requests
import simplejson

LINE = {
    "description": "Support",
    "quantity": 2,
    "unit_price": Decimal("50.00"),
    "service_id": "svc_1",
    "tax_code_id": "tax_1",
}


PAGES_MAX = 100


class Api:
    """Calls below /api/v1 with a key; answers as (status, body, headers), numbers exact."""

    def __init__(self, url: str, key: str = "om_sandbox_key") -> None:
        self.url = url + "/api/v1"
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {key}"

    def call(self, method: str, path: str, body: Any = None, **params: Any) -> tuple[int, Any, Any]:
        data = None if body is None else body if isinstance(body, bytes) else simplejson.dumps(body, use_decimal=True)
        answer = self.session.request(method, self.url + path, params=params, data=data, timeout=10)
        return (
            answer.status_code,
            simplejson.loads(answer.text, use_decimal=True) if answer.text else None,
            answer.headers,
        )

    def get(self, path: str, **params: Any) -> Any:
        status, body, _ = self.call("GET", path, **params)
        assert status == 200, body
        return body

    def put(self, path: str, body: Any) -> Any:
        status, answer, _ = self.call("PUT", path, body)
        assert status == 200, answer
        return answer

    def pages(self, path: str, **params: Any) -> list[Any]:
        rows: list[Any] = []
        for _ in range(PAGES_MAX):
            page = self.get(path, **params)
            rows += page["data"]
            params["cursor"] = page["next_cursor"]
            if params["cursor"] is None:
                return rows
        raise AssertionError(f"no end after {PAGES_MAX} pages")


class Tenant:
    """A tenant with client cl_1 and service svc_1, on 1 October 2026 at noon, time standing still."""

    def __init__(self, sim: Any) -> None:
        self.sim = sim
        self.control = sim.control
        self.api = Api(sim.url)
        self.control.post("clock", {"now": "2026-10-01T12:00:00Z", "frozen": True})
        self.control.seed(
            {"clients": [{"id": "cl_1", "name": "O'Brien & Söhne"}], "services": [{"id": "svc_1", "name": "Support"}]}
        )

    def invoice(self, *lines: Any, **details: Any) -> Any:
        return self.control.deed("create_invoice", client_id="cl_1", lines=list(lines) or [LINE], **details)

    def with_key(self, key: str) -> Api:
        return Api(self.sim.url, key)

    def read(self, invoice: Any) -> Any:
        return self.api.get(f"/psa/invoices/{invoice['id']}")


@pytest.fixture
def tenant(opsmerge_sim: Any) -> Tenant:
    return Tenant(opsmerge_sim)
