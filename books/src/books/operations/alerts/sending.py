"""Send messages through Apprise, to each address separately, and keep the secrets in addresses out of every log."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from books.core import redact
from books.operations.alerts.messages import Message

if TYPE_CHECKING:
    from apprise import AppriseAsset

FAILURE_LENGTH_MAX = 300


@dataclass(frozen=True)
class Address:
    """One address that alerts go to. Its name, for example `2 Slack`, identifies it without a secret."""

    name: str
    service: Any = field(repr=False)
    """Apprise's; None where Apprise does not know the address."""

    @property
    def usable(self) -> bool:
        """Return whether Apprise knows this kind of address."""
        return self.service is not None


def addresses(alert_urls: str, app: str) -> list[Address]:
    """Return the addresses of the setting, in its order, and register every part of them as a secret.

    `app` is the sender's name.
    """
    if not alert_urls.strip():
        return []
    from apprise.utils.parse import parse_urls

    with _quiet():
        urls: list[str] = parse_urls(alert_urls) or [alert_urls]  # type: ignore[no-untyped-call] # Apprise's
        for url in urls:
            redact.register(_pieces(url))
        return [_address(place, url, app) for place, url in enumerate(urls, start=1)]


def send(address: Address, message: Message) -> str | None:
    """Send a message; return None where it was accepted, else the reason, without a secret."""
    if not address.usable:
        return f"{address.name}: Apprise does not know this kind of address; correct it in BOOKS_ALERT_URLS"
    from apprise import Apprise, NotifyFormat, NotifyType

    one = Apprise(asset=address.service.asset)
    one.add(address.service)
    with _quiet() as warnings:
        is_sent = one.notify(
            title=message.title,
            body=message.body,
            notify_type=NotifyType(message.kind),
            body_format=NotifyFormat.TEXT,
        )
    if is_sent:
        return None
    reason = redact.mask(" ".join(warnings) or "no reason given")[:FAILURE_LENGTH_MAX]
    return f"{address.name}: {reason}"


def _address(place: int, url: str, app: str) -> Address:
    from apprise import Apprise

    service = Apprise.instantiate(url, asset=_asset(app))
    return Address(f"{place} {service.service_name if service else 'unknown'}", service)


def _asset(app: str) -> AppriseAsset:
    """Return Apprise's options: one message at a time, our name, nothing on the disk, no pictures from the network."""
    from apprise import AppriseAsset

    return AppriseAsset(
        app_id=app,
        app_desc="Alerts of the bridge",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        async_mode=False,
        secure_logging=True,
    )


def _pieces(url: str) -> Iterator[str]:
    """Yield an address and every part of it that could be a token: services put them into host, path, user or query.

    A host with a dot in it is no token: a failure should name its host.
    """
    yield url
    host = re.match(r"[a-z0-9]+://(?:[^/@]*@)?([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)(?=[:/?]|$)", url)
    for part in set(re.split(r"[/?&=@:#,]+", url)) - ({host[1]} if host else set()):
        yield part
        yield unquote(part)


@contextmanager
def _quiet() -> Iterator[list[str]]:
    """Keep Apprise's log out of every other log: at DEBUG it holds addresses and whole messages. Yield its warnings."""
    warnings: list[str] = []
    logger = logging.getLogger("apprise")
    handler = _Collector(warnings)
    before = logger.propagate, logger.level
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield warnings
    finally:
        logger.removeHandler(handler)
        logger.propagate, logger.level = before


class _Collector(logging.Handler):
    def __init__(self, warnings: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._warnings = warnings

    def emit(self, record: logging.LogRecord) -> None:
        self._warnings.append(record.getMessage())
