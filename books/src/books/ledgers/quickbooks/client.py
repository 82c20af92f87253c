"""Client of QuickBooks Online's HTTP API: addresses, encoding, answers; no accounting.

One method per kind of call. Every answer is classified by `quickbooks.faults`, so callers see only the four kinds of
fault. A read that fails ends the run with TRY_LATER: nothing was written and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import pendulum

from books.core import money
from books.core.faults import Exit, Fault, Halt, Reject, Retry, ServerError, Unknown
from books.ledgers.quickbooks import faults, query
from books.ledgers.quickbooks.settings import QuickBooksSettings
from books.transport.call import CallKind, Request, Response, Transport, Turn, Turns

MINOR_VERSION = "75"
"""The newest version; Intuit answers older ones as 75 since August 2025 (facts: "Minor versions")."""

BATCH_ITEMS_MAX = 30
REQUEST_ID_CHARS_MAX = 36
"""Of a batch; 50 elsewhere. Intuit joins it with the bId (facts: "Batch operations")."""
BID_CHARS_MAX = 10
STABLE_ORDER = "MetaData.CreateTime"
"""New rows come last, so no page shifts. QuickBooks has ignored ORDERBY Id since January 2026."""
PAGES_MAX = 10_000
"""Ten million rows. More is an endless loop, not a large company."""


@dataclass(frozen=True)
class BatchItem:
    """One operation of a batch. `body` is the entity's JSON, exactly as committed."""

    bid: str
    entity: str
    body: bytes
    operation: str = "create"
    options: str = ""
    """QuickBooks' optionsData, e.g. `allowduplicatedocnum`."""


@dataclass(frozen=True)
class BatchAnswer:
    """Per bId the object in QuickBooks' answer, or its fault; no bId is left out. `time` is the server's."""

    items: Mapping[str, dict[str, Any] | Fault]
    time: pendulum.DateTime | None
    vendor_request_id: str | None = None


def _turn_without_lock() -> AbstractContextManager[Turn]:
    """Return a turn for a company on which no other process works."""
    return nullcontext(Turn(lambda: 0.0, lambda: True))


class QuickBooksClient:
    """Calls on one company file. `calls` and `metered` count what this client has sent.

    Raises, from every method: the four kinds of `books.core.faults`. A read raises only Reject (the object does not
    exist) and Halt.
    """

    def __init__(self, settings: QuickBooksSettings, transport: Transport, turn: Turns = _turn_without_lock) -> None:
        self.turn = turn
        self._base = f"{settings.api_base}/v3/company/{settings.realm_id}"
        self._transport = transport
        self.calls = 0
        self.metered = 0

    def get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Read one address below the company, e.g. `preferences` or `payment/190`."""
        request = Request("GET", self._url(path), CallKind.READ, self._params(params), _HEADERS)
        return self._read(request)

    def query(self, statement: str) -> dict[str, Any]:
        """Run a query; return its `QueryResponse`, `{}` if nothing was found. Long statements are sent by POST."""
        try:
            answer = self._read(self._query_request(statement))
        except Reject as refused:
            raise _our_defect(refused) from refused
        response = answer.get("QueryResponse")
        return response if isinstance(response, dict) else {}

    def rows(self, entity: str, where: str = "", *, order_by: str = STABLE_ORDER) -> Iterator[dict[str, Any]]:
        """Yield every row of an entity, page by page. A page of fewer than a thousand rows is the last."""
        start = 1
        for _ in range(PAGES_MAX):
            found = self.query(query.page(entity, where, start_position=start, order_by=order_by)).get(entity, [])
            yield from found
            if len(found) < query.PAGE_ROWS_MAX:
                return
            start += len(found)
        raise Halt(f"{entity} has more rows than can be read", exit_code=Exit.FAILED, code="too_many_pages")

    def count(self, entity: str, where: str = "") -> int:
        """Return how many rows of an entity match."""
        return int(self.query(query.count(entity, where)).get("totalCount", 0))

    def post(
        self, path: str, body: bytes, params: Mapping[str, str] | None = None, kind: CallKind = CallKind.WRITE
    ) -> dict[str, Any]:
        """Send exactly these bytes as a write. Raises ServerError for a 5xx, Unknown for a time-out; no retry."""
        return faults.read(self._send(self._post_request(path, body, params, kind)))

    def batch(
        self, items: Sequence[BatchItem], request_id: str, prove: Callable[[], None] | None = None
    ) -> BatchAnswer:
        """Send up to 30 operations as one call under one key; each item succeeds or fails by itself.

        With `prove` it is sent once: a 429 and a refused connection are raised as Retry.

        Raises:
            ValueError: the batch exceeds a limit of Intuit's; nothing was sent.
        """
        _check_limits(items, request_id)
        request = self._post_request("batch", batch_body(items), {"requestid": request_id}, CallKind.BATCH)
        request = replace(request, prove=prove)
        response = self._send(request)
        answer = faults.read(response)
        tid = response.headers.get(faults.REQUEST_ID_HEADER)
        return BatchAnswer(_by_bid(items, answer.get("BatchItemResponse"), tid), server_time(answer), tid)

    def _read(self, request: Request) -> dict[str, Any]:
        try:
            return faults.read(self._send(request))
        except (Retry, Unknown) as fault:
            raise Halt(
                f"QuickBooks could not be read: {fault.message}",
                exit_code=Exit.TRY_LATER,
                code=fault.code or "unreachable",
                remedy="Run again later. What was done so far is recorded.",
                vendor_request_id=fault.vendor_request_id,
            ) from fault

    def _send(self, request: Request) -> Response:
        self.calls += 1
        response = self._transport.send(request)
        if request.kind is CallKind.READ and response.status < 300:  # noqa: PLR2004 -- Intuit meters reads that succeed
            self.metered += 1
        return response

    def _post_request(self, path: str, body: bytes, params: Mapping[str, str] | None, kind: CallKind) -> Request:
        return Request("POST", self._url(path), kind, self._params(params), _JSON_HEADERS, body)

    def _query_request(self, statement: str) -> Request:
        if len(statement) <= query.GET_STATEMENT_CHARS_MAX:
            return Request("GET", self._url("query"), CallKind.READ, self._params({"query": statement}), _HEADERS)
        headers = {**_HEADERS, "content-type": "application/text"}
        body = statement.encode()
        return Request("POST", self._url("query"), CallKind.READ, self._params(None), headers, body)

    def _url(self, path: str) -> str:
        return f"{self._base}/{path}"

    def _params(self, params: Mapping[str, str] | None) -> dict[str, str]:
        return {**(params or {}), "minorversion": MINOR_VERSION}


_HEADERS = {"accept": "application/json"}
_JSON_HEADERS = {**_HEADERS, "content-type": "application/json"}


def batch_body(items: Sequence[BatchItem]) -> bytes:
    """Return the batch's bytes: each item's bytes, unchanged, inside the envelope."""
    wrapped = (
        b'{"bId":%s,"operation":%s,%s"%s":%s}'
        % (
            money.dumps(item.bid).encode(),
            money.dumps(item.operation).encode(),
            b'"optionsData":%s,' % money.dumps(item.options).encode() if item.options else b"",
            item.entity.encode(),
            item.body,
        )
        for item in items
    )
    return b'{"BatchItemRequest":[' + b",".join(wrapped) + b"]}"


def _check_limits(items: Sequence[BatchItem], request_id: str) -> None:
    if not 1 <= len(items) <= BATCH_ITEMS_MAX:
        raise ValueError(f"a batch holds 1 to {BATCH_ITEMS_MAX} items")
    if len(request_id) > REQUEST_ID_CHARS_MAX:
        raise ValueError(f"a batch's request id has at most {REQUEST_ID_CHARS_MAX} characters")
    if len({item.bid for item in items}) != len(items) or any(len(item.bid) > BID_CHARS_MAX for item in items):
        raise ValueError(f"bIds differ and have at most {BID_CHARS_MAX} characters")


def _by_bid(items: Sequence[BatchItem], answers: Any, tid: str | None) -> dict[str, dict[str, Any] | Fault]:
    """Match answers by bId, never by position. An item without an answer may have happened."""
    by_bid = {str(answer.get("bId")): answer for answer in answers or [] if isinstance(answer, dict)}
    return {item.bid: _item_outcome(item, by_bid.get(item.bid), tid) for item in items}


def _item_outcome(item: BatchItem, answer: dict[str, Any] | None, tid: str | None) -> dict[str, Any] | Fault:
    if answer is None:
        return ServerError(
            "QuickBooks' answer to the batch leaves this item out", code="no_answer", vendor_request_id=tid
        )
    errors = faults.errors_in(answer)
    if errors:
        return faults.classify(errors, tid)
    entity = answer.get(item.entity)
    if isinstance(entity, dict):
        return entity
    return ServerError(
        "QuickBooks' answer to the batch has no result for this item", code="no_answer", vendor_request_id=tid
    )


def server_time(answer: Mapping[str, Any]) -> pendulum.DateTime | None:
    """Return the server's time in an answer; None if there is none, or epoch milliseconds (from the gateway)."""
    text = answer.get("time")
    if not isinstance(text, str):
        return None
    parsed = pendulum.parse(text)
    return parsed.in_timezone("UTC") if isinstance(parsed, pendulum.DateTime) else None


def _our_defect(refused: Reject) -> Halt:
    return Halt(
        refused.message,
        exit_code=Exit.FAILED,
        code=refused.code,
        remedy=refused.remedy,
        vendor_request_id=refused.vendor_request_id,
    )
