"""How Intuit authorises, limits and answers calls.

Source: Intuit, "OAuth 2.0"; RFC 6749; for the hard expiry the Intuit blog of 12 November 2025.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from books.core import money
from books.ledgers.quickbooks import faults
from books.ledgers.quickbooks.settings import REALM_ID, QuickBooksSettings
from books.transport.access import Code, CompanyRef, Denial, Limit, Meaning, TokenGrant
from books.transport.call import CallKind, Request, Response

SCOPE = "com.intuit.quickbooks.accounting"

HARD_EXPIRY_HEADER = "x-include-refresh-token-hard-expires-in"
"""Asks Intuit when the consent itself ends, five years after it was given."""

IDLE_DAYS = 100
"""A refresh token that nobody uses expires after so many days."""


class QuickBooksOAuth:
    """Intuit's OAuth 2.0. The company comes with the callback, and only there."""

    grant = "authorization_code"
    idle_days = IDLE_DAYS
    answer_names = "`code`, `state` and `realmId`"
    who_may_consent = "the company's primary or company administrator"
    consent_remedy = f"in Intuit's developer portal, check that the app has the scope {SCOPE} and this redirect URI"
    redirect_remedy = (
        "set BOOKS_REDIRECT_URI to an address that is registered for the app in Intuit's developer portal: "
        "any https page of yours, or, for Development keys, {default}"
    )

    def __init__(self, settings: QuickBooksSettings) -> None:
        self._settings = settings

    def check_redirect(self, uri: str | None, environment: str) -> None:
        """Check by Intuit's rules: https, or http://localhost with Development keys; no IP address."""
        if uri is None:
            if environment == "production":
                raise ValueError("is required with production keys")
            return
        parts = urlsplit(uri)
        if _is_ip(parts.hostname):
            raise ValueError("must have a host name: Intuit accepts no IP address")
        if parts.scheme == "https":
            return
        if parts.scheme != "http" or parts.hostname != "localhost" or not parts.port:
            raise ValueError("must be https, or http://localhost:<port> for Development keys")
        if environment == "production":
            raise ValueError("must be https: Intuit accepts http://localhost for Development keys only")

    def consent_address(self, state: str, redirect_uri: str) -> str:
        """Return Intuit's page on which a person chooses a company and agrees."""
        parameters = {
            "client_id": self._settings.client_id,
            "response_type": "code",
            "scope": SCOPE,
            "redirect_uri": redirect_uri,
            "state": state,
        }
        return f"{self._settings.authorize_endpoint}?{urlencode(parameters)}"

    def read_answer(self, parameters: Mapping[str, str]) -> Code:
        """Return code and realm id."""
        code, realm_id = parameters.get("code", ""), parameters.get("realmId", "")
        if not code or not REALM_ID.fullmatch(realm_id):
            raise ValueError("the address lacks `realmId` or `code`: copy the whole address again")
        return Code(code, realm_id)

    def token_request(self, form: Mapping[str, str]) -> Request:
        """Return the call to the token endpoint."""
        body = urlencode(form).encode()
        return self._post(self._settings.token_endpoint, "application/x-www-form-urlencoded", body)

    def read_grant(self, body: Mapping[str, Any]) -> TokenGrant:
        """Return the tokens; times to live in seconds."""
        return TokenGrant(
            access_token=_text(body["access_token"]),
            refresh_token=_text(body["refresh_token"]),
            expires_in=int(body["expires_in"]),
            refresh_expires_in=_seconds(body.get("x_refresh_token_expires_in")),
            hard_expires_in=_seconds(body.get("x_refresh_token_hard_expires_in")),
        )

    def companies_request(self, access_token: str) -> None:
        """Return nothing: the callback names the company."""

    def read_companies(self, body: Any) -> Sequence[CompanyRef]:
        """Never called."""
        raise NotImplementedError

    def give_back(self, refresh_token: str) -> Request:
        """Return the call that revokes the consent."""
        body = money.dumps({"token": refresh_token}).encode()
        return self._post(self._settings.revoke_endpoint, "application/json", body)

    def _post(self, url: str, content_type: str, body: bytes) -> Request:
        pair = f"{self._settings.client_id}:{self._settings.client_secret}".encode()
        headers = {
            "Authorization": "Basic " + base64.b64encode(pair).decode("ascii"),
            "Accept": "application/json",
            "Content-Type": content_type,
            HARD_EXPIRY_HEADER: "true",
        }
        return Request("POST", url, CallKind.READ, headers=headers, body=body)


class QuickBooksAccess:
    """QuickBooks Online, for one company."""

    ledger = "QuickBooks"
    vendor = "Intuit"
    reconnect = faults.RECONNECT

    def __init__(self, settings: QuickBooksSettings) -> None:
        self.oauth = QuickBooksOAuth(settings)
        self.limits = (
            Limit("requests_per_second", settings.requests_per_second, 1.0),
            Limit("requests_per_minute", settings.requests_per_minute, 60.0),
            Limit("batches_per_minute", settings.batches_per_minute, 60.0, frozenset({CallKind.BATCH})),
        )
        """Intuit allows 500 requests a minute, 10 a second, 40 batches a minute (Intuit, "API call limits and
        throttles"). A batch counts as one request, and as a batch."""

    def is_metered(self, kind: CallKind, response: Response) -> bool:
        """Return whether Intuit meters the call: successful reads only (Intuit App Partner Program, CorePlus)."""
        return kind is CallKind.READ and 200 <= response.status < 300  # noqa: PLR2004 -- HTTP's range of success

    def left(self, headers: Mapping[str, str]) -> Mapping[str, int]:
        """Return nothing: Intuit sends no such header."""
        del headers
        return {}

    def throttle_seconds(self, headers: Mapping[str, str]) -> None:
        """Return nothing: Intuit says to wait 60 seconds ("API call limits and throttles")."""

    def denial(self, response: Response) -> Denial | None:
        """Return why the token was refused: 401 means expired; 403 with code 3100, or without one, another company."""
        if response.status == 401:  # noqa: PLR2004 -- Unauthorized
            return Denial(
                Meaning.EXPIRED,
                "token expired: QuickBooks refused a token that was refreshed a moment ago (401)",
                faults.EXPIRED,
                self.reconnect,
            )
        if response.status == 403 and faults.is_company_lost(response):  # noqa: PLR2004 -- Forbidden
            rule = faults.RULES[faults.COMPANY_LOST]
            return Denial(
                Meaning.COMPANY_LOST, f"{rule.words} ({faults.COMPANY_LOST})", faults.COMPANY_LOST, rule.remedy
            )
        return None

    def request_id(self, headers: Mapping[str, str]) -> str | None:
        """Return Intuit's `intuit_tid`."""
        return headers.get(faults.REQUEST_ID_HEADER)


def _is_ip(host: str | None) -> bool:
    try:
        ipaddress.ip_address(host or "")
    except ValueError:
        return False
    return True


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("not a token")
    return value


def _seconds(value: Any) -> int | None:
    return None if value is None else int(value)
