"""A running simulator with a connected client, limits off unless a test is about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.common import SimClock
from sandbox.common.clock import parse_time
from sandbox.control import Control
from sandbox.quickbooks import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, QuickBooksState, create_app
from sandbox.server import running

REALM = "9341453000000001"
MORNING = "2026-11-20T09:00:00Z"


@dataclass
class Answer:
    """A parsed answer."""

    status: int
    body: Any
    headers: Any
    text: str

    @property
    def code(self) -> str:
        """The first fault's code, in either casing."""
        fault = self.body.get("Fault") or self.body.get("fault")
        return str((fault.get("Error") or fault.get("error"))[0]["code"])

    @property
    def detail(self) -> str:
        return str(self.body["Fault"]["Error"][0]["Detail"])


@dataclass
class Qbo:
    """A connected app."""

    url: str
    control: Control
    state: QuickBooksState
    realm: str = REALM
    token: str = ""
    session: requests.Session = field(default_factory=requests.Session)

    def refresh(self, token: str = REFRESH_TOKEN, *, secret: str = CLIENT_SECRET, **headers: str) -> requests.Response:
        return self.session.post(
            f"{self.url}/oauth2/v1/tokens/bearer",
            auth=(CLIENT_ID, secret),
            data={"grant_type": "refresh_token", "refresh_token": token},
            headers=headers,
        )

    def connect(self, token: str = REFRESH_TOKEN) -> None:
        self.token = self.refresh(token).json()["access_token"]

    def call(
        self, method: str, path: str, body: Any = None, *, accept: str | None = "application/json", **more: Any
    ) -> Answer:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": accept, **more.pop("headers", {})}
        if isinstance(body, (dict, list)):
            body, headers["Content-Type"] = json.dumps(body, default=str), "application/json"
        url = f"{self.url}/v3/company/{self.realm}/{path}"
        answer = self.session.request(method, url, data=body, headers=headers, **more)
        is_json = "json" in answer.headers.get("content-type", "")
        parsed = json.loads(answer.text, parse_float=Decimal) if is_json else None
        return Answer(answer.status_code, parsed, answer.headers, answer.text)

    def get(self, path: str, **params: str) -> Answer:
        return self.call("GET", path, params=params)

    def post(self, path: str, body: Any, **params: str) -> Answer:
        return self.call("POST", path, body, params=params)

    def made(self, entity: str, body: dict[str, Any], **params: str) -> dict[str, Any]:
        answer = self.post(entity.lower(), body, **params)
        assert answer.status == 200, answer.text
        return answer.body[entity]

    def read(self, entity: str, object_id: str) -> dict[str, Any]:
        return self.get(f"{entity.lower()}/{object_id}").body[entity]

    def query(self, text: str) -> Answer:
        return self.get("query", query=text)

    def rows(self, text: str, entity: str) -> list[dict[str, Any]]:
        return self.query(text).body["QueryResponse"].get(entity, [])

    def batch(self, *items: dict[str, Any], **params: str) -> Answer:
        return self.post("batch", {"BatchItemRequest": list(items)}, **params)

    def customer(self, name: str = "Acme Ltd", **more: Any) -> str:
        return self.made("Customer", {"DisplayName": name, **more})["Id"]

    def item(self, name: str = "Support") -> str:
        accounts = {"IncomeAccountRef": {"value": "1"}, "ExpenseAccountRef": {"value": "2"}}
        return self.made("Item", {"Name": name, "Type": "Service", **accounts})["Id"]

    def invoice(self, customer: str, amount: Any = "100.00", number: str | None = None, **more: Any) -> dict[str, Any]:
        return self.made("Invoice", self.invoice_body(customer, self.line(amount), number=number, **more))

    @staticmethod
    def line(amount: Any, code: str | None = "6", **detail: Any) -> dict[str, Any]:
        inner = {**detail, **({"TaxCodeRef": {"value": code}} if code else {})}
        return {"DetailType": "SalesItemLineDetail", "Amount": amount, "SalesItemLineDetail": inner}

    @staticmethod
    def invoice_body(customer: str, *lines: dict[str, Any], number: str | None = None, **more: Any) -> dict[str, Any]:
        named = {"DocNumber": number} if number else {}
        return {"CustomerRef": {"value": customer}, "Line": list(lines), "TxnDate": "2026-11-20", **named, **more}

    @staticmethod
    def payment_body(customer: str, total: Any, *applied: tuple[str, Any, str], **more: Any) -> dict[str, Any]:
        lines = [{"Amount": amount, "LinkedTxn": [{"TxnId": txn, "TxnType": kind}]} for txn, amount, kind in applied]
        return {"CustomerRef": {"value": customer}, "TotalAmt": total, "Line": lines, **more}

    @staticmethod
    def key(document: dict[str, Any]) -> dict[str, Any]:
        return {"Id": document["Id"], "SyncToken": document["SyncToken"]}


@pytest.fixture
def serve() -> Iterator[Callable[..., Qbo]]:
    """Start simulators; each stops at the end."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(
            path: Path | None = None,
            clock: SimClock | None = None,
            on_start: Callable[[QuickBooksState], object] = lambda _state: None,
        ) -> Qbo:
            state = QuickBooksState(path, clock=clock)
            on_start(state)
            stack.callback(state.close)
            url = stack.enter_context(running(create_app(state)))
            sim = Qbo(url, Control(url), state)
            sim.session.trust_env = False
            return sim

        yield start


@pytest.fixture
def qbo(serve: Callable[..., Qbo]) -> Qbo:
    sim = serve(clock=SimClock(parse_time(MORNING)))
    sim.control.switches(limits=False)
    sim.connect()
    return sim
