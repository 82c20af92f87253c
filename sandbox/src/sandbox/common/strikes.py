"""What each kind of planned fault does to a request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from starlette.responses import Response

from sandbox.common import wire
from sandbox.common.exchange import Exchange, counted
from sandbox.common.faults import PlannedFault

if TYPE_CHECKING:
    from sandbox.common.app import SimApp

GATEWAY_PAGE = (
    "<!DOCTYPE html><html><head><title>{status} Gateway error</title></head>"
    "<body><h1>{status}</h1><p>The server could not complete the request.</p></body></html>"
)


def gateway_page(status: int) -> Response:
    """Return a gateway's error page: HTML, whatever the request accepts."""
    return Response(GATEWAY_PAGE.format(status=status), status, media_type="text/html")


async def _refuse(_app: SimApp, exchange: Exchange, fault: PlannedFault) -> None:
    await wire.refuse(exchange.send, 0.5 if fault.seconds is None else fault.seconds)


async def _delay(app: SimApp, exchange: Exchange, fault: PlannedFault) -> None:
    await asyncio.sleep(1.0 if fault.seconds is None else fault.seconds)
    await app.apply(exchange, counted(exchange))


async def _hang(app: SimApp, exchange: Exchange, fault: PlannedFault) -> None:
    if fault.after:
        await app.apply_unseen(exchange)
    await app.given_up(exchange)
    await wire.reset(exchange.send)


async def _cut_before(_app: SimApp, exchange: Exchange, _fault: PlannedFault) -> None:
    await wire.reset(exchange.send)


async def _cut_after(app: SimApp, exchange: Exchange, _fault: PlannedFault) -> None:
    await app.apply_unseen(exchange)
    await wire.reset(exchange.send)


async def _broken_before(app: SimApp, exchange: Exchange, fault: PlannedFault) -> None:
    await app.answer(exchange, _broken(app, exchange, fault, 503))


async def _broken_after(app: SimApp, exchange: Exchange, fault: PlannedFault) -> None:
    await app.apply_unseen(exchange)
    await app.answer(exchange, _broken(app, exchange, fault, 504))


def _broken(app: SimApp, exchange: Exchange, fault: PlannedFault, status: int) -> Response:
    fault.status = fault.status or status
    return gateway_page(fault.status) if fault.html else app.refusals.broken(fault, exchange.headers)


async def _html(app: SimApp, exchange: Exchange, fault: PlannedFault) -> None:
    if fault.after:
        await app.apply_unseen(exchange)
    await app.answer(exchange, gateway_page(fault.status or 502))


async def _truncated(app: SimApp, exchange: Exchange, _fault: PlannedFault) -> None:
    answer = await app.apply_unseen(exchange)
    send = counted(exchange)
    await send(answer.start)
    await send({"type": "http.response.body", "body": answer.body[: len(answer.body) // 2], "more_body": True})
    await wire.close(exchange.send)


async def _late(app: SimApp, exchange: Exchange, fault: PlannedFault) -> None:
    await app.given_up(exchange)
    await asyncio.sleep(fault.seconds or 0)
    await app.apply_unseen(exchange)
    await wire.reset(exchange.send)


async def _unauthorised(app: SimApp, exchange: Exchange, fault: PlannedFault) -> None:
    await app.answer(exchange, app.refusals.unauthorised(fault, exchange.headers))


async def _throttled(app: SimApp, exchange: Exchange, fault: PlannedFault) -> None:
    await app.answer(exchange, app.refusals.throttled(fault, exchange.headers))


async def _coded(app: SimApp, exchange: Exchange, fault: PlannedFault) -> None:
    await app.answer(exchange, app.refusals.coded(fault, exchange.headers))


STRIKES: Mapping[str, Callable[[SimApp, Exchange, PlannedFault], Awaitable[None]]] = {
    "refuse": _refuse,
    "delay": _delay,
    "hang": _hang,
    "cut_before": _cut_before,
    "cut_after": _cut_after,
    "5xx_before": _broken_before,
    "5xx_after": _broken_after,
    "html": _html,
    "truncated": _truncated,
    "late": _late,
    "401": _unauthorised,
    "429": _throttled,
    "code": _coded,
}
