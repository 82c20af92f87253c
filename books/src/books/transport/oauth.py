"""Client of Intuit's token service: refresh tokens, exchange a code, revoke the consent.

Source: Intuit, "OAuth 2.0"; RFC 6749, 5.1 and 5.2; for the hard expiry the Intuit blog of 12 November 2025.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from books.core import money, redact
from books.core.faults import Exit, Halt, Retry, Unknown
from books.core.settings import QuickBooksSettings
from books.transport.call import CallKind, Request, Response, Transport

HARD_EXPIRY_HEADER = "x-include-refresh-token-hard-expires-in"
"""Asks Intuit when the consent itself ends, five years after it was given."""

NOT_REACHED = "token_service_not_reached"
NOT_USABLE = "token_service"

ERROR_LENGTH_MAX = 60

_OK = 200
_TOO_MANY = 429
_SERVER_ERROR = 500


class GrantRefusedError(Exception):
    """`invalid_grant`: the code or refresh token is used, expired, revoked, or another app's."""


@dataclass(frozen=True)
class TokenGrant:
    """The tokens that a token call returned. Times to live are in seconds; None where Intuit gave none."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    refresh_expires_in: int | None
    hard_expires_in: int | None


class TokenService:
    """Calls the token service for one app. `transport` adds time-outs and bounded retries.

    A token call may be repeated: on the same day Intuit answers a repeat with the same refresh token. So it is sent
    as a read, and none of its faults is Unknown: the caller's own call has not been made.

    Raises:
        GrantRefusedError: the user must consent again.
        Halt: TRY_LATER (code `NOT_REACHED`: nothing was sent; else `NOT_USABLE`), MISCONFIGURED (unknown app).
    """

    def __init__(self, settings: QuickBooksSettings, transport: Transport) -> None:
        self._settings = settings
        self._transport = transport

    def refresh(self, refresh_token: str) -> TokenGrant:
        """Return new tokens for a refresh token."""
        return self._ask({"grant_type": "refresh_token", "refresh_token": refresh_token})

    def exchange(self, code: str, redirect_uri: str) -> TokenGrant:
        """Return the first tokens, for the code of a consent."""
        return self._ask({"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri})

    def revoke(self, refresh_token: str) -> None:
        """Revoke the consent: both tokens become invalid."""
        body = money.dumps({"token": refresh_token}).encode()
        answer = self._post(self._settings.revoke_endpoint, "application/json", body)
        if answer.status != _OK:
            raise _fault(answer)

    def _ask(self, form: Mapping[str, str]) -> TokenGrant:
        body = urlencode(form).encode()
        answer = self._post(self._settings.token_endpoint, "application/x-www-form-urlencoded", body)
        if answer.status != _OK:
            raise _fault(answer)
        return _token_grant(answer)

    def _post(self, url: str, content_type: str, body: bytes) -> Response:
        pair = f"{self._settings.client_id}:{self._settings.client_secret}".encode()
        headers = {
            "Authorization": "Basic " + base64.b64encode(pair).decode("ascii"),
            "Accept": "application/json",
            "Content-Type": content_type,
            HARD_EXPIRY_HEADER: "true",
        }
        try:
            return self._transport.send(Request("POST", url, CallKind.READ, headers=headers, body=body))
        except Retry as fault:
            raise _try_later(fault.message, NOT_REACHED) from fault
        except Unknown as fault:
            raise _try_later(fault.message, NOT_USABLE) from fault


def _token_grant(answer: Response) -> TokenGrant:
    """Return the tokens in an answer.

    Raises:
        Halt: TRY_LATER; the answer cannot be read, so the new tokens are lost.
    """
    try:
        body = answer.json()
        grant = TokenGrant(
            access_token=_text(body["access_token"]),
            refresh_token=_text(body["refresh_token"]),
            expires_in=int(body["expires_in"]),
            refresh_expires_in=_seconds(body.get("x_refresh_token_expires_in")),
            hard_expires_in=_seconds(body.get("x_refresh_token_hard_expires_in")),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _try_later("its answer cannot be read", NOT_USABLE, answer) from None
    redact.register((grant.access_token, grant.refresh_token))
    return grant


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("not a token")
    return value


def _seconds(value: Any) -> int | None:
    return None if value is None else int(value)


def _fault(answer: Response) -> GrantRefusedError | Halt:
    """Return the fault that a refusal stands for."""
    if answer.status == _TOO_MANY or answer.status >= _SERVER_ERROR:
        return _try_later(f"it answered {answer.status}", NOT_USABLE, answer)
    error = _error_code(answer)
    if error == "invalid_grant":
        return GrantRefusedError(error)
    return Halt(
        f"Intuit's token service refused the call: {answer.status} {error or 'without a reason'}",
        exit_code=Exit.MISCONFIGURED,
        code=error or "token_refused",
        remedy="check client_id and client_secret: those of the same Intuit app, for the same environment",
        vendor_request_id=answer.headers.get("intuit_tid"),
    )


def _error_code(answer: Response) -> str:
    """Return the `error` of an OAuth error body. Its description may hold a token and is left out."""
    try:
        error = answer.json().get("error")
    except (ValueError, AttributeError):
        return ""
    return redact.mask(str(error))[:ERROR_LENGTH_MAX] if error else ""


def _try_later(reason: str, code: str, answer: Response | None = None) -> Halt:
    return Halt(
        f"Intuit's token service gave no access token: {reason}",
        exit_code=Exit.TRY_LATER,
        code=code,
        remedy="run again later",
        vendor_request_id=answer.headers.get("intuit_tid") if answer else None,
    )
