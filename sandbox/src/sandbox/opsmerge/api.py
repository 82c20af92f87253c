"""The OpsMerge HTTP API: routes, keys and scopes, paging, errors."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.resources import files
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.opsmerge import invoices, payments, wire
from sandbox.opsmerge.errors import ApiError, invalid
from sandbox.opsmerge.fields import parse_moment
from sandbox.opsmerge.limits import Limiter
from sandbox.opsmerge.state import OpsMergeState
from sandbox.opsmerge.store import Position

BASE = "/api/v1"
LIMIT_DEFAULT = 50
LIMIT_MAX = 200
BODY_BYTES_MAX = 1_000_000
STATUSES = ("draft", "open", "paid", "voided", "overdue")
LISTS = {"limit", "cursor"}
CHANGES = {*LISTS, "updated_since"}

Work = Callable[[OpsMergeState, Request, bytes], Response]
Endpoint = Callable[[Request], Awaitable[Response]]


def routes(state: OpsMergeState) -> list[Route]:
    """Return the routes of the API, and the machine-readable description that OpsMerge serves beside it."""
    limiter = Limiter()

    def route(path: str, method: str, scope: str | None, work: Work) -> Route:
        return Route(BASE + path, _endpoint(state, limiter, scope, work), methods=[method])

    invoice = "/psa/invoices/{id}"
    payment = invoice + "/payments/{external_id:path}"
    return [
        route("/auth/me", "GET", None, _me),
        route("/psa/invoices", "GET", "psa_invoices:read", partial(_page, "invoice", {*CHANGES, "status"})),
        route(invoice, "GET", "psa_invoices:read", _invoice),
        route(invoice + "/accounting", "PUT", "psa_invoices:write", _put_accounting),
        route(payment, "PUT", "psa_payments:write", _put_payment),
        route(payment, "DELETE", "psa_payments:write", _delete_payment),
        route("/psa/payments", "GET", "psa_payments:read", partial(_page, "payment", CHANGES)),
        route("/psa/services", "GET", "psa_services:read", partial(_page, "service", LISTS)),
        route("/psa/tax-codes", "GET", "psa_tax_codes:read", partial(_page, "tax_code", LISTS)),
        route("/clients", "GET", "clients:read", partial(_page, "client", LISTS)),
        Route("/api/docs/openapi.yaml", _openapi, methods=["GET"]),
    ]


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return Response(wire.dumps(value), status, headers, "application/json")


def refusal(error: ApiError) -> Response:
    """Return an error in OpsMerge's format, with an id that is also in the X-Request-Id header."""
    request_id = f"req_{uuid.uuid4().hex[:20]}"
    body = {"error": {"code": error.code, "message": error.message, "request_id": request_id}}
    return answer(body, error.status, {**error.headers, "X-Request-Id": request_id})


async def on_http_error(_request: Request, error: Exception) -> Response:
    """Answer unknown paths and methods in the same format."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    words = {404: ("not_found", "There is no such path."), 405: ("method_not_allowed", "The path has no such method.")}
    code, message = words.get(status, ("internal_error", "The simulator failed; please report what you sent."))
    return refusal(ApiError(status, code, message))


async def body_of(request: Request) -> bytes:
    """Return the body; raise ApiError 413 above a megabyte."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise ApiError(413, "too_large", f"The body is larger than {BODY_BYTES_MAX} bytes.")
    return body


def parsed(body: bytes) -> Any:
    """Return the body as JSON; raise ApiError 422 when it is not JSON, or has lone surrogates."""
    try:
        value = wire.loads(body)
        wire.dumps(value).encode()
    except (ValueError, RecursionError) as error:
        raise invalid(["body: must be JSON"]) from error
    return value


def _endpoint(state: OpsMergeState, limiter: Limiter, scope: str | None, work: Work) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            _admit(state, limiter, request, scope)
            body = await body_of(request)
            state.turn_day()
            return work(state, request, body)
        except ApiError as error:
            return refusal(error)
        except ClientDisconnect:
            return Response(status_code=499)

    return endpoint


def _admit(state: OpsMergeState, limiter: Limiter, request: Request, scope: str | None) -> None:
    """Check the key, its rate and its scope, in this order."""
    scopes = state.scopes(_key(request))
    if scopes is None:
        raise ApiError(401, "invalid_api_key", "The API key is missing, unknown or revoked.")
    limiter.admit(_key(request), state.clock.now(), state.switches)
    if scope and scope not in scopes:
        raise ApiError(403, "missing_scope", f"This API key lacks the scope {scope}.")


def _key(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _me(state: OpsMergeState, request: Request, _body: bytes) -> Response:
    return answer({"id": "key_" + _key(request)[-4:], "tenant": "sandbox", "scopes": state.scopes(_key(request))})


def _page(kind: str, parameters: set[str], state: OpsMergeState, request: Request, _body: bytes) -> Response:
    """Return one page. Bodies are stored as JSON text and pass through unparsed."""
    asked = request.query_params
    if unknown := sorted(set(asked) - parameters):
        raise invalid(f"{name}: is not a known parameter" for name in unknown)
    limit = _limit(asked.get("limit"))
    rows = state.store.page(
        kind,
        _position(asked.get("cursor")),
        _since(asked.get("updated_since")),
        _statuses(asked.get("status")),
        limit + 1,
    )
    more = len(rows) > limit
    rows = rows[:limit]
    cursor = wire.dumps(_cursor(rows[-1][:2]) if more else None)
    text = '{"data":[' + ",".join(body for _, _, body in rows) + '],"next_cursor":' + cursor + "}"
    return Response(text, media_type="application/json")


def _limit(text: str | None) -> int:
    if text is None:
        return LIMIT_DEFAULT
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= LIMIT_MAX):
        raise invalid([f"limit: must be a whole number from 1 to {LIMIT_MAX}"])
    return int(text)


def _since(text: str | None) -> str:
    if text is None:
        return ""
    since = parse_moment(text)
    if since is None:
        raise invalid(["updated_since: must be a date-time with an offset"])
    return since


def _statuses(text: str | None) -> list[str]:
    statuses = text.split(",") if text else []
    if unknown := [status for status in statuses if status not in STATUSES]:
        raise invalid([f"status: {', '.join(unknown)} is none of {', '.join(STATUSES)}"])
    return statuses


def _cursor(position: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode("|".join(position).encode()).decode()


def _position(cursor: str | None) -> Position:
    if cursor is None:
        return ("", "")
    try:
        updated_at, separator, identifier = base64.urlsafe_b64decode(cursor.encode()).decode().partition("|")
    except (binascii.Error, UnicodeError):
        separator = ""
    if not separator:
        raise invalid(["cursor: is not one that this API gave out"])
    return (updated_at, identifier)


def _invoice(state: OpsMergeState, request: Request, _body: bytes) -> Response:
    return answer(state.need("invoice", request.path_params["id"]))


def _put_accounting(state: OpsMergeState, request: Request, body: bytes) -> Response:
    with state.change() as now:
        return answer(invoices.put_accounting(state, now, request.path_params["id"], parsed(body)))


def _put_payment(state: OpsMergeState, request: Request, body: bytes) -> Response:
    at = request.path_params
    with state.change() as now:
        return answer(payments.put(state, now, at["id"], at["external_id"], parsed(body)))


def _delete_payment(state: OpsMergeState, request: Request, _body: bytes) -> Response:
    at = request.path_params
    with state.change() as now:
        payments.void(state, now, at["id"], at["external_id"])
    return Response(status_code=204)


async def _openapi(_request: Request) -> Response:
    text = files("sandbox.opsmerge").joinpath("openapi.yaml").read_text(encoding="utf-8")
    return Response(text, media_type="application/yaml")
