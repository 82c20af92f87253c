"""The HTTP side of the receiver: verify the raw bytes of a delivery, store them, answer. Everything else comes later.

A vendor expects a 200 within a few seconds (`WebhookDialect.answer_seconds`), may hold back later events until it gets
one, and repeats a delivery without one. So nothing is parsed before the answer, a delivery that cannot be read is
answered with 200 too and becomes a dead letter, and if the store cannot be written the answer is 503: send again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from books.core import redact
from books.core.faults import Fault
from books.ledgers.notices import WebhookDialect
from books.webhooks.inbox import Inbox
from books.webhooks.trigger import Trigger
from books.webhooks.writer import Writer

BODY_BYTES_MAX = 1024 * 1024
BODY_SECONDS_MAX = 5.0
"""How long a body may take to arrive."""

SPARE_SECONDS = 0.5
"""Storing may take so much less than the vendor waits for an answer."""

HEARTBEAT_SECONDS = 60.0
HEARTBEATS_A_DAY = 1440
SPLIT_RETRY_SECONDS = 5.0


class BodyTooLargeError(Exception):
    """A body beyond `BODY_BYTES_MAX`."""


@dataclass
class Counts:
    """What a receiver answered since it was started."""

    accepted: int = 0
    refused: int = 0
    failed: int = 0


@dataclass
class Receiver:
    """Receives one vendor's deliveries and stores them in the inbox."""

    inbox: Inbox
    dialect: WebhookDialect
    companies: Collection[str]
    logger: logging.Logger
    trigger: Trigger | None = None
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        """Create the event and the writer."""
        self._arrived = asyncio.Event()
        self._writer = Writer(self._receive, self._arrived.set)
        self._seconds = self.dialect.answer_seconds - SPARE_SECONDS

    def _receive(self, bodies: Any) -> None:
        self.inbox.receive(bodies)

    async def receive(self, request: Request) -> Response:
        """Receive a delivery: 200 once it is on the disk. A refusal reveals no detail."""
        try:
            body = await asyncio.wait_for(_body(request), BODY_SECONDS_MAX)
        except BodyTooLargeError:
            return self._refused(413)
        except TimeoutError:
            return self._refused(408)
        except ClientDisconnect:
            return self._refused(400)
        if not self.dialect.is_genuine(body, request.headers):
            return self._refused(401)
        return await self._store(body)

    async def _store(self, body: bytes) -> Response:
        try:
            await asyncio.wait_for(asyncio.shield(self._writer.write(body)), self._seconds)
        except TimeoutError:
            self.logger.warning("A delivery could not be stored in time. %s sends it again", self.dialect.ledger)
        except (SQLAlchemyError, Fault) as error:
            self.logger.warning(
                "A delivery could not be stored: %s. %s sends it again", redact.mask(str(error)), self.dialect.ledger
            )
        else:
            self.counts.accepted += 1
            return Response(status_code=200)
        self.counts.failed += 1
        return Response(status_code=503)

    def _refused(self, status: int) -> Response:
        self.counts.refused += 1
        return Response(status_code=status)

    async def health(self, request: Request) -> Response:
        """Answer with the receiver's state and its backlog.

        503 if the store cannot be used, or if deliveries are stored but no longer split.
        """
        del request
        try:
            backlog = await asyncio.to_thread(self.inbox.backlog, self.dialect.reads)
        except (SQLAlchemyError, Fault):
            return JSONResponse({"status": "store unavailable"}, status_code=503)
        return JSONResponse(
            {
                "status": "splitting stands still" if backlog.stands_still else "ok",
                "lag": {
                    "deliveries_unsplit": backlog.unsplit,
                    "notices_unread": backlog.unread,
                    "oldest_seconds": backlog.oldest_seconds,
                },
                "since_start": vars(self.counts),
                "job": None
                if self.trigger is None
                else {"running": self.trigger.running, "last_exit_code": self.trigger.last_exit_code},
            },
            status_code=503 if backlog.stands_still else 200,
        )

    async def split_forever(self) -> None:
        """Turn deliveries into notices as they arrive, starting with those that a killed receiver left."""
        self._arrived.set()
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            try:
                await asyncio.to_thread(self._split)
            except Exception as error:  # noqa: BLE001 -- nobody would notice that the splitter has ended
                self.logger.warning(
                    "Deliveries could not be split, and are tried again: %s", redact.mask(str(error) or repr(error))
                )
                await asyncio.sleep(SPLIT_RETRY_SECONDS)
                self._arrived.set()

    def _split(self) -> None:
        done = self.inbox.split(self.companies)
        if done.dead_letters:
            self.logger.warning("%d events could not be read. See why: books webhooks log --dead", done.dead_letters)
        if self.trigger is not None and self.inbox.has_unread(self.dialect.reads):
            self._loop.call_soon_threadsafe(self.trigger.poke)

    async def beat_forever(self) -> None:
        """Write a heartbeat once a minute, and delete old rows once a day."""
        beats = 0
        while True:
            try:
                await asyncio.to_thread(self.inbox.record_heartbeat)
                if beats % HEARTBEATS_A_DAY == 0:
                    await asyncio.to_thread(self.inbox.prune)
            except Exception as error:  # noqa: BLE001 -- as above
                self.logger.warning("The store cannot be written: %s", redact.mask(str(error) or repr(error)))
            beats += 1
            await asyncio.sleep(HEARTBEAT_SECONDS)

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Run the splitter, the heartbeat and the trigger for as long as the HTTP side runs."""
        del app
        self._loop = asyncio.get_running_loop()
        background = [self.split_forever(), self.beat_forever()]
        if self.trigger is not None:
            background.append(self.trigger.run_forever())
        tasks = [asyncio.create_task(each) for each in background]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def make_app(receiver: Receiver) -> Starlette:
    """Return the ASGI application: POST at the dialect's path, and `GET /healthz`."""
    return Starlette(
        routes=[
            Route(receiver.dialect.path, receiver.receive, methods=["POST"]),
            Route("/healthz", receiver.health, methods=["GET"]),
        ],
        lifespan=receiver.lifespan,
    )


async def _body(request: Request) -> bytes:
    """Return the raw body, up to the limit: by its announced length and by what arrives."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > BODY_BYTES_MAX:
        raise BodyTooLargeError
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise BodyTooLargeError
        parts.append(part)
    return b"".join(parts)
