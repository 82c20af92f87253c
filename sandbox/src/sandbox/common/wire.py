"""The connection below ASGI: resetting it, closing it, and refusing new ones.

ASGI has no word for a broken network, so this module reaches the transport through the server's own `send`, a bound
method of uvicorn's request cycle. On a server where that is not so, a cut becomes an exception, which every ASGI
server answers by closing the connection or with a 500.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from starlette.types import Send

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class CannotCutError(RuntimeError):
    """The server gives no access to its connection."""


def transport_of(send: Send) -> asyncio.Transport:
    """Return the connection that a request came on.

    Raises:
        CannotCutError: not served by uvicorn.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise CannotCutError("connection faults need the simulator to be served by uvicorn")
    return transport  # type: ignore[no-any-return] # uvicorn's own attribute, typed Transport there


async def reset(send: Send) -> None:
    """End the connection as a crash does: a TCP reset, nothing sent."""
    transport = transport_of(send)
    connection = transport.get_extra_info("socket")
    with suppress(OSError, AttributeError):  # the client has closed it already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    transport.abort()
    await _settle()


async def close(send: Send) -> None:
    """End the connection after what was written has been sent."""
    transport_of(send).close()
    await _settle()


async def _settle() -> None:
    """Wait until the server has noticed, so that it does not log a missing answer."""
    for _ in range(3):
        await asyncio.sleep(0)


async def refuse(send: Send, seconds: float) -> None:
    """Reset this connection and close the listening socket for a while: new connections are refused by the kernel.

    asyncio keeps the listener in a private attribute of the transport; where it does not, only the reset happens.
    """
    listener: Any = getattr(transport_of(send), "_server", None)
    if listener is not None and listener.sockets:
        address = listener.sockets[0].getsockname()
        factory = listener._protocol_factory  # noqa: SLF001 -- there is no public way to listen again
        listener.close()
        asyncio.get_running_loop().call_later(seconds, _listen_again, factory, address)
    await reset(send)


_listening: set[asyncio.Task[Any]] = set()


def _listen_again(factory: Callable[[], asyncio.Protocol], address: tuple[Any, ...]) -> None:
    loop = asyncio.get_running_loop()
    task = loop.create_task(loop.create_server(factory, address[0], address[1]))
    _listening.add(task)
    task.add_done_callback(_listening.discard)
