"""OAuth consent: the vendor's page that a person opens to connect a company, and the answer to it.

Source: RFC 6749, 4.1 and 10.12; RFC 8252, 7.3. The company's id comes only with the answer or after it, so it need not
be known before.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from books.core import redact
from books.core.clock import Clock
from books.core.faults import Exit, Halt
from books.core.settings import refusal
from books.transport.access import Access, Code

REDIRECT_URI = "http://localhost:8765/callback"
"""The redirect URI while we try. Register exactly this for the app at the vendor, or set another."""

ANSWER_CHARS_MAX = 8000


class NotTheAnswerError(Exception):
    """The address is not the answer to this consent; the right one may still arrive."""


@dataclass(frozen=True)
class Redirect:
    """Where the vendor sends the browser. `port` is set if we can listen there ourselves."""

    uri: str
    port: int | None = None

    @property
    def path(self) -> str:
        """The path on which the answer arrives."""
        return urlsplit(self.uri).path or "/"

    @classmethod
    def read(cls, uri: str | None, environment: str, access: Access) -> Redirect:
        """Check the setting redirect_uri by the vendor's rules, before the vendor shows the user an error page.

        Raises:
            Halt: MISCONFIGURED; the address is invalid, or the vendor would not take it.
        """
        try:
            return cls._read(uri, environment, access)
        except ValueError as error:
            remedy = access.oauth.redirect_remedy.format(default=REDIRECT_URI)
            raise refusal("redirect_uri", str(error), remedy) from None

    @classmethod
    def _read(cls, uri: str | None, environment: str, access: Access) -> Redirect:
        if not uri:
            access.oauth.check_redirect(None, environment)
            uri = REDIRECT_URI
        try:
            parts = urlsplit(uri)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ValueError("is not a valid address") from None
        if not host or parts.username is not None or parts.query or parts.fragment:
            raise ValueError("must be an address without user, query or fragment")
        access.oauth.check_redirect(uri, environment)
        return cls(uri, port if parts.scheme == "http" else None)


class Consent:
    """One consent. Its random `state`, valid once and for a limited time, ties the answer to it."""

    def __init__(self, access: Access, redirect: Redirect, clock: Clock, seconds: float) -> None:
        self._access = access
        self._redirect = redirect
        self._clock = clock
        self._deadline = clock.monotonic() + seconds
        self._state = secrets.token_urlsafe(32)
        self._answered = False

    @property
    def address(self) -> str:
        """The page to open in a browser."""
        return self._access.oauth.consent_address(self._state, self._redirect.uri)

    def read(self, address: str) -> Code:
        """Return the answer in the address at which the browser ended.

        Raises:
            NotTheAnswerError: it is not an answer, or the answer to another consent; nothing of it is used.
            Halt: the person or the vendor refused (69, 78), or the answer was too late (75).
        """
        answer = self._parameters(address)
        self._check_state(answer.get("state", ""))
        if "error" in answer:
            raise self._refused(answer["error"])
        redact.register((answer.get("code", ""),))
        try:
            code = self._access.oauth.read_answer(answer)
        except ValueError as error:
            raise NotTheAnswerError(str(error)) from None
        self._answered = True
        return code

    def _check_state(self, state: str) -> None:
        if not secrets.compare_digest(state.encode(), self._state.encode()) or self._answered:
            raise NotTheAnswerError(
                "this is the answer to another attempt to connect: open the newest address and copy where it leads"
            )
        if self._clock.monotonic() > self._deadline:
            raise too_late()

    def _parameters(self, address: str) -> Mapping[str, str]:
        """Return the query of a copied address, which may have spaces, quotes or line breaks around or in it."""
        text = "".join(address.split()).strip("\"'<>")
        if len(text) > ANSWER_CHARS_MAX:
            raise NotTheAnswerError(f"this is longer than any address from {self._access.vendor}")
        try:
            query = urlsplit(text).query
        except ValueError:
            query = ""
        parameters = {name: values[0] for name, values in parse_qs(query).items()}
        if "state" not in parameters:
            raise NotTheAnswerError(
                "this is not the address at which the browser ended: that one has "
                f"{self._access.oauth.answer_names} in it"
            )
        return parameters

    def _refused(self, error: str) -> Halt:
        """Return the fault for an error of RFC 6749, 4.1.2.1."""
        if error == "access_denied":
            return Halt(
                "not connected: Cancel was clicked, or the user may not connect this company (access_denied)",
                exit_code=Exit.DEAD_CONNECTION,
                code=error,
                remedy=f"run `books connect` again, as {self._access.oauth.who_may_consent}",
            )
        word = error if error.replace("_", "").isalpha() else "unreadable"
        return Halt(
            f"{self._access.vendor} refused the consent ({redact.mask(word[:60])})",
            exit_code=Exit.MISCONFIGURED,
            code="consent_refused",
            remedy=self._access.oauth.consent_remedy,
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
