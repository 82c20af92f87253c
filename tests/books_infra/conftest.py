"""Both kinds of store for every test that asks for one, settings for a company, and a strict token service."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from books.core.clock import VirtualClock
from books.ledgers.quickbooks.settings import QuickBooksSettings
from books.store import Store
from sandbox.server import running

REALM = "9341453000000001"
CONNECTION = f"sandbox:{REALM}"
WORKERS = Path(__file__).parent / "workers.py"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def store(store_url: str, clock: VirtualClock) -> Iterator[Store]:
    """An open store of each kind in turn, on the virtual clock."""
    opened = Store.open(store_url, clock)
    yield opened
    opened.close()


@dataclass
class TokenService:
    """A token service that is as strict as one can be: a refresh token works once, unless `grace` is set.

    `faults` are answered, one per call, before anything else; `slow_seconds` delays every answer.
    """

    live: set[str] = field(default_factory=lambda: {"RT-pasted-1"})
    access: set[str] = field(default_factory=set)
    refreshes: int = 0
    seen: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Response] = field(default_factory=list)
    expires_in: int = 3600
    grace: bool = False
    slow_seconds: float = 0.0
    api_statuses: list[int | Response] = field(default_factory=list)
    api_calls: list[tuple[str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/oauth2/v1/tokens/bearer", self.bearer, methods=["POST"]),
                Route("/v2/oauth2/tokens/revoke", self.revoke, methods=["POST"]),
                Route("/v3/company/{realm}/{rest:path}", self.api, methods=["GET", "POST"]),
            ]
        )

    async def bearer(self, request: Request) -> Response:
        import asyncio

        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        if self.slow_seconds:
            await asyncio.sleep(self.slow_seconds)
        with self._lock:
            self.seen.append({"form": form, "headers": dict(request.headers)})
            if self.faults:
                return self.faults.pop(0)
            if request.headers["authorization"] != _basic("client-1", "secret-canary-1"):
                return JSONResponse({"error": "invalid_client"}, 401)
            return self._grant(form)

    def _grant(self, form: dict[str, str]) -> Response:
        used = form.get("refresh_token") or form.get("code", "")
        if used not in self.live:
            return JSONResponse({"error": "invalid_grant", "error_description": "Token invalid"}, 400)
        if not self.grace:
            self.live.discard(used)
        self.refreshes += 1
        access, refresh = f"access-canary-{self.refreshes:04}", f"RT-rotated-{self.refreshes:04}"
        self.live.add(refresh)
        self.access.add(access)
        return JSONResponse(
            {
                "token_type": "bearer",
                "access_token": access,
                "refresh_token": refresh,
                "expires_in": self.expires_in,
                "x_refresh_token_expires_in": 8_640_000,
                "x_refresh_token_hard_expires_in": 157_680_000,
            }
        )

    async def revoke(self, request: Request) -> Response:
        with self._lock:
            token = (await request.json())["token"]
            self.live.discard(token)
            return Response(status_code=200)

    async def api(self, request: Request) -> Response:
        with self._lock:
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            self.api_calls.append((request.method, token))
            if token not in self.access:
                return JSONResponse({"fault": {"error": [{"code": "3200"}]}}, 401, {"intuit_tid": "1-abc"})
            if self.api_statuses:
                planned = self.api_statuses.pop(0)
                return planned if isinstance(planned, Response) else JSONResponse({}, planned)
            return JSONResponse({"ok": True}, headers={"intuit_tid": "1-abc"})


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@dataclass(frozen=True)
class Vendor:
    url: str
    service: TokenService


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    """The strict token service and an API behind it, over real HTTP."""
    service = TokenService()
    with running(service.app()) as url:
        yield Vendor(url, service)


@pytest.fixture
def settings_for() -> Callable[..., QuickBooksSettings]:
    """Settings of one company at a vendor's address."""

    def make(url: str, **more: Any) -> QuickBooksSettings:
        config = {
            "realm_id": REALM,
            "client_id": "client-1",
            "client_secret": "secret-canary-1",
            "refresh_token": "RT-pasted-1",
            "api_url": url,
            "token_url": url,
            **more,
        }
        return QuickBooksSettings.from_config(config)

    return make


@dataclass
class Worker:
    """One real process of `workers.py`, and the lines that it wrote before it ended or was killed."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait_for_event(self, seconds: float = 30) -> None:
        """Wait until it has written its first line; fail with its own words when it ends before that."""
        end = time.monotonic() + seconds
        while not self.events():
            assert self.process.poll() is None, self.process.stderr.read().decode()
            assert time.monotonic() < end, "the process never wrote a line"
            time.sleep(0.01)

    def finish(self, seconds: float = 60) -> None:
        """Wait for its end, which must be a good one."""
        code = self.process.wait(seconds)
        assert code == 0, self.process.stderr.read().decode()

    def events(self) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines]


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Start `workers.py <role>` with arguments; whatever still runs at the end is killed."""
    started: list[Worker] = []

    def start(role: str, **arguments: Any) -> Worker:
        log = tmp_path / f"worker-{len(started)}.jsonl"
        arguments["log"] = str(log)
        command = [sys.executable, str(WORKERS), role, json.dumps(arguments)]
        worker = Worker(subprocess.Popen(command, stderr=subprocess.PIPE), log)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.process.kill()
        worker.process.communicate()
