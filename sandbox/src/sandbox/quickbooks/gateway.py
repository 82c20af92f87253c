"""What stands before the books: is the token good, for this company, within the limits?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.quickbooks import faults, limits
from sandbox.quickbooks.books import Books
from sandbox.quickbooks.oauth.consents import Access
from sandbox.quickbooks.oauth.endpoints import bearer

if TYPE_CHECKING:
    from sandbox.quickbooks.state import QuickBooksState

TOKEN_CHARACTERS_MIN = 20


@dataclass(frozen=True)
class Caller:
    """Who calls, and whose books."""

    app: str
    books: Books


def admit(state: QuickBooksState, realm: str, authorization: str) -> Caller:
    """Check token and realm.

    Raises:
        ApiFault: 3200 with 401, or 3100 with 403.
    """
    token = bearer(authorization)
    found = state.consents.access(token)
    if not isinstance(found, Access):
        raise faults.authentication_failed(_why(token, found))
    books = state.books(realm)
    wrong_realm = books is None or found.realm != realm
    if books is None or wrong_realm or not _right_environment(state, books, found):
        raise faults.authorization_failed(f"Token is not authorized for company {realm}")
    return Caller(found.client_id, books)


def _right_environment(state: QuickBooksState, books: Books, access: Access) -> bool:
    here = state.switches.environment
    return access.environment == here == books.company.environment


def _why(token: str, found: str | None) -> str:
    if found == "expired":
        return f"Token expired: {token[:4]}***"
    if len(token) < TOKEN_CHARACTERS_MIN:
        return "Malformed bearer token: too short or too long"
    return "Token revoked" if found == "revoked" else "Invalid token"


def throttle(state: QuickBooksState, caller: Caller, *, batch_items: int | None = None) -> None:
    """Count the request against every limit.

    Raises:
        ApiFault: 3001 with 429.
    """
    most = state.switches.concurrent_requests
    if most and state.log.in_work > most:
        raise faults.throttled(limits.retry_after(state.clock, state.switches, 1))
    limits.check(
        state.limiter,
        state.clock,
        state.switches,
        realm=caller.books.realm,
        app=caller.app,
        batch_items=batch_items,
    )


def meter(state: QuickBooksState, caller: Caller, reads: int = 1) -> None:
    """Count a successful read ("CorePlus") of this month; writes are free."""
    state.db.run(
        "INSERT INTO metered VALUES (?, ?, ?) "
        "ON CONFLICT (client_id, month) DO UPDATE SET calls = calls + excluded.calls",
        caller.app,
        _month(state),
        reads,
    )


def check_quota(state: QuickBooksState, caller: Caller) -> None:
    """Refuse reads beyond the month's quota, where the switch sets one.

    Raises:
        ApiFault: 3001 with 429, the same as any other.
    """
    quota = state.switches.metered_quota
    if quota and metered(state, caller.app) >= quota:
        raise faults.throttled()


def metered(state: QuickBooksState, app: str) -> int:
    """Return reads counted this month."""
    row = state.db.one("SELECT calls FROM metered WHERE client_id = ? AND month = ?", app, _month(state))
    return int(row[0]) if row else 0


def _month(state: QuickBooksState) -> str:
    return state.clock.now().strftime("%Y-%m")
