"""One request on its way through a simulator, and an answer held back."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from sandbox.common.faults import PlannedFault
from sandbox.common.log import Entry


@dataclass
class Exchange:
    """One request on its way, with its body read."""

    scope: Scope
    body: bytes
    receive: Receive
    send: Send
    entry: Entry
    fault: PlannedFault | None = None

    @property
    def headers(self) -> Headers:
        """Return the request's headers."""
        return Headers(scope=self.scope)


@dataclass
class Answer:
    """An answer held back instead of sent."""

    start: Message = field(default_factory=dict)
    body: bytes = b""

    async def send(self, message: Message) -> None:
        """Take an ASGI message."""
        if message["type"] == "http.response.start":
            self.start = message
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")


def counted(exchange: Exchange) -> Send:
    """Return the server's send, noting status and size in the log."""

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.entry.status = message["status"]
        else:
            exchange.entry.bytes_out += len(message.get("body", b""))
        await exchange.send(message)

    return send
