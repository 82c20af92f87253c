"""OAuth consent: the address at Intuit that a person opens to connect a company, and the answer to it.

Source: Intuit, "OAuth 2.0"; RFC 6749, 4.1 and 10.12; RFC 8252, 7.3. The company's id comes only
with the answer, so it need not be known before.
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
"""The redirect URI for Development keys. Register exactly this at Intuit, or set another."""

ANSWER_CHARS_MAX = 8000


class NotTheAnswerError(Exception):
    """The address is not the answer to this consent; the right one may still arrive."""


@dataclass(frozen=True)
class Redirect:
    """Where Intuit sends the browser. `port` is set if we can listen there ourselves."""

    uri: str
    port: int | None = None

    @property
    def path(self) -> str:
        """The path on which the answer arrives."""
        return urlsplit(self.uri).path or "/"

    @classmethod
    def read(cls, uri: str | None, environment: str) -> Redirect:
        """Check the setting redirect_uri by Intuit's rules, before Intuit shows the user an error page.

        Raises:
            Halt: MISCONFIGURED; production keys without an https address, an IP address, or an invalid address.
        """
        if not uri and environment == "production":
            raise _redirect_refused("is required with production keys")
        uri = uri or REDIRECT_URI
        try:
            parts = urlsplit(uri)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _redirect_refused("is not a valid address") from None
        if not host or parts.username is not None or parts.query or parts.fragment:
            raise _redirect_refused("must be an address without user, query or fragment")
        if _is_ip(host):
            raise _redirect_refused("must have a host name: Intuit accepts no IP address")
        if parts.scheme == "https":
            return cls(uri)
        if parts.scheme != "http" or host != "localhost" or not port:
            raise _redirect_refused("must be https, or http://localhost:<port> for Development keys")
        if environment == "production":
            raise _redirect_refused("must be https: Intuit accepts http://localhost for Development keys only")
        return cls(uri, port)


@dataclass(frozen=True)
class Answer:
    """The company that a person connected. `code` can be exchanged for tokens once, within some minutes."""

    code: str = field(repr=False)
    realm_id: str


class Consent:
    """One consent. Its random `state`, valid once and for a limited time, ties the answer to it."""

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
        parameters = {
            "client_id": self._settings.client_id,
            "response_type": "code",
            "scope": SCOPE,
            "redirect_uri": self._redirect.uri,
            "state": self._state,
        }
        return f"{self._settings.authorize_endpoint}?{urlencode(parameters)}"

    def read(self, address: str) -> Answer:
        """Return the answer in the address at which the browser ended.

        Raises:
            NotTheAnswerError: it is not an answer, or the answer to another consent; nothing of it is used.
            Halt: the person or Intuit refused (69, 78), or the answer was too late (75).
        """
        answer = _parameters(address)
        self._check_state(answer.get("state", ""))
        if "error" in answer:
            raise _refused(answer["error"])
        code, realm_id = answer.get("code", ""), answer.get("realmId", "")
        redact.register((code,))
        if not code or not REALM_ID.fullmatch(realm_id):
            raise NotTheAnswerError("the address lacks `realmId` or `code`: copy the whole address again")
        self._answered = True
        return Answer(code, realm_id)

    def _check_state(self, state: str) -> None:
        if not secrets.compare_digest(state.encode(), self._state.encode()) or self._answered:
            raise NotTheAnswerError(
                "this is the answer to another attempt to connect: open the newest address and copy where it leads"
            )
        if self._clock.monotonic() > self._deadline:
            raise too_late()


def _parameters(address: str) -> Mapping[str, str]:
    """Return the query of a copied address, which may have spaces, quotes or line breaks around or in it."""
    text = "".join(address.split()).strip("\"'<>")
    if len(text) > ANSWER_CHARS_MAX:
        raise NotTheAnswerError("this is longer than any address from Intuit")
    try:
        query = urlsplit(text).query
    except ValueError:
        query = ""
    parameters = {name: values[0] for name, values in parse_qs(query).items()}
    if "state" not in parameters:
        raise NotTheAnswerError(
            "this is not the address at which the browser ended: that one has `code`, `state` and `realmId` in it"
        )
    return parameters


def _is_ip(host: str) -> bool:
    with suppress(ValueError):
        ipaddress.ip_address(host)
        return True
    return False


def _refused(error: str) -> Halt:
    """Return the fault for an error of RFC 6749, 4.1.2.1."""
    if error == "access_denied":
        return Halt(
            "not connected: Cancel was clicked, or the user may not connect this company (access_denied)",
            exit_code=Exit.DEAD_CONNECTION,
            code=error,
            remedy="run `books connect` again, as the company's primary or company administrator",
        )
    word = error if error.replace("_", "").isalpha() else "unreadable"
    return Halt(
        f"Intuit refused the consent ({redact.mask(word[:60])})",
        exit_code=Exit.MISCONFIGURED,
        code="consent_refused",
        remedy=f"in Intuit's developer portal, check that the app has the scope {SCOPE} and this redirect URI",
    )


def too_late() -> Halt:
    """Return the fault for a consent without an answer in time."""
    return Halt(
        "nobody answered in time; nothing was connected",
        exit_code=Exit.TRY_LATER,
        code="consent_timeout",
        remedy="run `books connect` again; --timeout gives more time, and --paste helps if the browser is on "
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
