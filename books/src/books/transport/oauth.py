"""Client of a vendor's token service: refresh tokens, exchange a code, list the companies, end the consent.

Source: RFC 6749, 4.1.3, 4.4.2, 5.1, 5.2 and 6; RFC 7009. What a vendor does its own way is in its `OAuthDialect`.
"""

from __future__ import annotations

from collections.abc import Sequence

from books.core import redact
from books.core.faults import Exit, Halt, Retry, Unknown
from books.transport.access import Access, CompanyRef, TokenGrant
from books.transport.call import Request, Response, Transport

NOT_REACHED = "token_service_not_reached"
NOT_USABLE = "token_service"

ERROR_LENGTH_MAX = 60

_NO_CONTENT = 204
_TOO_MANY = 429
_SERVER_ERROR = 500


class GrantRefusedError(Exception):
    """`invalid_grant`: the code or refresh token is used, expired, revoked, or another app's."""


class TokenService:
    """Calls the token service for one app. `transport` adds time-outs and bounded retries.

    A token call may be repeated: within the vendor's grace time a repeat is answered too. So it is sent as a read, and
    none of its faults is Unknown: the caller's own call has not been made.

    Raises:
        GrantRefusedError: the user must consent again.
        Halt: TRY_LATER (code `NOT_REACHED`: nothing was sent; else `NOT_USABLE`), MISCONFIGURED (unknown app).
    """

    def __init__(self, access: Access, transport: Transport) -> None:
        self._access = access
        self._transport = transport

    def refresh(self, refresh_token: str) -> TokenGrant:
        """Return new tokens for a refresh token."""
        return self._ask({"grant_type": "refresh_token", "refresh_token": refresh_token})

    def exchange(self, code: str, redirect_uri: str) -> TokenGrant:
        """Return the first tokens, for the code of a consent."""
        return self._ask({"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri})

    def client_credentials(self) -> TokenGrant:
        """Return a token for an app that needs nobody's consent."""
        return self._ask({"grant_type": "client_credentials"})

    def companies(self, access_token: str) -> Sequence[CompanyRef] | None:
        """Return the companies to which the consent gives access; None where the callback named its one company."""
        request = self._access.oauth.companies_request(access_token)
        if request is None:
            return None
        answer = self._send(request)
        try:
            return self._access.oauth.read_companies(answer.json())
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._try_later("its list of companies cannot be read", NOT_USABLE, answer) from None

    def give_back(self, refresh_token: str) -> None:
        """End the consent: its tokens become invalid."""
        self._send(self._access.oauth.give_back(refresh_token))

    def _ask(self, form: dict[str, str]) -> TokenGrant:
        """Ask for tokens.

        Raises:
            Halt: also TRY_LATER where the answer cannot be read, so that its tokens are lost.
        """
        answer = self._send(self._access.oauth.token_request(form))
        try:
            grant = self._access.oauth.read_grant(answer.json())
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._try_later("its answer cannot be read", NOT_USABLE, answer) from None
        redact.register((grant.access_token, grant.refresh_token))
        return grant

    def _send(self, request: Request) -> Response:
        try:
            answer = self._transport.send(request)
        except Retry as fault:
            raise self._try_later(fault.message, NOT_REACHED) from fault
        except Unknown as fault:
            raise self._try_later(fault.message, NOT_USABLE) from fault
        if not 200 <= answer.status <= _NO_CONTENT:  # noqa: PLR2004 -- HTTP's first status of success
            raise self._fault(answer)
        return answer

    def _fault(self, answer: Response) -> GrantRefusedError | Halt:
        """Return the fault that a refusal stands for."""
        if answer.status == _TOO_MANY or answer.status >= _SERVER_ERROR:
            return self._try_later(f"it answered {answer.status}", NOT_USABLE, answer)
        error = _error_code(answer)
        if error == "invalid_grant":
            return GrantRefusedError(error)
        vendor = self._access.vendor
        return Halt(
            f"{vendor}'s token service refused the call: {answer.status} {error or 'without a reason'}",
            exit_code=Exit.MISCONFIGURED,
            code=error or "token_refused",
            remedy=f"check client_id and client_secret: those of the same {vendor} app, for the same environment",
            vendor_request_id=self._access.request_id(answer.headers),
        )

    def _try_later(self, reason: str, code: str, answer: Response | None = None) -> Halt:
        return Halt(
            f"{self._access.vendor}'s token service gave no access token: {reason}",
            exit_code=Exit.TRY_LATER,
            code=code,
            remedy="run again later",
            vendor_request_id=self._access.request_id(answer.headers) if answer else None,
        )


def _error_code(answer: Response) -> str:
    """Return the `error` of an OAuth error body. Its description may hold a token and is left out."""
    try:
        error = answer.json().get("error")
    except (ValueError, AttributeError):
        return ""
    return redact.mask(str(error))[:ERROR_LENGTH_MAX] if error else ""
