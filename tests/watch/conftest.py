"""A store on a virtual clock with what a bridge leaves there, and real receivers of alerts: mail and HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from sqlalchemy import delete, insert, update
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from books.core.clock import VirtualClock
from books.ledgers.quickbooks.settings import QuickBooksSettings
from books.ledgers.registry import vendor
from books.operations import runs
from books.operations.alerts import facts, rules
from books.operations.alerts.check import Checked, check
from books.operations.alerts.sending import addresses
from books.operations.runs import Run
from books.operations.settings import WatchSettings
from books.store import Store
from books.store.tables_infra import metered, token
from books.store.tables_posting import posting
from sandbox.server import running

REALM = "9341453000000001"
CONNECTION = f"sandbox:{REALM}"
PASSWORD = "canary-Pass-4711"
PATH_TOKEN = "canary-TokenInPath-99"

JOBS = {
    "push-invoices": [
        "tap-opsmerge",
        "tap-opsmerge target-quickbooks",
        "tap-quickbooks-payments--postings",
        "tap-quickbooks-payments--postings target-opsmerge",
    ],
    "pull-payments": ["tap-quickbooks-payments", "tap-quickbooks-payments target-opsmerge"],
    "reconcile": ["tap-opsmerge--complete", "tap-quickbooks-payments--complete", "books:report"],
    "daily": ["books:daily"],
}


@dataclass
class World:
    """One company's store; everything happens at the virtual clock's time."""

    store: Store
    clock: VirtualClock
    settings: QuickBooksSettings
    published: Path
    watch: WatchSettings = field(default_factory=WatchSettings)

    @property
    def sources(self) -> facts.Sources:
        return facts.Sources(
            "production", vendor("quickbooks"), self.settings, self.store, self.published, JOBS, self.watch
        )

    def facts(self, **other) -> facts.Facts:
        return replace(facts.gather(self.sources, self.clock), **other)

    def wrong(self, **other) -> dict[str, rules.Cause]:
        return {cause.key: cause for cause in rules.found(rules.judge(self.facts(**other)))}

    def check(self, urls: str = "") -> Checked:
        return check(self.sources, addresses(urls, "bridge"), self.clock)

    def hours(self, hours: float) -> None:
        self.clock.advance(hours * 3600)

    def run(self, job: str, code: int = 0, message: str = "") -> None:
        """All steps of a job, or the first with the failure it ends with."""
        for step in JOBS[job][:1] if code else JOBS[job]:
            self.step(step, code, message)

    def step(self, step: str, code: int = 0, message: str = "") -> None:
        now = self.clock.now()
        runs.record(self.store, Run(CONNECTION, step.rsplit(maxsplit=1)[-1], now, now, code, message, step))

    def tokens(self, **more) -> None:
        """Tokens refreshed now; Intuit's usual ends."""
        now = self.clock.now()
        values = {
            "refresh_token": "x",
            "refreshed_at": now,
            "access_expires_at": now.add(hours=1),
            "refresh_expires_at": now.add(days=100),
            "hard_expires_at": now.add(years=5),
            **more,
        }
        with self.store.begin() as conn:
            conn.execute(delete(token))
            conn.execute(insert(token).values(connection=CONNECTION, **values))

    def reads(self, count: int) -> None:
        with self.store.begin() as conn:
            conn.execute(delete(metered))
            month = self.clock.now().format("YYYY-MM")
            conn.execute(insert(metered).values(connection=CONNECTION, month=month, calls=count))

    def refuse(self, number: str, outcome: str = "rejected", code: str = "missing_service") -> None:
        values = dict.fromkeys(("content_sha256", "seen_sha256", "mapping_sha256"), "0") | {
            "connection": CONNECTION,
            "opsmerge_invoice_id": f"inv_{number}",
            "provider": "quickbooks_online",
            "company_id": REALM,
            "number": number,
            "outcome": outcome,
            "fault_code": code,
            "fault_message": "the customer Hartley & Sons has no service",
            "attempts": 0,
            "generation": 0,
            "record": "{}",
            "retry": False,
        }
        with self.store.begin() as conn:
            conn.execute(insert(posting).values(seq=self.store.next_seq(conn), **values))

    def mend(self, number: str) -> None:
        with self.store.begin() as conn:
            conn.execute(update(posting).where(posting.c.number == number).values(outcome="created", fault_code=None))


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    clock = VirtualClock()
    store = Store.open(f"sqlite:///{tmp_path}/books/books.db", clock)
    config = {"realm_id": REALM, "client_id": "client-1", "client_secret": "secret-canary-1"}
    made = World(store, clock, QuickBooksSettings.from_config(config), tmp_path / "warehouse" / "books.duckdb")
    made.tokens()
    yield made
    store.close()


@dataclass
class Mailbox:
    """A mail server that takes everything, or refuses everything; its mails as people see them."""

    url: str = ""
    refuses: bool = False
    mails: list = field(default_factory=list)

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802 -- aiosmtpd's name
        if self.refuses:
            return f"554 go away, {PASSWORD}"
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"

    @property
    def texts(self) -> list[str]:
        return [f"{mail['subject']}\n{mail.get_body(('plain', 'html')).get_content()}" for mail in self.mails]


class AnyPort(Controller):
    """aiosmtpd's server thread on a port that the system chooses."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def _serving(mailbox: Mailbox) -> Iterator[Mailbox]:
    def login(server, session, envelope, mechanism, data) -> AuthResult:
        return AuthResult(success=data.password.decode() == PASSWORD)

    controller = AnyPort(
        mailbox, hostname="127.0.0.1", port=0, authenticator=login, auth_require_tls=False, auth_required=True
    )
    controller.start()
    mailbox.url = f"mailto://bridge:{PASSWORD}@127.0.0.1:{controller.port}?from=bridge@example.com&to=msp@example.com"
    try:
        yield mailbox
    finally:
        controller.stop()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with _serving(Mailbox()) as mailbox:
        yield mailbox


@dataclass
class Hook:
    """An HTTP endpoint that chat services and webhooks stand for; its messages as JSON, and the answer it gives."""

    url: str = ""
    status: int = 200
    messages: list[dict] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{rest:path}", self.take, methods=["POST"])])

    async def take(self, request: Request) -> Response:
        with self._lock:
            if self.status == 200:
                self.messages.append(await request.json())
            return Response(f"no, {PATH_TOKEN}", self.status)

    @property
    def titles(self) -> list[str]:
        return [message["title"].removeprefix("OpsMerge to QuickBooks (production): ") for message in self.messages]


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    with running(made.app()) as url:
        made.url = f"json://{url.removeprefix('http://')}/{PATH_TOKEN}"
        yield made
