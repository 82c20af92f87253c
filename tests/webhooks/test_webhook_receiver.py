"""The receiver over real HTTP: what it takes, what it refuses, and that nobody can hold it up."""

from __future__ import annotations

import http.client
import logging
import signal
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest
import requests
from sqlalchemy import func, select, update
from webhook_bodies import CONNECTION, TOKEN, body_of, cloud_event
from webhook_process import FORKING, receive

from books.ledgers.quickbooks.webhook import QuickBooksWebhooks
from books.store import Store
from books.store.tables_webhooks import webhook_delivery, webhook_notice
from books.webhooks import receiver as limits
from books.webhooks import server
from books.webhooks.inbox import Inbox, SplitResult
from books.webhooks.trigger import LONGEST_SECONDS, QUIET_SECONDS, RETRY_SECONDS, RETRY_SECONDS_MAX, due_in
from sandbox.quickbooks.webhooks import sign

KILLS = 20


def wait_for(condition, seconds=15):
    """Poll until it holds; the bound is for a broken promise, not for timing."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def notices(store: Store) -> int:
    with store.read() as connection:
        return connection.execute(select(func.count()).select_from(webhook_notice)).scalar_one()


def test_a_delivery_is_kept_before_the_answer_and_split_after_it(receiver):
    """After a 200 the delivery is in the store; soon after, its notices are."""
    assert receiver.post(body_of(cloud_event("190"), cloud_event("191"))) == 200
    with receiver.store.read() as connection:
        assert connection.execute(select(func.count()).select_from(webhook_delivery)).scalar_one() == 1
    wait_for(lambda: notices(receiver.store) == 2)


def test_what_cannot_be_read_is_answered_with_200(receiver):
    """A signed body that is rubbish is acknowledged, so that it does not block what comes after it."""
    assert receiver.post(b"rubbish") == 200
    assert receiver.post(b"") == 200


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "webhooks/quickbooks", 405), ("POST", "other", 404)])
def test_nothing_else_is_served(receiver, method, path, status):
    """One address, one method."""
    assert requests.request(method, f"{receiver.url}/{path}", timeout=10).status_code == status


def test_a_body_beyond_the_limit_is_refused(receiver):
    """A megabyte passes, a byte more does not: by its announced length, and by what comes where none is announced."""
    most = b" " * limits.BODY_BYTES_MAX
    assert receiver.post(most) == 200
    assert receiver.post(most + b" ") == 413
    chunks = iter([most, b" "])
    answer = requests.post(
        f"{receiver.url}/webhooks/quickbooks", data=chunks, headers={"intuit-signature": sign(most, TOKEN)}, timeout=30
    )
    assert answer.status_code == 413


def test_a_body_that_does_not_come_is_given_up(receiver, monkeypatch):
    """A client that announces a body and sends a part of it is answered with 408, and holds nobody up."""
    monkeypatch.setattr(limits, "BODY_SECONDS_MAX", 0.2)
    connection = http.client.HTTPConnection(urlsplit(receiver.url).netloc, timeout=20)
    connection.putrequest("POST", "/webhooks/quickbooks")
    connection.putheader("Content-Length", "100")
    connection.endheaders(b"[")
    assert receiver.post(body_of(cloud_event())) == 200
    assert connection.getresponse().status == 408
    connection.close()


def test_a_client_that_leaves_does_no_harm(receiver):
    """A connection that ends within a body leaves nothing behind."""
    with socket.create_connection(urlsplit(receiver.url).netloc.split(":"), timeout=10) as raw:
        raw.sendall(b"POST /webhooks/quickbooks HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[")
    assert receiver.post(body_of(cloud_event())) == 200


def test_a_store_that_cannot_be_written_is_a_503(receiver, monkeypatch):
    """QuickBooks is told to send it again; once the store can be written, it is taken."""
    monkeypatch.setattr(receiver.receiver, "_seconds", 0.2)
    body = body_of(cloud_event())
    with receiver.store.begin():
        assert receiver.post(body) == 503
    monkeypatch.undo()
    assert receiver.post(body) == 200
    wait_for(lambda: notices(receiver.store) == 1)


def test_health_shows_how_far_behind_the_reading_is(receiver):
    """Notices that nobody has read yet count, with the age of the oldest; read, they are gone."""
    receiver.post(body_of(cloud_event("190")))
    wait_for(lambda: receiver.health()["lag"]["notices_unread"] == 1)
    assert receiver.health()["lag"]["oldest_seconds"] >= 0
    inbox = Inbox(receiver.store, receiver.receiver.dialect, "sandbox")
    inbox.mark_read(CONNECTION, "payment", inbox.noticed(CONNECTION, "payment", 0).seq)
    assert receiver.health()["lag"] == {"deliveries_unsplit": 0, "notices_unread": 0, "oldest_seconds": None}


def test_an_impossible_delivery_leaves_the_receiver_reading(receiver):
    """After a signed notice with an impossible time, the next one is read and nothing waits."""
    assert receiver.post(body_of(cloud_event("190", time="9999-12-31T23:59:59-12:00"))) == 200
    assert receiver.post(body_of(cloud_event("191"))) == 200
    wait_for(lambda: notices(receiver.store) == 1)
    assert receiver.health()["lag"]["deliveries_unsplit"] == 0


def test_the_splitter_outlives_any_exception(receiver, monkeypatch):
    """What was not foreseen is logged, and splitting is tried again."""
    monkeypatch.setattr(limits, "SPLIT_RETRY_SECONDS", 0.02)
    split = receiver.receiver.inbox.split

    def once(*arguments):
        monkeypatch.setattr(receiver.receiver.inbox, "split", split)
        raise RecursionError

    monkeypatch.setattr(receiver.receiver.inbox, "split", once)
    receiver.post(body_of(cloud_event("190")))
    wait_for(lambda: notices(receiver.store) == 1)


def test_health_says_when_splitting_stands_still(receiver, monkeypatch):
    """Deliveries that have waited beyond the limit are a 503 with the reason, not ok."""
    monkeypatch.setattr(receiver.receiver.inbox, "split", lambda *_: SplitResult())
    receiver.post(body_of(cloud_event("190")))
    assert requests.get(f"{receiver.url}/healthz", timeout=10).status_code == 200
    with receiver.store.begin() as connection:
        long_ago = receiver.store.now(connection).subtract(seconds=301)
        connection.execute(update(webhook_delivery).values(received_at=long_ago))
    answer = requests.get(f"{receiver.url}/healthz", timeout=10)
    assert (answer.status_code, answer.json()["status"]) == (503, "splitting stands still")


@pytest.mark.parametrize(
    ("first_at", "last_at", "failures", "failed_at", "due_at"),
    [
        (100, 100, 0, 0, 100 + QUIET_SECONDS),
        (100, 100.5, 0, 0, 100.5 + QUIET_SECONDS),
        (100, 100 + LONGEST_SECONDS, 0, 0, 100 + LONGEST_SECONDS),
        (100, 100, 1, 99, 99 + RETRY_SECONDS),
        (100, 100, 3, 99, 99 + 4 * RETRY_SECONDS),
        (100, 100, 500, 99, 99 + RETRY_SECONDS_MAX),
        (100_000, 100_000, 2, 99, 100_000 + QUIET_SECONDS),
    ],
)
def test_when_the_job_is_due(first_at, last_at, failures, failed_at, due_at):
    """Soon after the last of many notices, not later than five seconds after the first; later after failures."""
    assert due_in(first_at, first_at, last_at, failures, failed_at) == pytest.approx(due_at - first_at)


class Process:
    """A receiver in a process of its own, as `books webhooks serve` starts it, without Meltano around it."""

    def __init__(self, store_url: str, job_words: str | None = None, request_seconds: float | None = None) -> None:
        self._given = (store_url, job_words, request_seconds)
        self.start()

    def start(self) -> None:
        port, far_end = FORKING.Pipe(duplex=False)
        self.process = FORKING.Process(target=receive, args=(far_end, *self._given), daemon=True)
        self.process.start()
        far_end.close()
        self.url = f"http://127.0.0.1:{port.recv()}"

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def stop(self) -> int | None:
        self.process.terminate()
        self.process.join(30)
        return self.process.exitcode


@pytest.fixture
def process(tmp_path):
    started = Process(f"sqlite:///{tmp_path}/books/books.db")
    yield started
    started.kill()


def test_no_acknowledged_delivery_is_lost_over_twenty_kills(process, tmp_path):
    """SIGKILL at any moment under load, twenty times: what was answered with 200 is in the store, and is split."""
    acknowledged: list[str] = []
    going = threading.Event()
    going.set()

    def send(worker: int) -> None:
        number = 0
        session = requests.Session()
        while going.is_set():
            number += 1
            key = f"{worker}-{number}"
            body = body_of(cloud_event(key))
            try:
                answer = session.post(
                    f"{process.url}/webhooks/quickbooks",
                    data=body,
                    headers={"intuit-signature": sign(body, TOKEN)},
                    timeout=5,
                )
            except requests.RequestException:
                continue
            if answer.status_code == 200:
                acknowledged.append(key)

    workers = [threading.Thread(target=send, args=(each,)) for each in range(3)]
    for worker in workers:
        worker.start()
    for _ in range(KILLS):
        before = len(acknowledged)
        wait_for(lambda before=before: len(acknowledged) > before + 5, 60)
        process.kill()
        process.start()
    going.clear()
    for worker in workers:
        worker.join()
    store = Store.open(f"sqlite:///{tmp_path}/books/books.db")
    wait_for(lambda: Inbox(store, QuickBooksWebhooks(()), "sandbox").backlog([]).unsplit == 0, 60)
    with store.read() as connection:
        noticed = set(connection.execute(select(webhook_notice.c.entity_id)).scalars())
    store.close()
    assert len(acknowledged) > KILLS * 5
    assert set(acknowledged) - noticed == set()


def test_it_stops_in_order(process):
    """SIGTERM ends the receiver; what it acknowledged is there for the next one."""
    body = body_of(cloud_event("190"))
    signed = {"intuit-signature": sign(body, TOKEN)}
    assert requests.post(f"{process.url}/webhooks/quickbooks", data=body, headers=signed, timeout=10).status_code == 200
    assert process.stop() in (0, -signal.SIGTERM)


def test_a_head_that_does_not_come_is_given_up(tmp_path):
    """A client that sends its request letter by letter is cut off."""
    process = Process(f"sqlite:///{tmp_path}/books/books.db", request_seconds=0.3)
    with socket.create_connection(urlsplit(process.url).netloc.split(":"), timeout=20) as raw:
        raw.sendall(b"POST /webhooks/quickbooks HTT")
        assert raw.recv(100) == b""
    process.kill()


ANSWERED = {
    "health": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "not found, its body not sent": b"POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n",
    "two at once": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 2,
}


@pytest.mark.parametrize("answered", ANSWERED.values(), ids=ANSWERED)
def test_a_later_head_that_does_not_come_is_given_up(tmp_path, answered):
    """After an answer the next request has the same time: one that drips in on a kept connection is cut off."""
    process = Process(f"sqlite:///{tmp_path}/books/books.db", request_seconds=0.5)
    with socket.create_connection(urlsplit(process.url).netloc.split(":"), timeout=20) as raw:
        raw.sendall(answered)
        raw.settimeout(0.1)
        began = time.monotonic()
        while not _has_ended(raw):
            assert time.monotonic() < began + 10, "the connection is still open"
    process.kill()


def _has_ended(raw: socket.socket) -> bool:
    """Send one more letter of the next request; whether the other side has closed."""
    try:
        raw.sendall(b"X")
        return raw.recv(65_536) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_what_is_noticed_starts_the_job_once_and_again_after_a_failure(tmp_path):
    """Many notices start one job; one that fails is started again; its lock keeps it apart from the scheduler's."""
    ran = tmp_path / "ran"
    process = Process(f"sqlite:///{tmp_path}/books/books.db", f"echo x >> {ran}; [ $(wc -l < {ran}) -gt 1 ]")
    body = body_of(*(cloud_event(str(number)) for number in range(5)))
    signed = {"intuit-signature": sign(body, TOKEN)}
    requests.post(f"{process.url}/webhooks/quickbooks", data=body, headers=signed, timeout=10)
    wait_for(lambda: ran.exists() and ran.read_text() == "x\nx\n", 30)
    health = requests.get(f"{process.url}/healthz", timeout=10).json
    wait_for(lambda: health()["job"] == {"running": False, "last_exit_code": 0})
    assert ran.read_text() == "x\nx\n"
    process.kill()


def test_an_address_in_use_is_named():
    """A port that is taken is a wrong setting, not a traceback."""
    from books.core.faults import Exit, Halt

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Halt, match=f"127.0.0.1:{port}") as refused:
            server.bind("127.0.0.1", port)
    assert refused.value.exit_code is Exit.MISCONFIGURED


def test_no_verifier_token_is_in_a_log(receiver, caplog):
    """The verifier token and signatures are in no log line, at DEBUG either."""
    caplog.set_level(logging.DEBUG)
    body = body_of(cloud_event())
    receiver.post(body)
    receiver.post(body, signature=sign(body, "wrong"))
    assert TOKEN not in caplog.text
    assert sign(body, TOKEN) not in caplog.text
