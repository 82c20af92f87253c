"""The part of `/_control` that every simulator has: clock, faults, request log."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.common.app import control_error
from sandbox.common.clock import SimClock, parse_time
from sandbox.common.faults import KINDS, FaultPlan, parse_fault
from sandbox.common.log import RequestLog

Handler = Callable[[Request], Awaitable[Response]]


class ControlError(ValueError):
    """A control request that makes no sense; answered with 400 and its text."""


async def body_of(request: Request) -> dict[str, Any]:
    """Return the JSON object of a control request; an empty body is an empty object.

    Raises:
        ControlError: not a JSON object.
    """
    raw = await request.body()
    try:
        body = json.loads(raw) if raw.strip() else {}
    except ValueError as error:
        raise ControlError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise ControlError("the body must be a JSON object")
    return body


def guarded(handler: Handler) -> Handler:
    """Answer a mistake in a control request with 400 and the reason."""

    async def call(request: Request) -> Response:
        try:
            return await handler(request)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            return control_error(400, _sentence(error))

    return call


def _sentence(error: Exception) -> str:
    return f"missing: {error.args[0]}" if isinstance(error, KeyError) and error.args else str(error)


def control_routes(clock: SimClock, faults: FaultPlan, log: RequestLog) -> list[Route]:
    """Return routes for clock, faults and requests, below `/_control`."""
    return [
        Route("/_control/clock", guarded(_clock(clock)), methods=["GET", "POST"]),
        Route("/_control/faults", guarded(_faults(faults)), methods=["GET", "POST", "DELETE"]),
        Route("/_control/faults/release", guarded(_release(faults)), methods=["POST"]),
        Route("/_control/requests", guarded(_requests(log)), methods=["GET", "DELETE"]),
    ]


def _clock(clock: SimClock) -> Handler:
    """GET the time; POST `{"now"}`, `{"advance_seconds"}`, `{"frozen": true|false}`, `{"real": true}`."""

    async def handle(request: Request) -> Response:
        if request.method == "POST":
            _move(clock, await body_of(request))
        return JSONResponse({"now": clock.now().isoformat(), "frozen": clock.frozen})

    return handle


def _move(clock: SimClock, body: dict[str, Any]) -> None:
    if body.get("real"):
        clock.real_time()
    if "now" in body:
        clock.set(parse_time(str(body["now"])))
    if "frozen" in body:
        (clock.freeze if body["frozen"] else clock.run)()
    if "advance_seconds" in body:
        clock.advance(float(body["advance_seconds"]))


def _faults(faults: FaultPlan) -> Handler:
    """GET what is planned; POST one fault or `{"faults": [...]}`; DELETE all."""

    async def handle(request: Request) -> Response:
        if request.method == "DELETE":
            faults.clear()
        if request.method == "POST":
            body = await body_of(request)
            plans = body.get("faults", [body])
            for fault in [parse_fault(plan) for plan in plans]:
                faults.add(fault)
        return JSONResponse({"faults": faults.rows(), "kinds": KINDS})

    return handle


def _release(faults: FaultPlan) -> Handler:
    """POST: continue every hanging and late request now."""

    async def handle(_request: Request) -> Response:
        faults.release()
        return JSONResponse({"released": True})

    return handle


def _requests(log: RequestLog) -> Handler:
    """GET the log, `?method=` and `?path=` narrow it; DELETE empties it."""

    async def handle(request: Request) -> Response:
        if request.method == "DELETE":
            log.clear()
        params = request.query_params
        rows = log.rows(method=params.get("method"), path=params.get("path"))
        return JSONResponse({"requests": rows, "count": len(log)})

    return handle
