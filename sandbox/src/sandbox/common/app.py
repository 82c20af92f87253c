"""The ASGI shell of a simulator: logs each request and applies the planned fault, if one strikes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Message, Receive, Scope, Send

from sandbox.common.clock import SimClock
from sandbox.common.exchange import Answer, Exchange, counted
from sandbox.common.faults import FaultPlan, PlannedFault
from sandbox.common.log import RequestLog
from sandbox.common.strikes import STRIKES

BODY_BYTES_MAX = 20_000_000
CONTROL = "/_control"


@dataclass
class Refusals:
    """How this API words the refusals that can be planned. Each gets the fault and the request's headers."""

    unauthorised: Callable[[PlannedFault, Headers], Response]
    throttled: Callable[[PlannedFault, Headers], Response]
    broken: Callable[[PlannedFault, Headers], Response]
    coded: Callable[[PlannedFault, Headers], Response]


def plain_refusals() -> Refusals:
    """Return a refusal as plain JSON, of no particular vendor."""

    def refusal(status: int) -> Callable[[PlannedFault, Headers], Response]:
        def build(fault: PlannedFault, _headers: Headers) -> Response:
            return Response(b'{"error":"planned fault"}', fault.status or status, media_type="application/json")

        return build

    return Refusals(refusal(401), refusal(429), refusal(503), refusal(400))


class SimApp(Starlette):
    """Starlette with a virtual clock, a fault plan and a request log around it.

    `/_control` is outside all three: it is neither logged nor hit.
    """

    def __init__(
        self,
        routes: Sequence[BaseRoute],
        *,
        clock: SimClock,
        faults: FaultPlan,
        log: RequestLog,
        refusals: Refusals | None = None,
        **starlette: Any,
    ) -> None:
        super().__init__(routes=routes, **starlette)
        self.router.redirect_slashes = False  # no vendor's API sends a client elsewhere for a slash
        self.clock = clock
        self.faults = faults
        self.log = log
        self.refusals = refusals or plain_refusals()
        self._began = time.perf_counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL):
            await super().__call__(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            await Response(b"", 413)(scope, receive, send)
            return
        started = time.perf_counter()
        exchange = self._exchange(scope, body, receive, send, started)
        try:
            await self._serve(exchange)
        finally:
            self.log.close(exchange.entry, round((time.perf_counter() - started) * 1000, 3))

    def _exchange(self, scope: Scope, body: bytes, receive: Receive, send: Send, started: float) -> Exchange:
        method, path, query = scope["method"], scope["path"], scope["query_string"].decode("latin-1")
        entry = self.log.open(
            at=self.clock.now().isoformat(timespec="milliseconds"),
            method=method,
            path=path,
            query=query,
            headers=Headers(scope=scope),
            body=body,
            started_ms=round((started - self._began) * 1000, 3),
        )
        fault = self.faults.take(method, path, query, body)
        entry.fault = fault.kind if fault else None
        return Exchange(scope, body, receive, send, entry, fault)

    async def _serve(self, exchange: Exchange) -> None:
        if exchange.fault is None:
            await self.apply(exchange, counted(exchange))
        else:
            await STRIKES[exchange.fault.kind](self, exchange, exchange.fault)

    async def apply(self, exchange: Exchange, send: Send) -> None:
        """Let the request have its effect; the answer goes to `send`."""
        exchange.entry.applied = True
        await super().__call__(exchange.scope, _replay(exchange.body, exchange.receive), send)

    async def apply_unseen(self, exchange: Exchange) -> Answer:
        """Let the request have its effect and keep the answer."""
        answer = Answer()
        await self.apply(exchange, answer.send)
        return answer

    async def answer(self, exchange: Exchange, response: Response) -> None:
        """Send an answer of our own."""
        await response(exchange.scope, exchange.receive, counted(exchange))

    async def given_up(self, exchange: Exchange) -> None:
        """Wait until the client closes the connection, or somebody releases the request."""
        released = self.faults.waiter()
        waits = [asyncio.ensure_future(released.wait()), asyncio.ensure_future(_disconnected(exchange.receive))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.faults.forget(released)
            for wait in waits:
                wait.cancel()


async def _read(receive: Receive) -> bytes | None:
    """Return the whole body; None when it is larger than any real request."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY_BYTES_MAX:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return the body that was read already, then what the client really sends."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def control_error(status: int, message: str) -> Response:
    """Return a refusal of `/_control`: one sentence."""
    return Response(json.dumps({"error": message}), status, media_type="application/json")
