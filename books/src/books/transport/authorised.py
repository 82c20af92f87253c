"""Add the access token to each call; replace a refused one once."""

from __future__ import annotations

from dataclasses import replace

from books.core.faults import RECONNECT, Exit, Halt
from books.transport.call import Request, Response, Transport
from books.transport.tokens import TokenStore

UNAUTHORISED = 401


class Authorised:
    """Sends with a token from the store. A 401 means that the call did not run, so any kind is sent again once.

    Raises:
        Halt: DEAD_CONNECTION; refused with a token that was fetched a moment ago. Also as `TokenStore` raises it.
    """

    def __init__(self, inner: Transport, tokens: TokenStore) -> None:
        self._inner = inner
        self._tokens = tokens

    def send(self, request: Request) -> Response:
        """Send the request with a token."""
        access_token = self._tokens.access_token()
        answer = self._inner.send(_with_token(request, access_token))
        if answer.status != UNAUTHORISED:
            return answer
        answer = self._inner.send(_with_token(request, self._tokens.refresh(rejected=access_token)))
        if answer.status == UNAUTHORISED:
            raise Halt(
                "token expired: QuickBooks refused a token that was refreshed a moment ago (401)",
                exit_code=Exit.DEAD_CONNECTION,
                code="3200",
                remedy=RECONNECT,
                vendor_request_id=answer.headers.get("intuit_tid"),
            )
        return answer


def _with_token(request: Request, access_token: str) -> Request:
    return replace(request, headers={**request.headers, "Authorization": f"Bearer {access_token}"})
