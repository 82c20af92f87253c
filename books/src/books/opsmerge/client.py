"""Client of the OpsMerge API: returns exact records, and raises faults by what the caller must do next.

    401, 403, 404 of a list, a redirect   Halt MISCONFIGURED (78), naming the key, the scope or the address
    no connection, 5xx, 429 for too long, an unreadable page   Halt TRY_LATER (75), naming the host
    400, 404, 409, 422 of one record      Reject
    a field that is not as assumed        Halt FAILED (1), naming the field

Every write of this API is idempotent (a PUT under our own id, or a DELETE), so the transport may repeat it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NoReturn
from urllib.parse import urlsplit

from books.core import money
from books.core.clock import Clock
from books.core.faults import Exit, Fault, Halt, Reject, Retry, Unknown
from books.opsmerge import api
from books.opsmerge.api import Accounting, ErrorBody, Listing, Operation
from books.opsmerge.fields import UnreadableError
from books.opsmerge.payments import Entry, Settlement
from books.opsmerge.settings import OpsMergeSettings
from books.transport.call import CallKind, Request, Response, Transport

PAGES_MAX = 50_000
"""Pages of one list in one run: ten million rows. More is an endless loop."""

HTTP_TIMEOUT_SECONDS = 60
WAIT_SECONDS_MAX = 300
"""The longest wait for Retry-After or between retries; beyond it the run ends with exit code 75."""

logger = logging.getLogger(__name__)

Record = dict[str, Any]


class OpsMergeClient:
    """The calls that the bridge makes. `transport` adds time-outs, Retry-After and bounded retries."""

    def __init__(self, settings: OpsMergeSettings, transport: Transport) -> None:
        self._settings = settings
        self._transport = transport

    @property
    def source(self) -> str:
        """The base URL, which identifies this OpsMerge."""
        return self._settings.api_url

    @property
    def is_test(self) -> bool:
        """Whether non-production connections may write to this OpsMerge."""
        return self._settings.is_test

    def scopes(self) -> frozenset[str]:
        """Return the key's scopes, as `family:level`. It is also the cheapest check of key and address."""
        answer = self._json(api.WHO, api.WHO.at())
        return frozenset(str(scope) for scope in answer.get("scopes") or ())

    def records(
        self,
        listing: Listing,
        *,
        params: Mapping[str, str] | None = None,
        page_size: int = api.PAGE_SIZE_MAX,
        is_strict: bool = True,
    ) -> Iterator[Record]:
        """Yield all records of a list, page by page, in the API's order.

        If not `is_strict`, a value that cannot be read is yielded unchanged, with a warning: the receiver of the record
        rejects that one and processes the others.

        Raises:
            Halt: see the module; also FAILED if the API returns the same cursor twice, which would never end.
        """
        for rows in self._pages(listing.operation, {**(params or {}), api.LIMIT: str(page_size)}):
            for row in rows:
                yield self._record(listing, row) if is_strict else self._lenient_record(listing, row)

    def invoice(self, invoice_id: str) -> Record:
        """Return one invoice.

        Raises:
            Reject: OpsMerge does not have it.
        """
        answer = self._json(api.GET_INVOICE, api.GET_INVOICE.at(id=invoice_id))
        return self._record(api.INVOICES, answer)

    def put_accounting(self, invoice_id: str, accounting: Accounting) -> Record:
        """Write an invoice's accounting block; return the updated invoice.

        Raises:
            Reject: OpsMerge does not have the invoice, or refuses the content.
        """
        answer = self._json(api.PUT_ACCOUNTING, api.PUT_ACCOUNTING.at(id=invoice_id), accounting.body())
        return self._record(api.INVOICES, answer)

    def put_payment(self, invoice_id: str, external_id: str, payment: Settlement) -> Entry:
        """Create or change the payment with our id; return the updated payment.

        Raises:
            Reject: OpsMerge does not have the invoice, or the payment does not fit it.
        """
        path = api.PUT_PAYMENT.at(id=invoice_id, external_id=external_id)
        answer = self._json(api.PUT_PAYMENT, path, api.payment_body(payment))
        return api.entry(self._record(api.PAYMENTS, answer))

    def void_payment(self, invoice_id: str, external_id: str) -> bool:
        """Void the payment with our id; return False if OpsMerge has none, which is equally good."""
        path = api.VOID_PAYMENT.at(id=invoice_id, external_id=external_id)
        response = self._send(api.VOID_PAYMENT, path)
        if response.status == 404:  # noqa: PLR2004 -- HTTP
            return False
        self._check(api.VOID_PAYMENT, path, response)
        return True

    def _pages(self, operation: Operation, params: Mapping[str, str]) -> Iterator[list[Any]]:
        """Yield the pages of a list until there is no next cursor."""
        seen: set[str] = set()
        cursor: str | None = None
        while True:
            page = self._json(operation, operation.at(), params=_with_cursor(params, cursor))
            yield self._rows(operation, page)
            cursor = page.get(api.NEXT_CURSOR)
            if not cursor:
                return
            if cursor in seen or len(seen) >= PAGES_MAX:
                raise self._endless(operation)
            seen.add(cursor)

    def _rows(self, operation: Operation, page: Mapping[str, Any]) -> list[Any]:
        rows = page.get(api.ROWS)
        if not isinstance(rows, list):
            raise _unexpected(f"GET {operation.path}: {api.ROWS} is not a list")
        return rows

    def _lenient_record(self, listing: Listing, row: Any) -> Record:
        problems: list[UnreadableError] = []
        try:
            record = listing.record(row, problems)
        except UnreadableError as error:
            raise _unexpected(f"{listing.name} {_name_of(row)}: {error}") from None
        for problem in problems:
            logger.warning("%s %s: %s. It is passed on unchanged", listing.name, _name_of(row), problem)
        return record

    def _record(self, listing: Listing, row: Any) -> Record:
        try:
            return listing.record(row)
        except UnreadableError as error:
            raise _unexpected(f"{listing.name} {_name_of(row)}: {error}") from None

    def _json(
        self,
        operation: Operation,
        path: str,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Record:
        """Send the request, check the answer, and parse it as a JSON object."""
        response = self._send(operation, path, body, params)
        self._check(operation, path, response)
        answer = _parsed(response)
        if not isinstance(answer, dict):
            raise Halt(
                f"{self._settings.host} did not answer {operation.method} {path} with a JSON object",
                exit_code=Exit.TRY_LATER,
                code="not_json",
                remedy="run again later; if it happens again, check that api_url is the address of the OpsMerge API",
            )
        return answer

    def _send(
        self,
        operation: Operation,
        path: str,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Response:
        try:
            return self._transport.send(self._request(operation, path, body, params))
        except (Retry, Unknown) as fault:
            raise self._unreachable(fault) from fault

    def _request(
        self,
        operation: Operation,
        path: str,
        body: Mapping[str, Any] | None,
        params: Mapping[str, str] | None,
    ) -> Request:
        headers = {"Authorization": f"Bearer {self._settings.api_key}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return Request(
            method=operation.method,
            url=self._settings.api_url + path,
            kind=CallKind.READ if operation.method == "GET" else CallKind.IDEMPOTENT,
            params=params or {},
            headers=headers,
            body=None if body is None else money.dumps(body).encode(),
        )

    def _check(self, operation: Operation, path: str, response: Response) -> None:
        """Raise the fault for any status but success."""
        if 200 <= response.status < 300:  # noqa: PLR2004 -- HTTP
            return
        self._refuse(operation, path, response.status, api.error_body(_parsed(response)))

    def _refuse(self, operation: Operation, path: str, status: int, error: ErrorBody) -> NoReturn:
        if status == 401:  # noqa: PLR2004 -- HTTP
            raise self._bad_key(error)
        if status == 403:  # noqa: PLR2004 -- HTTP
            raise self._missing_scope(operation.scope, error)
        if status == 429 or status >= 500:  # noqa: PLR2004 -- HTTP
            raise self._not_now(status, error)
        if status < 400 or "{" not in operation.path:  # noqa: PLR2004 -- HTTP; a path without an id is no record's
            raise self._wrong_address(operation, status, error)
        raise Reject(
            f"OpsMerge refused {operation.method} {path} with {status}: {error.message or 'no reason given'}",
            code=error.code or f"http_{status}",
            remedy=_REMEDIES.get(status, "look at the invoice in OpsMerge"),
            vendor_request_id=error.request_id,
        )

    def _bad_key(self, error: ErrorBody) -> Halt:
        return Halt(
            f"OpsMerge at {self._settings.host} does not accept the API key",
            exit_code=Exit.MISCONFIGURED,
            code="bad_api_key",
            remedy="create a new key in OpsMerge under API access and set api_key",
            vendor_request_id=error.request_id,
        )

    def _missing_scope(self, scope: str, error: ErrorBody) -> Halt:
        return Halt(
            f"the OpsMerge API key lacks the scope {scope}",
            exit_code=Exit.MISCONFIGURED,
            code="missing_scope",
            remedy=f"add {scope} to the key in OpsMerge under API access, or set api_key to a key that has it",
            vendor_request_id=error.request_id,
        )

    def _not_now(self, status: int, error: ErrorBody) -> Halt:
        limited = status == 429  # noqa: PLR2004 -- HTTP
        return Halt(
            f"{'rate limited: ' if limited else ''}OpsMerge at {self._settings.host} keeps answering {status}",
            exit_code=Exit.TRY_LATER,
            code="rate_limited" if limited else "unavailable",
            remedy="run again later: nothing is lost",
            vendor_request_id=error.request_id,
        )

    def _wrong_address(self, operation: Operation, status: int, error: ErrorBody) -> Halt:
        return Halt(
            f"{self._settings.host} answered {operation.method} {operation.path} with {status}"
            + (f": {error.message}" if error.message else ""),
            exit_code=Exit.MISCONFIGURED,
            code=error.code or f"http_{status}",
            remedy="check api_url; if it is right, run `books contract-check`: it lists where the API differs",
            vendor_request_id=error.request_id,
        )

    def _unreachable(self, fault: Fault) -> Halt:
        return Halt(
            f"OpsMerge at {self._settings.host} cannot be reached: {fault.message}",
            exit_code=Exit.TRY_LATER,
            code=fault.code or "unreachable",
            remedy="check the network and api_url, then run again: nothing is lost",
        )

    def _endless(self, operation: Operation) -> Halt:
        return Halt(
            f"{self._settings.host} returned a cursor of GET {operation.path} twice: the list would never end",
            exit_code=Exit.FAILED,
            code="endless_list",
            remedy="report it to OpsMerge; run again later",
        )


_REMEDIES = {
    404: "check that the invoice still exists in OpsMerge",
    409: "look at the invoice and its payments in OpsMerge: what was sent does not fit them",
    422: "run `books contract-check`: OpsMerge does not accept a field of this record",
}


def open_client(settings: OpsMergeSettings, clock: Clock) -> OpsMergeClient:
    """Return a client over HTTP, with time-outs, Retry-After and bounded retries."""
    from books.transport.http import HttpTransport
    from books.transport.retrying import Retrying

    transport = HttpTransport(timeout_seconds=HTTP_TIMEOUT_SECONDS, clock=clock)
    return OpsMergeClient(settings, Retrying(transport, clock=clock, max_wait_seconds=WAIT_SECONDS_MAX))


def fetch_description(url: str, api_url: str, api_key: str | None, clock: Clock) -> bytes:
    """Return the OpenAPI document at an address. The API key is sent only if required, and only to its own host.

    Raises:
        Halt: MISCONFIGURED; there is none, or it needs a login. TRY_LATER; the host cannot be reached.
    """
    from books.transport.http import HttpTransport
    from books.transport.retrying import Retrying

    transport = Retrying(HttpTransport(timeout_seconds=HTTP_TIMEOUT_SECONDS, clock=clock), clock, WAIT_SECONDS_MAX)
    request = Request("GET", url, CallKind.READ, headers={"Accept": "application/yaml, application/json"})
    try:
        answer = transport.send(request)
        if answer.status in (401, 403) and api_key and urlsplit(url).netloc == urlsplit(api_url).netloc:
            answer = transport.send(replace(request, headers={"Authorization": f"Bearer {api_key}"}))
    except (Retry, Unknown) as fault:
        raise _no_description(fault.message, Exit.TRY_LATER) from fault
    if answer.status != 200:  # noqa: PLR2004 -- HTTP
        later = answer.status == 429 or answer.status >= 500  # noqa: PLR2004 -- HTTP
        raise _no_description(
            f"{urlsplit(url).netloc} answers {answer.status}", Exit.TRY_LATER if later else Exit.MISCONFIGURED
        )
    return answer.body


def _no_description(problem: str, exit_code: Exit) -> Halt:
    return Halt(
        f"the description of the OpsMerge API cannot be read: {problem}",
        exit_code=exit_code,
        code="no_description",
        remedy="run again later, or save the document in a browser and pass it with --file",
    )


def _with_cursor(params: Mapping[str, str], cursor: str | None) -> dict[str, str]:
    return dict(params) if cursor is None else {**params, api.CURSOR: cursor}


def _parsed(response: Response) -> Any:
    """Return the body as JSON; None if it is not JSON, which no caller accepts."""
    try:
        return response.json()
    except ValueError:
        return None


def _name_of(row: Any) -> str:
    """Return the row's number, else its id, for messages."""
    if not isinstance(row, Mapping):
        return "(not an object)"
    return str(row.get("number") or row.get("id") or "(without id)")


def _unexpected(message: str) -> Halt:
    return Halt(
        f"OpsMerge's answer is not as expected: {message}",
        exit_code=Exit.FAILED,
        code="unexpected_answer",
        remedy="run `books contract-check`: it lists where the API differs from what this version expects",
    )
