"""Asking a person to connect a company: the address to open at Intuit, and the one answer that counts.

Source: Intuit, "OAuth 2.0"; RFC 6749, 4.1 and 10.12; RFC 8252, 7.3. The company's id comes with the answer and
nowhere else, so it need not be known before.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit

from books.core import redact
from books.core.clock import Clock
from books.core.faults import Exit, Halt
from books.core.settings import REALM_ID, QuickBooksSettings

SCOPE = "com.intuit.quickbooks.accounting"
REDIRECT_URI = "http://localhost:8765/callback"
"""Where the browser ends with Development keys; register exactly this at Intuit, or set another."""

ANSWER_CHARS_MAX = 8000


class NotTheAnswerError(Exception):
    """What came is not the answer to this question; the true one may still come."""


@dataclass(frozen=True)
class Redirect:
    """Where Intuit sends the browser. `port` is set where we can listen there ourselves."""

    uri: str
    port: int | None = None

    @property
    def path(self) -> str:
        """The path on which the answer comes."""
        return urlsplit(self.uri).path or "/"

    @classmethod
    def read(cls, uri: str | None, environment: str) -> Redirect:
        """Check the setting by Intuit's rules, before Intuit shows the user a page about it.

        Raises:
            Halt: MISCONFIGURED; production keys without an https address, an IP address, anything else.
        """
        if not uri and environment == "production":
            raise _redirect_refused("is required with production keys")
        uri = uri or REDIRECT_URI
        try:
            parts = urlsplit(uri)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _redirect_refused("is no address") from None
        if not host or parts.username is not None or parts.query or parts.fragment:
            raise _redirect_refused("must be a plain address, without user, query or fragment")
        if _is_ip(host):
            raise _redirect_refused("must name a host: Intuit takes no IP address")
        if parts.scheme == "https":
            return cls(uri)
        if parts.scheme != "http" or host != "localhost" or not port:
            raise _redirect_refused("must be https, or http://localhost:<port> for Development keys")
        if environment == "production":
            raise _redirect_refused("must be https: Intuit takes http://localhost for Development keys only")
        return cls(uri, port)


@dataclass(frozen=True)
class Answer:
    """A person connected this company. `code` is worth tokens, once, for some minutes."""

    code: str = field(repr=False)
    realm_id: str


class Consent:
    """One question to one person. Its `state` ties the answer to it: random, good once, and for a limited time."""

    def __init__(self, settings: QuickBooksSettings, redirect: Redirect, clock: Clock, seconds: float) -> None:
        self._settings = settings
        self._redirect = redirect
        self._clock = clock
        self._deadline = clock.monotonic() + seconds
        self._state = secrets.token_urlsafe(32)
        self._answered = False

    @property
    def address(self) -> str:
        """The page to open in a browser."""
        asked = {
            "client_id": self._settings.client_id,
            "response_type": "code",
            "scope": SCOPE,
            "redirect_uri": self._redirect.uri,
            "state": self._state,
        }
        return f"{self._settings.authorize_endpoint}?{urlencode(asked)}"

    def read(self, address: str) -> Answer:
        """The answer in the address at which the browser ended.

        Raises:
            NotTheAnswerError: it is none, or the answer to another question; nothing of it is used.
            Halt: the person or Intuit refused (69, 78), or the answer came too late (75).
        """
        told = _parameters(address)
        self._check_state(told.get("state", ""))
        if "error" in told:
            raise _refused(told["error"])
        code, realm_id = told.get("code", ""), told.get("realmId", "")
        redact.register((code,))
        if not code or not REALM_ID.fullmatch(realm_id):
            raise NotTheAnswerError("the address names no company (realmId) or no code: copy it again, whole")
        self._answered = True
        return Answer(code, realm_id)

    def _check_state(self, state: str) -> None:
        if not secrets.compare_digest(state.encode(), self._state.encode()) or self._answered:
            raise NotTheAnswerError(
                "this is the answer to another attempt to connect: open the newest address, and use what comes of it"
            )
        if self._clock.monotonic() > self._deadline:
            raise too_late()


def _parameters(address: str) -> Mapping[str, str]:
    """The query of an address as it was copied: with blanks, quotes or line breaks around it or in it."""
    text = "".join(address.split()).strip("\"'<>")
    if len(text) > ANSWER_CHARS_MAX:
        raise NotTheAnswerError("this is longer than any address that Intuit sends")
    try:
        query = urlsplit(text).query
    except ValueError:
        query = ""
    told = {name: values[0] for name, values in parse_qs(query).items()}
    if "state" not in told:
        raise NotTheAnswerError(
            "this is not the address at which the browser ended: that one has `code`, `state` and `realmId` in it"
        )
    return told


def _is_ip(host: str) -> bool:
    with suppress(ValueError):
        ipaddress.ip_address(host)
        return True
    return False


def _refused(error: str) -> Halt:
    """Intuit's errors: RFC 6749, 4.1.2.1."""
    if error == "access_denied":
        return Halt(
            "not connected: Cancel was pressed, or the user may not connect this company (access_denied)",
            exit_code=Exit.DEAD_CONNECTION,
            code=error,
            remedy="run `books connect` again, as the company's primary or company administrator",
        )
    word = error if error.replace("_", "").isalpha() else "unreadable"
    return Halt(
        f"Intuit refused the question ({redact.mask(word[:60])})",
        exit_code=Exit.MISCONFIGURED,
        code="consent_refused",
        remedy=f"in Intuit's developer portal, check that the app has the scope {SCOPE} and this redirect URI",
    )


def too_late() -> Halt:
    """Nobody answered in time."""
    return Halt(
        "nobody answered in time; nothing was connected",
        exit_code=Exit.TRY_LATER,
        code="consent_timeout",
        remedy="run `books connect` again; --timeout gives more time, and --paste helps where the browser is on "
        "another machine",
    )


def _redirect_refused(problem: str) -> Halt:
    return Halt(
        f"setting redirect_uri {problem}",
        exit_code=Exit.MISCONFIGURED,
        code="setting_refused",
        remedy="set BOOKS_REDIRECT_URI to an address that is registered for the app in Intuit's developer portal: "
        f"any https page of yours, or, for Development keys, {REDIRECT_URI}",
    )
