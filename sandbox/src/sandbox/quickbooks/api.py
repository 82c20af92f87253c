"""The routes below `/v3/company/{realm}`: reads, writes, queries, changes, batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.common.strikes import gateway_page
from sandbox.quickbooks import answers, batch, cdc, codec, extras, faults, gateway, idempotency, operations, query
from sandbox.quickbooks.books import Books
from sandbox.quickbooks.entities.taxes import create_tax_code
from sandbox.quickbooks.faults import ApiFault
from sandbox.quickbooks.schema import BY_PATH, Entity

if TYPE_CHECKING:
    from sandbox.quickbooks.state import QuickBooksState

REQUEST_ID = "requestid"


@dataclass(frozen=True)
class Call:
    """One authorised request, with its body read."""

    state: QuickBooksState
    caller: gateway.Caller
    method: str
    parts: tuple[str, ...]
    params: dict[str, str]
    body: bytes
    content_type: str
    json: bool

    @property
    def books(self) -> Books:
        """Return the books of the company called."""
        return self.caller.books

    def document(self) -> Any:
        """Return the JSON of the body.

        Raises:
            ApiFault: 2010 when it is none.
        """
        try:
            return codec.decode(self.body)
        except ValueError as error:
            raise faults.bad_property("body", f"is not JSON ({str(error)[:200]})") from error


def routes(state: QuickBooksState) -> list[Route]:
    """Return the one route of the API, and the exchange of everything below it."""

    async def handle(request: Request) -> Response:
        most = state.switches.url_characters_max
        if most and len(str(request.url)) > most:
            return gateway_page(414)
        body = await request.body()
        realm, parts = request.path_params["realm"], tuple(request.path_params["rest"].rstrip("/").split("/"))
        json = answers.wants_json(request.headers.get("accept", "")) or parts[-1] == "pdf"
        try:
            caller = gateway.admit(state, realm, request.headers.get("authorization", ""))
            params = dict(request.query_params)
            content_type = request.headers.get("content-type", "")
            call = Call(state, caller, request.method, parts, params, body, content_type, json)
            return _answer(call)
        except ApiFault as refusal:
            return answers.fault(refusal, state.clock.epoch(), state.switches, json=json)

    return [Route("/v3/company/{realm}/{rest:path}", handle, methods=["GET", "POST"])]


def _answer(call: Call) -> Response:
    if call.parts == ("batch",) and call.method == "POST":
        return _batch(call)
    gateway.throttle(call.state, call.caller)
    if handler := _read_handler(call):
        return _read(call, handler)
    if call.method == "GET":
        raise _no_such_path(call)
    return _write(call)


def _no_such_path(call: Call) -> ApiFault:
    fault = faults.unsupported(call.parts[0][:60])
    return fault if BY_PATH.get(call.parts[0].lower()) else ApiFault(*fault.errors, status=404)


# -- reads


def _read_handler(call: Call) -> Callable[[Call], dict[str, Any] | Response] | None:
    head, count = call.parts[0].lower(), len(call.parts)
    if head == "query" and count == 1:
        return _query
    if call.method != "GET":
        return None
    if head in _NAMED and count <= _NAMED[head][1]:
        return _NAMED[head][0]
    if head in BY_PATH and count == 2:  # noqa: PLR2004 -- entity and id
        return _one
    return _pdf if head == "invoice" and call.parts[-1] == "pdf" else None


def _read(call: Call, handler: Callable[[Call], dict[str, Any] | Response]) -> Response:
    """Run a read; it is metered when it succeeds."""
    gateway.check_quota(call.state, call.caller)
    result = handler(call)
    gateway.meter(call.state, call.caller)
    if isinstance(result, Response):
        return result
    return answers.success(result, call.state.clock.epoch(), call.state.switches, json=call.json)


def _query(call: Call) -> dict[str, Any]:
    """Run a query: GET with `query=`, or POST with the statement as the body."""
    text = call.params.get("query")
    if call.method == "POST" and text is None:
        try:
            text = call.body.decode()
        except UnicodeDecodeError as error:
            raise faults.query_fault("4000", "QueryParserError: the query is not UTF-8") from error
    if not text:
        raise faults.query_fault("4000", "QueryParserError: the query is empty")
    return {"QueryResponse": query.run_query(call.books, text)}


def _cdc(call: Call) -> dict[str, Any]:
    return {
        "CDCResponse": [cdc.changes(call.books, call.params.get("entities", ""), call.params.get("changedSince", ""))]
    }


def _company_info(call: Call) -> dict[str, Any]:
    return {"CompanyInfo": call.books.company.info()}


def _preferences(call: Call) -> dict[str, Any]:
    return {"Preferences": call.books.company.preferences()}


def _exchange_rate(call: Call) -> dict[str, Any]:
    return {"ExchangeRate": extras.exchange_rate(call.books, call.params)}


_NAMED: dict[str, tuple[Callable[[Call], dict[str, Any]], int]] = {
    "cdc": (_cdc, 1),
    "companyinfo": (_company_info, 2),
    "preferences": (_preferences, 1),
    "exchangerate": (_exchange_rate, 1),
}


def _one(call: Call) -> dict[str, Any]:
    entity = BY_PATH[call.parts[0].lower()]
    raw = call.books.raw(entity.name, call.parts[1])
    if raw is None:
        raise faults.not_found()
    return {entity.name: codec.Raw(raw)}


def _pdf(call: Call) -> Response:
    return Response(extras.invoice_pdf(call.books, call.parts[1]), 200, answers.tid(), "application/pdf")


# -- writes


def _write(call: Call) -> Response:
    """Run one write: replayed when its request id is known, else run and stored in one transaction."""
    request_id = call.params.get(REQUEST_ID, "")
    idempotency.check_single(request_id)
    key = idempotency.Key(request_id, app=call.caller.app) if request_id else None
    identity = "/".join(call.parts).encode() + b"\n" + call.body
    stored = idempotency.recall(call.books, key, identity) if key else None
    if stored is None:
        stored = _carry_out(call, key, identity)
    if stored.status != 200:  # noqa: PLR2004 -- HTTP's own number
        return Response(stored.body, stored.status, answers.tid(), "application/json")
    return answers.raw_success(stored.body, call.state.clock.epoch(), json=call.json)


def _carry_out(call: Call, key: idempotency.Key | None, identity: bytes) -> idempotency.Stored:
    try:
        with call.state.writing(call.books, by_app=True):
            body = answers.content(_written(call), call.state.clock.epoch(), call.state.switches)
            stored = idempotency.Stored(200, body)
            if key:
                idempotency.remember(call.books, key, identity, stored)
            return stored
    except ApiFault as refusal:
        if key:
            _remember_refusal(call, key, identity, refusal)
        raise


def _remember_refusal(call: Call, key: idempotency.Key, identity: bytes, refusal: ApiFault) -> None:
    shown = answers.fault(refusal, call.state.clock.epoch(), call.state.switches, json=True)
    stored = idempotency.Stored(refusal.status, bytes(shown.body))
    idempotency.remember(call.books, key, identity, stored)


def _written(call: Call) -> dict[str, Any]:
    head = call.parts[0].lower()
    if call.parts == ("taxservice", "taxcode"):
        return create_tax_code(call.books, call.document())
    entity = BY_PATH.get(head)
    if head == "invoice" and len(call.parts) == 3 and call.parts[2] == "send":  # noqa: PLR2004 -- invoice/id/send
        return {"Invoice": extras.send_invoice(call.books, call.parts[1], call.params.get("sendTo"))}
    if entity is None or len(call.parts) != 1:
        raise _no_such_path(call)
    _check_content_type(call)
    return {entity.name: _operate(call, entity)}


def _check_content_type(call: Call) -> None:
    if "json" not in call.content_type.lower():
        raise faults.bad_property("Content-Type", f"must be application/json, not {call.content_type[:60] or 'absent'}")


def _operate(call: Call, entity: Entity) -> dict[str, Any]:
    operation = call.params.get("operation", "").lower()
    options = frozenset(call.params.get("include", "").lower().split(","))
    if operation in ("", "create") or (operation == "update" and "void" not in options):
        return operations.save(call.books, entity.name, call.document(), options)
    if operation == "update":
        operation = "void"
    return operations.write(call.books, entity.name, operation, call.document(), options)


def _batch(call: Call) -> Response:
    """Run all items in one transaction of the database, each in a savepoint of its own."""
    items, refusal = [], None
    try:
        items = batch.items_of(call.document())
    except ApiFault as fault:
        refusal = fault
    gateway.throttle(call.state, call.caller, batch_items=len(items))
    if refusal:
        raise refusal
    reads = sum("Query" in item for item in items)
    if reads:
        gateway.check_quota(call.state, call.caller)
    with call.state.writing(call.books, by_app=True):
        results = batch.run(call.books, items, call.params.get(REQUEST_ID, ""), call.caller.app)
    if reads:
        gateway.meter(call.state, call.caller, reads if call.state.switches.batch_counts_as == "items" else 1)
    body = {"BatchItemResponse": results}
    return answers.success(body, call.state.clock.epoch(), call.state.switches, json=call.json)
