"""Send one HTTP request, bounded in time and size, and turn its failures into the four kinds of fault."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import requests
import urllib3

from books.core.clock import Clock, SystemClock
from books.core.faults import Exit, Halt, Retry, Unknown
from books.core.settings import is_loopback
from books.transport.call import Request, Response

CONNECT_SECONDS = 10
HTTP_TIMEOUT_SECONDS = 130
USER_AGENT = "opsmerge-books/0.1"

BODY_BYTES_MAX = 64 * 1024 * 1024
"""The largest answer we read; a page of 1,000 invoices has about 5 MB."""

CHUNK_BYTES = 64 * 1024

_NEVER_SENT = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.ProxyError,
)
"""urllib3's errors for a connection that was never made; the first includes names that do not resolve."""


class HttpTransport:
    """Sends one request over HTTP. Redirects are returned like any answer; nothing is retried here.

    Raises:
        Retry: the request was never sent (connection refused, name unknown, no connection within 10 s).
        Unknown: it may have arrived (no answer in time, connection reset, answer cut, too large or unreadable).
        Halt: MISCONFIGURED; plain http to another machine, a certificate that is not trusted, an invalid request.
    """

    def __init__(
        self,
        timeout_seconds: float = HTTP_TIMEOUT_SECONDS,
        user_agent: str = USER_AGENT,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        body_bytes_max: int = BODY_BYTES_MAX,
        clock: Clock | None = None,
    ) -> None:
        self._timeouts = (connect_seconds, timeout_seconds)
        self._body_bytes_max = body_bytes_max
        self._clock = clock or SystemClock()
        self._remote = _session(user_agent, trust_env=True)
        self._local = _session(user_agent, trust_env=False)

    def send(self, request: Request) -> Response:
        """Send the request once."""
        _refuse_plain_http(request.url)
        session = self._local if is_loopback(request.url) else self._remote
        place = _place(request)
        if request.prove is not None:
            request.prove()
        try:
            with session.request(
                request.method,
                request.url,
                params=dict(request.params) or None,
                headers=dict(request.headers),
                data=request.body,
                timeout=self._timeouts,
                allow_redirects=False,
                stream=True,
            ) as answer:
                body = b"".join(self._chunks(answer, place))
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Response(answer.status_code, headers, body)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _fault(error, place) from None  # the original names the whole URL, with its query

    def close(self) -> None:
        """Close the connections that are kept for the next call."""
        self._remote.close()
        self._local.close()

    def _chunks(self, answer: requests.Response, place: str) -> Iterator[bytes]:
        """Yield the body as it arrives; each read is bounded by the time-out, the whole by time and size."""
        deadline = self._clock.monotonic() + self._timeouts[1]
        size = 0
        while chunk := answer.raw.read1(CHUNK_BYTES, decode_content=True):
            size += len(chunk)
            if size > self._body_bytes_max:
                raise Unknown(f"the answer of {place} is larger than {self._body_bytes_max} bytes", code="too_large")
            if self._clock.monotonic() > deadline:
                raise Unknown(f"the answer of {place} was not complete in time", code="timeout")
            yield chunk


def _session(user_agent: str, *, trust_env: bool) -> requests.Session:
    """Return a session: proxies and certificates from the environment, or not; never a password from .netrc."""
    session = requests.Session()
    session.trust_env = trust_env
    session.auth = _no_auth
    session.headers["User-Agent"] = user_agent
    return session


def _no_auth(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    """Return the request unchanged. Without an `auth`, requests would replace our header by a .netrc entry."""
    return prepared


def _refuse_plain_http(url: str) -> None:
    if urlsplit(url).scheme != "https" and not is_loopback(url):
        raise Halt(
            f"{urlsplit(url).hostname or 'the address'} is not an https address",
            exit_code=Exit.MISCONFIGURED,
            code="plain_http",
            remedy="use an https:// address",
        )


def _place(request: Request) -> str:
    """Return method, host and path for messages, without the query: it holds customers' names."""
    parts = urlsplit(request.url)
    return f"{request.method} {parts.hostname}{parts.path}"


def _fault(error: Exception, place: str) -> Retry | Unknown | Halt:
    """Return the fault that a failed exchange means for the caller."""
    causes = tuple(_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return _halt(f"the certificate at {place} is not trusted: {_reason(causes)}", "certificate")
    if isinstance(error, requests.ConnectTimeout) or any(isinstance(cause, _NEVER_SENT) for cause in causes):
        return Retry(f"no connection for {place}: {_reason(causes)}", code="no_connection")
    if isinstance(error, ValueError) and not isinstance(error, requests.JSONDecodeError):
        return _halt(f"the request {place} cannot be built: {type(error).__name__}", "impossible_request")
    if any(
        isinstance(cause, (TimeoutError, requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError)) for cause in causes
    ):
        return Unknown(f"no answer in time from {place}", code="timeout")
    return Unknown(f"the connection for {place} broke: {_reason(causes)}", code="cut")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes, outermost first; requests and urllib3 wrap them in several ways."""
    seen: list[BaseException] = [error]
    for each in seen:
        yield each
        inner = (getattr(each, "reason", None), *each.args, each.__cause__, each.__context__)
        seen.extend(cause for cause in inner if isinstance(cause, BaseException) and cause not in seen)


def _reason(causes: tuple[BaseException, ...]) -> str:
    """Return the innermost cause in the system's words; never a whole message, which may hold the URL."""
    innermost = next((cause for cause in reversed(causes) if isinstance(cause, OSError) and cause.strerror), None)
    return str(innermost.strerror) if innermost is not None else type(causes[-1]).__name__


def _halt(message: str, code: str) -> Halt:
    return Halt(
        message, exit_code=Exit.MISCONFIGURED, code=code, remedy="check the address, the proxy and the certificates"
    )
