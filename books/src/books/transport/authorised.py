"""Add the access token to each call; replace an expired one once."""

from __future__ import annotations

from dataclasses import replace

from books.transport.access import Access, AccessDeniedError, Meaning
from books.transport.call import Request, Response, Transport
from books.transport.tokens import TokenStore


class Authorised:
    """Sends with a token from the store. A refused token means that the call did not run, so any kind is sent again.

    Raises:
        AccessDeniedError: refused with a token that was fetched a moment ago, or the consent does not cover the call
            or the company.
        Halt: as `TokenStore` raises it.
    """

    def __init__(self, inner: Transport, tokens: TokenStore, access: Access) -> None:
        self._inner = inner
        self._tokens = tokens
        self._access = access

    def send(self, request: Request) -> Response:
        """Send the request with a token."""
        access_token = self._tokens.access_token()
        answer = self._inner.send(_with_token(request, access_token))
        denial = self._access.denial(answer)
        if denial is not None and denial.meaning is Meaning.EXPIRED:
            answer = self._inner.send(_with_token(request, self._tokens.refresh(rejected=access_token)))
            denial = self._access.denial(answer)
        if denial is not None:
            raise AccessDeniedError(denial, self._access.request_id(answer.headers))
        return answer


def _with_token(request: Request, access_token: str) -> Request:
    return replace(request, headers={**request.headers, "Authorization": f"Bearer {access_token}"})
