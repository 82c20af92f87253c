"""The OpsMerge simulator as one ASGI app: the API, its shell of clock, faults and log, and `/_control`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.common import SimApp, control_routes
from sandbox.common.app import Refusals
from sandbox.common.faults import PlannedFault
from sandbox.opsmerge import api, deeds
from sandbox.opsmerge.errors import ApiError, invalid
from sandbox.opsmerge.limits import too_many
from sandbox.opsmerge.state import OpsMergeState

RETRY_AFTER_SECONDS = 30
PLANNED = {
    "missing_scope": (403, "This API key lacks the scope."),
    "not_found": (404, "There is no such document."),
    "conflict": (409, "The document does not allow this as it stands."),
    "validation_failed": (422, "body: is not valid."),
    "internal_error": (500, "The service failed."),
}
"""What the fault kind `code` may name: HTTP status and message."""


def create_app(state: OpsMergeState) -> SimApp:
    """Return the simulator of one tenant; serve it with uvicorn, or with `sandbox.server.running`."""
    state.faults.codes = frozenset(PLANNED)
    return SimApp(
        [*api.routes(state), *control_routes(state.clock, state.faults, state.log), *_control(state)],
        clock=state.clock,
        faults=state.faults,
        log=state.log,
        refusals=_refusals(state),
        exception_handlers={404: api.on_http_error, 405: api.on_http_error, 500: api.on_http_error},
    )


def _refusals(state: OpsMergeState) -> Refusals:
    def throttled(fault: PlannedFault, _headers: Headers) -> Response:
        seconds = RETRY_AFTER_SECONDS if fault.retry_after is None else fault.retry_after
        return api.refusal(too_many(seconds, state.clock.now(), state.switches.retry_after))

    def unauthorised(_fault: PlannedFault, _headers: Headers) -> Response:
        return api.refusal(ApiError(401, "invalid_api_key", "The API key is missing, unknown or revoked."))

    def broken(fault: PlannedFault, _headers: Headers) -> Response:
        return api.refusal(ApiError(fault.status or 503, "unavailable", "The service is unavailable."))

    def coded(fault: PlannedFault, _headers: Headers) -> Response:
        status, message = PLANNED[fault.code or ""]
        return api.refusal(ApiError(fault.status or status, fault.code or "", message))

    return Refusals(unauthorised, throttled, broken, coded)


def _control(state: OpsMergeState) -> list[Route]:
    def route(path: str, work: Callable[[dict[str, Any]], Any], method: str = "POST") -> Route:
        return Route("/_control" + path, _handler(work), methods=[method])

    return [
        route("/reset", lambda _body: state.reset()),
        route("/seed", lambda body: deeds.seed(state, body)),
        route("/deeds", lambda body: deeds.perform(state, str(body.pop("deed", "")), body)),
        route("/switches", lambda body: asdict(state.set_switches(body))),
        route("/switches", lambda _body: asdict(state.switches), "GET"),
        route("/state", lambda _body: {"documents": state.store.counts(), "notes": state.notes}, "GET"),
        route("/notes", state.add_notes),
    ]


def _handler(work: Callable[[dict[str, Any]], Any]) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        body = await request.body()
        try:
            given = api.parsed(body) if body else {}
            if not isinstance(given, dict):
                raise invalid(["body: must be an object"])
            return api.answer(work(given))
        except ApiError as error:
            return api.refusal(error)

    return handle
