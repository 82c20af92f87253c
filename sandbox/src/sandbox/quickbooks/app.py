"""The ASGI application of one simulated QuickBooks Online."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from sandbox.common import SimApp
from sandbox.common.app import Refusals
from sandbox.common.faults import PlannedFault
from sandbox.quickbooks import answers, api, control, faults
from sandbox.quickbooks.faults import ApiFault
from sandbox.quickbooks.oauth import endpoints
from sandbox.quickbooks.state import QuickBooksState


def create_app(state: QuickBooksState) -> SimApp:
    """Serve this state: the API, OAuth and `/_control`."""
    return SimApp(
        [*api.routes(state), *endpoints.routes(state), *control.routes(state)],
        clock=state.clock,
        faults=state.faults,
        log=state.log,
        refusals=Refusals(
            unauthorised=lambda fault, headers: _refusal(
                state, fault, headers, faults.authentication_failed("Token expired")
            ),
            throttled=lambda fault, headers: _refusal(state, fault, headers, faults.throttled(_retry(fault))),
            broken=lambda fault, headers: _refusal(state, fault, headers, faults.system_fault(fault.status or 503)),
        ),
        exception_handlers={404: _not_found},
    )


def _refusal(state: QuickBooksState, _fault: PlannedFault, headers: Headers, refusal: ApiFault) -> Response:
    json = answers.wants_json(headers.get("accept", ""))
    return answers.fault(refusal, state.clock.epoch(), state.switches, json=json)


def _retry(fault: PlannedFault) -> dict[str, str]:
    return {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}


async def _not_found(_request: Request, _error: Exception) -> Response:
    """A wrong path; still with a tid."""
    return Response(b"", 404, answers.tid())
