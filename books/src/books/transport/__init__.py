"""Authorise, rate-limit and retry every call the same way: a `Request` in, a `Response` out, and wrappers around it.

call        request, response, and a turn (the push lock over several calls)
access      what a vendor's ledger says of its tokens, refusals and request ids; `settings`: one company's
http        the network
governed    wait for the `governor`, the rate limiter that all processes share; `budgets` counts for it
authorised  add a valid access token, from `tokens` (`oauth` requests them, `seal` encrypts them)
retrying    repeat a call where that is safe; `policy` decides when

May import store and core. Start with `build`, below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from books.transport.call import CallKind, Request, Response, Transport, Turns

if TYPE_CHECKING:
    from books.core.clock import Clock
    from books.store import Store
    from books.transport.governor import Governor
    from books.transport.settings import LedgerSettings
    from books.transport.tokens import TokenStore

__all__ = ["CallKind", "Request", "Response", "Transport", "build", "build_with_turns", "governor_of", "tokens_of"]

TOKEN_TIMEOUT_SECONDS = 30
"""A token call is small, and the token lock is held during it."""

# The wrappers are imported late: they import `books.transport.call`, and with it this package.


def build(settings: LedgerSettings, store: Store, clock: Clock) -> Transport:
    """Return the transport to one company: retrying(authorised(governed(network)))."""
    return build_with_turns(settings, store, clock)[0]


def build_with_turns(settings: LedgerSettings, store: Store, clock: Clock) -> tuple[Transport, Turns]:
    """Return the same transport, and a function that holds the company's push lock over several calls."""
    from books.transport.authorised import Authorised
    from books.transport.governed import Governed
    from books.transport.http import HttpTransport
    from books.transport.retrying import Retrying

    wait = settings.max_wait_seconds
    network = HttpTransport(settings.http_timeout)
    governed = Governed(network, governor_of(settings, store, clock), settings.access, settings.connection, clock, wait)
    access = settings.access
    authorised = Authorised(governed, tokens_of(settings, store, clock), access)
    return Retrying(authorised, clock, wait, access), governed.turn


def governor_of(settings: LedgerSettings, store: Store, clock: Clock) -> Governor:
    """Return the rate limiter with a company's budgets."""
    from books.transport.budgets import LEASE_SECONDS
    from books.transport.governor import Governor

    longest = max(LEASE_SECONDS, 2.0 * settings.http_timeout)
    access = settings.access
    return Governor(store, clock, access.limits, ledger=access.ledger, lease_seconds=longest)


def tokens_of(settings: LedgerSettings, store: Store, clock: Clock) -> TokenStore:
    """Return the token store of a company. Token calls count against none of its budgets, and may be repeated."""
    from books.transport.http import HttpTransport
    from books.transport.retrying import Retrying
    from books.transport.tokens import TokenStore

    network = HttpTransport(min(TOKEN_TIMEOUT_SECONDS, settings.http_timeout))
    retrying = Retrying(network, clock, settings.max_wait_seconds, settings.access)
    return TokenStore(settings, store, retrying)
