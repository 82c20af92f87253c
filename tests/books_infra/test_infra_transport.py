from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.responses import JSONResponse

from books.core.backoff import backoff_seconds
from books.core.clock import VirtualClock
from books.core.faults import Exit, Fault, Halt, Retry, Unknown
from books.store import Store
from books.transport import CallKind, Request, Response, build, build_with_turns, governor_of
from books.transport.access import AccessDeniedError, Meaning
from books.transport.http import HttpTransport
from books.transport.policy import retry_after_seconds, throttle_seconds, wait_seconds
from books.transport.retrying import Retrying

NOW = pendulum.datetime(2026, 11, 2, 9, 0, 0)
READ, WRITE, BATCH, IDEMPOTENT = CallKind.READ, CallKind.WRITE, CallKind.BATCH, CallKind.IDEMPOTENT
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answer(status: int, **headers: str) -> Response:
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


@pytest.mark.parametrize(
    ("kind", "tries", "outcome", "expected"),
    [
        (READ, 1, answer(200), None),
        (READ, 1, answer(400), None),
        (READ, 1, answer(401), None),
        (READ, 1, answer(302), None),
        (READ, 1, answer(503), 0.5),
        (READ, 2, answer(500), 1.0),
        (READ, 4, Unknown("cut"), 4.0),
        (READ, 5, answer(503), None),
        (READ, 5, Unknown("cut"), None),
        (IDEMPOTENT, 1, Unknown("cut"), 0.5),
        (WRITE, 1, answer(503), None),
        (BATCH, 1, answer(500), None),
        (WRITE, 1, Unknown("cut"), None),
        (BATCH, 1, Unknown("cut"), None),
        (WRITE, 1, Retry("refused"), 0.5),
        (BATCH, 3, Retry("refused"), 2.0),
        (BATCH, 5, Retry("refused"), None),
        (WRITE, 1, answer(429, retry_after="7"), 7.0),
        (BATCH, 9, answer(429), 63.0),
    ],
)
def test_only_what_cannot_do_harm_is_sent_again(kind: Any, tries: int, outcome: Any, expected: float | None) -> None:
    """A write that may have happened is never repeated; reads are, five times at most; a 429 waits as it says."""
    assert wait_seconds(kind, tries, outcome, NOW, 0.5) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "17"}, 17),
        ({"retry-after": " 17 "}, 17),
        ({"retry-after": "0"}, 1),
        ({"retry-after": "Mon, 02 Nov 2026 09:00:42 GMT"}, 42),
        ({"retry-after": "Mon, 02 Nov 2026 10:00:42 GMT", "date": "Mon, 02 Nov 2026 10:00:00 GMT"}, 42),
        ({"retry-after": "Mon, 02 Nov 2026 08:00:00 GMT"}, 1),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "99999999999999"}, 31 * 86_400),
    ],
)
def test_retry_after_is_read_in_both_shapes(headers: dict[str, str], expected: float | None) -> None:
    """Seconds or an HTTP date, measured against the vendor's own Date, within sense."""
    assert retry_after_seconds(headers, NOW) == expected


def test_waits_grow_with_jitter_and_a_429_without_a_time_waits_a_minute() -> None:
    """Full jitter under a doubling ceiling of at most 60 seconds; 60 seconds and a little after a bare 429."""
    assert [backoff_seconds(tries, 1.0) for tries in (1, 2, 3, 6, 7, 40)] == [1, 2, 4, 32, 60, 60]
    assert backoff_seconds(9, 0.0) == 0
    assert (throttle_seconds({}, NOW, 0.0), throttle_seconds({}, NOW, 0.5)) == (60, 63)


@contextmanager
def raw_server(payload: bytes, *, hold: bool = False) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers bytes, or a part of them, and hangs up, or holds the line."""
    listener, done, heard = socket.create_server(("127.0.0.1", 0)), threading.Event(), []

    def serve() -> None:
        connection, _address = listener.accept()
        with connection:
            heard.append(connection.recv(65536))
            connection.sendall(payload)
            if hold:
                done.wait(10)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/v3/x", heard
    done.set()
    thread.join(5)
    listener.close()


def send(url: str, transport: HttpTransport | None = None, **more: Any) -> Response:
    own = transport or HttpTransport(0.3)
    try:
        return own.send(Request("GET", url, READ, {"query": "select canary"}, **more))
    finally:
        own.close()


@pytest.mark.parametrize(
    ("payload", "hold", "code", "words"),
    [
        (b"", False, "cut", "broke"),
        (b"", True, "timeout", "no answer in time"),
        (OK[:-1], False, "cut", "broke"),
        (OK[:-1], True, "timeout", "no answer in time"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", False, "cut", "broke"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok", False, "cut", "broke"),
        (b"garbage\r\n\r\n", False, "cut", "broke"),
    ],
)
def test_an_answer_that_is_lost_is_unknown(payload: bytes, hold: bool, code: str, words: str) -> None:
    """Once sent, a time-out, a cut or an unreadable answer means: it may have happened. The query is not repeated."""
    with raw_server(payload, hold=hold) as (url, _heard), pytest.raises(Unknown, match=words) as caught:
        send(url)
    assert caught.value.code == code
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_what_never_left_may_be_sent_again() -> None:
    """A refused connection and an unknown name mean: it did not happen."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    for url in (f"http://127.0.0.1:{free}/x", "https://no-such-host.invalid/x"):
        with pytest.raises(Retry) as caught:
            send(url)
        assert caught.value.code == "no_connection"


@pytest.mark.parametrize("url", ["http://192.0.2.1/x", "https://bad host/x", "ftp://127.0.0.1/x"])
def test_impossible_requests_halt(url: str) -> None:
    """A token never leaves this machine in the clear, and a request that cannot be built is a misconfiguration."""
    with pytest.raises(Halt) as caught:
        send(url)
    assert caught.value.exit_code is Exit.MISCONFIGURED


def test_a_certificate_that_nobody_signed_is_refused(tmp_path: Path) -> None:
    """Whoever answers in Intuit's place has no certificate for it: the call is not made, and there is no switch."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(target=shake_hands, args=(listener, context))
        answering.start()
        with pytest.raises(Halt, match="is not trusted") as caught:
            send(f"https://localhost:{listener.getsockname()[1]}/x")
        answering.join(10)
    assert (caught.value.exit_code, caught.value.code) == (Exit.MISCONFIGURED, "certificate")


def shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    connection, _ = listener.accept()
    with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True):
        pass


def self_signed(folder: Path) -> Path:
    """A key and a certificate for `localhost`, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW.subtract(days=1), NOW.add(years=9))
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.pem").write_bytes(secret + certificate.public_bytes(Encoding.PEM))
    return folder / "server.pem"


def test_a_bad_header_does_not_show_its_value() -> None:
    """A token with a line break in it cannot be sent, and is not printed."""
    with pytest.raises(Halt) as caught:
        send("http://127.0.0.1:9/x", headers={"Authorization": "Bearer canary\nvalue"})
    assert "canary" not in str(caught.value)


def test_redirects_are_answers_and_names_are_lower_case() -> None:
    """A redirect is not followed: a token would go with it."""
    with raw_server(b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nX-Y: z\r\nContent-Length: 0\r\n\r\n") as (
        url,
        _,
    ):
        found = send(url)
    assert (found.status, found.headers["x-y"]) == (302, "z")


def test_answers_are_bounded_in_size() -> None:
    """An endless answer is cut off: it may have happened."""
    body = b"x" * 3000
    payload = b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n" + body
    with raw_server(payload) as (url, _heard), pytest.raises(Unknown, match="larger than 1000 bytes"):
        send(url, HttpTransport(1, body_bytes_max=1000))


def test_the_environment_does_not_interfere_on_loopback(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy is not asked for this machine, and .netrc does not replace our token."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login canary password canary")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with raw_server(OK) as (url, heard):
        assert send(url, headers={"Authorization": "Bearer ours"}).body == b"ok"
    assert b"Authorization: Bearer ours" in heard[0]


class Scripted:
    """A transport that plays outcomes, and counts."""

    def __init__(self, *outcomes: Response | Fault) -> None:
        self.outcomes, self.sent = list(outcomes), []

    def send(self, request: Request) -> Response:
        self.sent.append(request)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Fault):
            raise outcome
        return outcome


def retried(kind: CallKind, *outcomes: Any, wait: float = 300) -> tuple[Any, int, float]:
    clock, inner = VirtualClock(), Scripted(*outcomes)
    try:
        result: Any = Retrying(inner, clock, wait).send(Request("POST", "http://127.0.0.1/x", kind, body=b"1"))
    except Fault as fault:
        result = fault
    assert len({id(request) for request in inner.sent}) == 1, "a repeat is the same request"
    return result, len(inner.sent), clock.monotonic()


def test_repeats_are_bounded_in_tries_and_time() -> None:
    """Five tries, or what the time allows; then the last outcome as it is."""
    assert retried(READ, *[answer(503)] * 9)[:2] == (answer(503), 5)
    assert retried(READ, answer(503), answer(200))[:2] == (answer(200), 2)
    result, tries, _ = retried(BATCH, *[Retry("refused")] * 9)
    assert (type(result), tries) == (Retry, 5)
    assert retried(BATCH, answer(503), answer(200))[:2] == (answer(503), 1)
    result, tries, seconds = retried(READ, *[answer(429, retry_after="120")] * 9)
    assert (result.exit_code, tries, seconds) == (Exit.TRY_LATER, 3, 240)
    assert retried(BATCH, answer(429, retry_after="301"))[2] == 0
    assert retried(READ, answer(503), wait=0)[1] == 1


def test_what_has_to_be_proved_is_sent_once() -> None:
    """Whoever would wait looks again before sending: a 429 and a refused connection come up at once."""
    for outcome in (answer(429, retry_after="1"), Retry("refused")):
        clock, inner = VirtualClock(), Scripted(outcome)
        request = Request("POST", "http://127.0.0.1/x", BATCH, body=b"1", prove=lambda: None)
        with contextlib.suppress(Retry):
            assert Retrying(inner, clock, 300).send(request).status == 429
        assert (len(inner.sent), clock.monotonic()) == (1, 0)


@pytest.fixture
def turns(vendor: Any, settings_for: Callable[..., Any], store: Store, clock: VirtualClock) -> Any:
    """The whole way to a company, its turns, and its governor."""
    settings = settings_for(vendor.url, batches_per_minute=2)
    transport, turn = build_with_turns(settings, store, clock)
    governor = governor_of(settings, store, clock)

    def batch(prove: Callable[[], None] | None) -> Response:
        return transport.send(Request("POST", f"{vendor.url}/v3/company/1/x", BATCH, body=b"1", prove=prove))

    return SimpleNamespace(turn=turn, batch=batch, state=lambda: governor.state(settings.connection))


def test_a_proof_is_asked_right_before_each_sending(turns: Any, vendor: Any) -> None:
    """After a 401 it is asked again; what it raises is raised, and no byte of the call leaves."""
    proofs: list[int] = []
    with turns.turn() as turn:
        turn.reserve()
        vendor.service.api_statuses = [401]
        assert turns.batch(lambda: proofs.append(len(vendor.service.api_calls))).status == 200
        assert proofs == [0, 1]
        with pytest.raises(ZeroDivisionError):
            turns.batch(lambda: 1 // 0)  # type: ignore[arg-type,return-value]
        assert len(vendor.service.api_calls) == 2


def test_a_turn_holds_the_push_lock_and_takes_leave_ahead(turns: Any, clock: VirtualClock) -> None:
    """The grant is taken before the claim, and used by the next batch that has to be proved; others wait meanwhile."""
    with turns.turn() as turn:
        assert turns.state().push_in_flight
        assert turn.is_held()
        assert (turn.reserve(), turn.reserve()) == (0.0, 0.0)
        assert turns.batch(lambda: None).status == 200
        assert turns.state().used["batches_per_minute"] == 2
        assert turn.reserve() == pytest.approx(60, abs=1)
    assert not turns.state().push_in_flight


@pytest.fixture
def company(vendor: Any, settings_for: Callable[..., Any], store: Store, clock: VirtualClock) -> Any:
    """The whole way to a company: retrying, authorised, governed, real HTTP."""
    settings = settings_for(vendor.url)
    transport = build(settings, store, clock)
    governor = governor_of(settings, store, clock)

    def call(kind: CallKind = READ) -> Response:
        return transport.send(Request("GET", f"{vendor.url}/v3/company/1/x", kind))

    call.state = lambda: governor.state(settings.connection)
    return call


def test_a_call_goes_the_whole_way(company: Any, vendor: Any) -> None:
    """A read is authorised, counted, metered and answered."""
    found = company()
    assert (found.status, found.headers["intuit_tid"]) == (200, "1-abc")
    assert vendor.service.api_calls == [("GET", "access-canary-0001")]
    assert company.state().metered == 1
    assert company.state().used["requests_per_minute"] == 1


def test_a_429_pauses_the_company_for_all(company: Any, vendor: Any, clock: VirtualClock) -> None:
    """A 429 is waited out to the second, by everybody, and the call is made again, also a write."""
    vendor.service.api_statuses = [JSONResponse({}, 429, {"Retry-After": "42"})]
    assert company(BATCH).status == 200
    assert clock.monotonic() == pytest.approx(42, abs=0.1)
    vendor.service.api_statuses = [JSONResponse({}, 429, {"Retry-After": "4200"})]
    with pytest.raises(Halt) as caught:
        company(WRITE)
    assert caught.value.exit_code is Exit.TRY_LATER
    assert company.state().paused_seconds > 4100


def test_a_5xx_is_repeated_for_reads_only(company: Any, vendor: Any) -> None:
    """Reads try again; a batch gives its 5xx to the caller at once; five in a row open the breaker."""
    vendor.service.api_statuses = [500, 502]
    assert company().status == 200
    vendor.service.api_statuses = [503]
    assert company(BATCH).status == 503
    vendor.service.api_statuses = [503] * 4
    company()
    assert company.state().consecutive_failures == 0
    vendor.service.api_statuses = [503] * 5
    assert company().status == 503
    assert company.state().breaker_seconds > 0


def test_a_401_is_refreshed_once(company: Any, vendor: Any) -> None:
    """A token that died early is replaced, once; a second 401 is a dead connection."""
    company()
    vendor.service.access.clear()
    assert company(BATCH).status == 200
    assert vendor.service.refreshes == 2
    vendor.service.api_statuses = [401, 401]
    with pytest.raises(Halt, match="refused a token that was refreshed") as caught:
        company(BATCH)
    assert caught.value.exit_code is Exit.DEAD_CONNECTION
    assert vendor.service.refreshes == 3


def test_a_4xx_comes_up_at_once(company: Any, vendor: Any) -> None:
    """400 and 404 are the ledger's to read; a 403 says that the company is lost. One call, no repeat, no refresh."""
    for status in (400, 403, 404):
        vendor.service.api_statuses = [status]
        before, refreshes = len(vendor.service.api_calls), vendor.service.refreshes
        if status == 403:
            with pytest.raises(AccessDeniedError) as caught:
                company()
            assert caught.value.denial.meaning is Meaning.COMPANY_LOST
            assert (caught.value.exit_code, caught.value.code) == (Exit.DEAD_CONNECTION, "3100")
            assert vendor.service.refreshes == refreshes
        else:
            assert company().status == status
        assert len(vendor.service.api_calls) == before + 1


def test_a_store_that_fails_after_the_call_does_not_hide_the_answer(
    company: Any, vendor: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that was posted is told to the caller even when the governor cannot note it."""
    from books.transport.governor import Governor

    def gone(*args: Any, **kwargs: Any) -> None:
        raise Halt("no store", exit_code=Exit.TRY_LATER)

    monkeypatch.setattr(Governor, "record_answer", gone)
    assert company(BATCH).status == 200
