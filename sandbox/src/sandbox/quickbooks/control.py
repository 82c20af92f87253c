"""`/_control` of this simulator: reset, seed, switches, companies, tokens, rates, deeds, webhooks, counters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.common.app import control_error
from sandbox.common.control import Handler, control_routes, guarded
from sandbox.quickbooks import codec, deeds, extras, gateway, seed, webhooks
from sandbox.quickbooks.books import Books
from sandbox.quickbooks.faults import ApiFault
from sandbox.quickbooks.webhooks import Delivery

if TYPE_CHECKING:
    from sandbox.quickbooks.state import QuickBooksState

AUTO_SECONDS = 0.25


def routes(desk: Desk) -> list[Route]:
    """Return all control routes, the shared ones included."""
    state = desk.state
    own: list[tuple[str, Handler, list[str]]] = [
        ("reset", desk.reset, ["POST"]),
        ("seed", desk.seed, ["POST"]),
        ("switches", desk.switches, ["GET", "POST"]),
        ("companies", desk.companies, ["GET", "POST"]),
        ("clients", desk.clients, ["POST"]),
        ("tokens", desk.tokens, ["GET", "POST"]),
        ("deeds", desk.deeds, ["POST"]),
        ("rates", desk.rates, ["POST"]),
        ("webhooks", desk.webhooks, ["GET", "POST"]),
        ("webhooks/deliver", desk.deliver, ["POST"]),
        ("metered", desk.metered, ["GET"]),
    ]
    made = [Route(f"/_control/{name}", _refusing(handler), methods=methods) for name, handler, methods in own]
    return made + control_routes(state.clock, state.faults, state.log)


def _refusing(handler: Handler) -> Handler:
    """Answer mistakes as `guarded` does, and a refusal of the books with its code."""
    plain = guarded(handler)

    async def call(request: Request) -> Response:
        try:
            return await plain(request)
        except ApiFault as fault:
            return control_error(400, f"{fault.errors[0].code}: {fault.errors[0].detail}")

    return call


async def _body(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request, numbers exact.

    Raises:
        ValueError: not a JSON object.
    """
    raw = await request.body()
    body = codec.decode(raw) if raw.strip() else {}
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")  # noqa: TRY004 -- the request is wrong, not our call
    return body


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("realms must be a list of texts")
    return value


def _json(value: Any) -> Response:
    return Response(codec.encode(value), 200, media_type="application/json")


class Desk:
    """The handlers."""

    def __init__(self, state: QuickBooksState) -> None:
        self.state = state
        self._sending = asyncio.Lock()

    async def reset(self, request: Request) -> Response:
        """POST `{"company": {...}}`: reset everything, with this set-up."""
        body = await _body(request)
        self.state.reset(body.get("company"))
        return _json({"reset": True})

    async def seed(self, request: Request) -> Response:
        """POST `{"realm", "company", "entities": {...}}` and, or, `{"synthetic": {"invoices", "customers"}}`."""
        body = await _body(request)
        books = self._company(body)
        ids = seed.plant(books, body.get("entities") or {})
        made = seed.synthetic(books, **body["synthetic"]) if "synthetic" in body else None
        return _json({"realm": books.realm, "ids": ids, "synthetic": made})

    def _company(self, body: dict[str, Any]) -> Books:
        """Return the named company, opened or changed where the request has a set-up."""
        realm = str(body["realm"]) if "realm" in body else None
        if "company" in body or (realm and self.state.books(realm) is None):
            setup = {**body.get("company", {}), **({"realm": realm} if realm else {})}
            return self._open(setup)
        books = self.state.books(realm)
        if books is None:
            raise ValueError(f"no company {realm}")
        return books

    def _open(self, setup: dict[str, Any]) -> Books:
        books = self.state.add_company(setup)
        if not self.state.consents.connected(books.realm):
            self.state.consents.grant("sandbox-client", books.realm, refresh_token=f"RT-sandbox-{books.realm}")
        return books

    async def switches(self, request: Request) -> Response:
        """GET all; POST some."""
        if request.method == "POST":
            self.state.turn(await _body(request))
        return _json(self.state.switches.as_json())

    async def companies(self, request: Request) -> Response:
        """GET all; POST one's set-up, `realm` says which; a new realm gets the refresh token `RT-sandbox-<realm>`."""
        if request.method == "POST":
            self._open(await _body(request))
        return _json({"companies": [books.company.as_json() for books in self.state.companies()]})

    async def clients(self, request: Request) -> Response:
        """POST `{"client_id", "client_secret", "environment", "redirect_uris"}`."""
        body = await _body(request)
        self.state.consents.add_client(
            str(body["client_id"]),
            str(body["client_secret"]),
            str(body.get("environment", "sandbox")),
            str(body.get("redirect_uris", "*")),
        )
        return _json({"added": body["client_id"]})

    async def tokens(self, request: Request) -> Response:
        """GET the living refresh tokens; POST `{"realm", "client_id", "refresh_token"}`: connect without a page."""
        realm = request.query_params.get("realm")
        if request.method == "POST":
            body = await _body(request)
            books = self._company({"realm": body["realm"]} if "realm" in body else {})
            realm = books.realm
            self.state.consents.grant(
                str(body.get("client_id", "sandbox-client")), realm, refresh_token=body.get("refresh_token")
            )
        books = self._company({"realm": realm} if realm else {})
        return _json({"tokens": self.state.consents.tokens(books.realm)})

    async def deeds(self, request: Request) -> Response:
        """POST `{"deed", "realm", ...}`; see the table of deeds in the docs."""
        body = await _body(request)
        deed = str(body.pop("deed"))
        books = self._company({"realm": body.pop("realm")} if "realm" in body else {})
        with self.state.writing(books):
            return _json(deeds.perform(self.state, books, deed, body))

    async def rates(self, request: Request) -> Response:
        """POST `{"realm", "rates": {"USD": {"2026-11-01": "0.79"}}}`."""
        body = await _body(request)
        extras.set_rates(self._company({"realm": body["realm"]} if "realm" in body else {}), body["rates"])
        return _json({"rates": True})

    async def webhooks(self, request: Request) -> Response:
        """GET the endpoint and what waits; POST `{"url", "verifier_token", "realms", "auto"}`.

        With `auto` what falls due is sent within a second, else only when `webhooks/deliver` asks for it.
        """
        hooks = self.state.webhooks
        if request.method == "POST":
            body = await _body(request)
            url, token, realms = str(body["url"]), str(body.get("verifier_token", "")), _texts(body.get("realms", []))
            hooks.subscribe(url, token, realms, auto=bool(body.get("auto")))
            self.state.keep_webhooks()
        waiting = {"waiting": hooks.waiting(), "next_due_at": hooks.next_due_at()}
        return _json({"url": hooks.url, "auto": hooks.auto, **waiting})

    async def deliver(self, _request: Request) -> Response:
        """POST: send what is due now, on the virtual clock; returns each POST's answer."""
        return _json({"deliveries": [done.as_json() for done in await self._deliver_due()]})

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Deliver automatically while the server runs, where the endpoint was registered so, also before a restart."""
        sender = asyncio.create_task(self._send_forever())
        try:
            yield
        finally:
            sender.cancel()

    async def _send_forever(self) -> None:
        while True:
            if self.state.webhooks.auto:
                await self._deliver_due()
            await asyncio.sleep(AUTO_SECONDS)

    async def _deliver_due(self) -> list[Delivery]:
        """POST everything that is due; one at a time, so that no notice goes out twice unasked."""
        async with self._sending:
            return await deliver_due(self.state)

    async def metered(self, request: Request) -> Response:
        """GET the reads counted this month for `?client_id=`."""
        client_id = request.query_params.get("client_id", "sandbox-client")
        return JSONResponse({"client_id": client_id, "reads": gateway.metered(self.state, client_id)})


async def deliver_due(state: QuickBooksState) -> list[Delivery]:
    """POST everything that is due; wait for the network in a thread."""
    done = []
    while prepared := state.webhooks.prepare():
        notices, delivery = prepared
        headers = state.webhooks.headers(delivery)
        delivery.status = await asyncio.to_thread(webhooks.http_post, delivery.url, delivery.body, headers)
        state.webhooks.settle(notices, delivery.status)
        done.append(delivery)
    return done
