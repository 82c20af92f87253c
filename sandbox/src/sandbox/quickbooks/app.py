"""The ASGI application of one simulated QuickBooks Online."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.common import SimApp
from sandbox.common.app import Refusals
from sandbox.common.faults import PlannedFault
from sandbox.quickbooks import answers, api, control, faults
from sandbox.quickbooks.faults import ApiFault
from sandbox.quickbooks.oauth import endpoints
from sandbox.quickbooks.state import QuickBooksState


def create_app(state: QuickBooksState) -> SimApp:
    """Serve this state: the API, OAuth and `/_control`."""
    state.faults.codes = frozenset(faults.PLANNED)
    desk = control.Desk(state)
    return SimApp(
        [*api.routes(state), *endpoints.routes(state), *control.routes(desk)],
        clock=state.clock,
        faults=state.faults,
        log=state.log,
        refusals=Refusals(
            unauthorised=lambda fault, headers: _refusal(
                state, fault, headers, faults.authentication_failed("Token expired")
            ),
            throttled=lambda fault, headers: _refusal(state, fault, headers, faults.throttled(_retry(fault))),
            broken=lambda fault, headers: _refusal(state, fault, headers, faults.system_fault(fault.status or 503)),
            coded=lambda fault, headers: _refusal(state, fault, headers, _coded(fault)),
        ),
        exception_handlers={404: _bare, 405: _bare, 400: _bad_form, 500: _failed(state)},
        lifespan=desk.lifespan,
    )


def _refusal(state: QuickBooksState, _fault: PlannedFault, headers: Headers, refusal: ApiFault) -> Response:
    json = answers.wants_json(headers.get("accept", ""))
    return answers.fault(refusal, state.clock.epoch(), state.switches, json=json)


def _retry(fault: PlannedFault) -> dict[str, str]:
    return {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}


def _coded(fault: PlannedFault) -> ApiFault:
    refusal = faults.PLANNED[fault.code or ""]()
    refusal.status = fault.status or refusal.status
    return refusal


async def _bare(_request: Request, error: Exception) -> Response:
    """Answer a wrong path or method; also with a tid."""
    return Response(b"", error.status_code if isinstance(error, HTTPException) else 500, answers.tid())


async def _bad_form(_request: Request, _error: Exception) -> Response:
    """Answer a form that cannot be read: only OAuth's endpoints accept forms."""
    return JSONResponse({"error": "invalid_request"}, 400, answers.tid())


def _failed(state: QuickBooksState) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Answer a fault of the simulator itself as the product does; the traceback goes to the server's log only."""

    async def answer(request: Request, _error: Exception) -> Response:
        json = answers.wants_json(request.headers.get("accept", ""))
        return answers.fault(faults.system_fault(), state.clock.epoch(), state.switches, json=json)

    return answer
