"""Rotating OAuth tokens: refreshed by one process at a time, and stored before anybody uses them.

An access token lives about an hour; each refresh may return a new refresh token, and then the old one is invalid. If
the newest one is lost, the user has to consent again. So: lock, read again, refresh, commit, use. The moment between
the vendor's answer and our commit cannot be closed, but it is made visible: `refresh_started_at` is committed before
the call and cleared with its outcome. An app that needs nobody's consent (client credentials) has no refresh token:
it asks for a new access token instead.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pendulum
from sqlalchemy import Connection, delete, insert, select

from books.core.backoff import backoff_seconds
from books.core.faults import Exit, Halt
from books.store import Store, troubles
from books.store.tables_infra import token, token_seed
from books.store.upsert import upsert
from books.transport.access import CompanyRef, TokenGrant
from books.transport.call import Transport
from books.transport.oauth import NOT_REACHED, GrantRefusedError, TokenService
from books.transport.seal import Seal, is_sealed
from books.transport.settings import LedgerSettings

logger = logging.getLogger(__name__)

EARLY_SECONDS = 300
"""An access token with less life left is refreshed: a batch may take two minutes."""

SECONDS_A_DAY = 86_400

CLIENT_CREDENTIALS = "client_credentials"
"""The grant of an app that acts without anybody's consent (RFC 6749, 4.4)."""

STORE_SECONDS_MIN = 60
STORE_WAIT_SECONDS = 0.5
STORE_WAIT_SECONDS_MAX = 15
"""How long to retry storing new tokens while the store cannot be used, even where a run may not wait at all."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class TokenState:
    """The state of a company's tokens, for display; it holds no token."""

    connected: bool
    encrypted: bool
    access_expires_at: pendulum.DateTime | None
    refreshed_at: pendulum.DateTime | None
    refresh_age_days: float | None
    """Days since the last refresh; a refresh token that nobody uses expires after some time."""
    refresh_expires_at: pendulum.DateTime | None
    hard_expires_at: pendulum.DateTime | None
    """When the user must consent again, whatever happens."""
    cut_off_at: pendulum.DateTime | None
    """When a refresh began whose outcome was never recorded: if the next one fails, reconnect."""
    refused_at: pendulum.DateTime | None
    """When the vendor last refused every refresh token we have: reconnect."""


class TokenStore:
    """The tokens of one company. `transport` sends token calls: with time-outs and retries, not rate-limited.

    Raises:
        Halt: DEAD_CONNECTION (the user must consent again), MISCONFIGURED (client id or secret, token_key),
            or TRY_LATER (the token service cannot be used now). The call that needed the token was not made.
    """

    def __init__(self, settings: LedgerSettings, store: Store, transport: Transport) -> None:
        self._settings = settings
        self._access = settings.access
        self._connection = settings.connection
        self._store = store
        self._service = TokenService(self._access, transport)
        self._seal = Seal(settings.token_key)

    def access_token(self) -> str:
        """Return an access token with at least five minutes left; refresh it if needed."""
        with self._store.read() as conn:
            current = self._usable(conn, self._row(conn), rejected=None)
        return current or self.refresh()

    def refresh(self, rejected: str | None = None) -> str:
        """Return a new access token, or the one that another process has just fetched.

        `rejected` is an access token that the API refused although it had not expired.
        """
        with self._locked():
            with self._store.read() as conn:
                row = self._row(conn)
                current = self._usable(conn, row, rejected)
            return current or self._refresh(row)

    def exchange(self, code: str, redirect_uri: str) -> tuple[TokenGrant, Sequence[CompanyRef] | None]:
        """Exchange the code of a consent for tokens; return them, not stored yet, and the companies they are for.

        The companies are None where the callback named the one company of the consent.
        """
        try:
            grant = self._service.exchange(code, redirect_uri)
        except GrantRefusedError:
            vendor = self._access.vendor
            raise self._dead(f"{vendor} refused the code of the consent: it was used already, or is too old") from None
        return grant, self._service.companies(grant.access_token)

    def keep(self, grant: TokenGrant) -> None:
        """Store the tokens of a consent; they replace all others."""
        with self._locked():
            self._store_grant(grant, None)

    def give_back(self, grant: TokenGrant) -> None:
        """End a consent whose tokens were not stored. A failure is logged: the consent then stays, unused."""
        try:
            self._service.give_back(str(grant.refresh_token or grant.access_token))
        except (GrantRefusedError, Halt) as fault:
            logger.warning("A consent that is not used could not be given back: %s", fault)

    def revoke(self) -> Halt | None:
        """End the consent and delete the tokens, also those of the settings that were never used.

        If the vendor cannot be reached, the tokens are deleted all the same; returns why it could not be ended.
        """
        with self._locked():
            trouble = self._revoke_all()
            with self._store.begin() as conn:
                conn.execute(delete(token).where(token.c.connection == self._connection))
                self._mark_used((self._settings.refresh_token,), conn)
        return trouble

    def retire_seeds(self, seeds: Iterable[str | None]) -> None:
        """Mark refresh tokens of the settings as used: what the store holds, or none, is newer."""
        with self._locked(), self._store.begin() as conn:
            self._mark_used(seeds, conn)

    def state(self) -> TokenState:
        """Return the current state; makes no call and needs no token_key."""
        with self._store.read() as conn:
            row, now = self._row(conn), self._store.now(conn)
        refreshed_at = row.get("refreshed_at")
        return TokenState(
            connected=bool(row.get("refresh_token") or self._needs_no_consent) and not row.get("refused_at"),
            encrypted=is_sealed(row.get("refresh_token")),
            access_expires_at=row.get("access_expires_at"),
            refreshed_at=refreshed_at,
            refresh_age_days=(now - refreshed_at).total_seconds() / SECONDS_A_DAY if refreshed_at else None,
            refresh_expires_at=row.get("refresh_expires_at"),
            hard_expires_at=row.get("hard_expires_at"),
            cut_off_at=row.get("refresh_started_at"),
            refused_at=row.get("refused_at"),
        )

    @property
    def _needs_no_consent(self) -> bool:
        return self._access.oauth.grant == CLIENT_CREDENTIALS

    def _locked(self) -> AbstractContextManager[object]:
        """Lock this company's tokens; other processes wait at most `max_wait_seconds`."""
        return self._store.lock(f"token {self._connection}", self._settings.max_wait_seconds)

    def _row(self, conn: Connection) -> Row:
        """Return the company's row; empty where it has none."""
        row = conn.execute(select(token).where(token.c.connection == self._connection)).mappings().first()
        return dict(row) if row else {}

    def _usable(self, conn: Connection, row: Row, rejected: str | None) -> str | None:
        """Return the stored access token unless it expires soon, was refused, or a newer refresh token was pasted."""
        expires_at = row.get("access_expires_at")
        if expires_at is None or expires_at < self._store.now(conn).add(seconds=EARLY_SECONDS):
            return None
        if self._newly_pasted(conn) is not None:
            return None
        access_token = self._seal.open(row.get("access_token"))
        return access_token if access_token != rejected else None

    def _newly_pasted(self, conn: Connection) -> str | None:
        """Return the refresh token of the settings, if the store has never seen it.

        Every used one is remembered, so that an old one, left in the settings of one plugin after a newer one was
        pasted into another's, is not used again.
        """
        pasted = self._settings.refresh_token
        return None if pasted is None or self._is_old(pasted, conn) else pasted

    def _is_old(self, seed: str, conn: Connection) -> bool:
        ours = token_seed.c.connection == self._connection
        seen = select(token_seed.c.sha256).where(ours, token_seed.c.sha256 == _sha256(seed))
        return conn.execute(seen).first() is not None

    def _refresh(self, row: Row) -> str:
        """Refresh with the first refresh token that the vendor accepts; the lock is held."""
        if self._needs_no_consent:
            return self._ask_anew(row)
        candidates = self._candidates(row)
        first = next(candidates, None)
        if first is None:
            raise self._dead("there is no refresh token for this company yet")
        self._mark(started=True)
        for name, refresh_token in chain((first,), candidates):
            access_token = self._refresh_with(refresh_token)
            if access_token is not None:
                return access_token
            logger.warning("%s refused %s of %s (invalid_grant)", self._access.vendor, name, self._connection)
        raise self._refused(row)

    def _refresh_with(self, refresh_token: str) -> str | None:
        """Return a new access token; None where the vendor refuses this refresh token."""
        with self._store.read() as conn:
            refreshed_at = self._row(conn).get("refreshed_at")
        try:
            grant = self._service.refresh(refresh_token)
        except GrantRefusedError:
            return None
        except Halt as halt:
            if _nothing_issued(halt):
                self._mark(started=False)
            raise
        return self._store_grant(grant, refresh_token, refreshed_at)

    def _ask_anew(self, row: Row) -> str:
        """Return an access token of an app that needs nobody's consent."""
        try:
            grant = self._service.client_credentials()
        except GrantRefusedError:
            raise self._refused(row) from None
        return self._store_grant(grant, None)

    def _candidates(self, row: Row) -> Iterator[tuple[str, str]]:
        """Yield the refresh tokens to try, each once: pasted, stored, stored by another process meanwhile, previous.

        The previous one works only within a vendor's grace period; it is the last resort.
        """
        sources: tuple[tuple[str, Callable[[], str | None]], ...] = (
            ("the refresh_token of the settings", self._pasted),
            ("the stored refresh token", lambda: self._seal.open(row.get("refresh_token"))),
            ("the stored refresh token, read again,", lambda: self._stored("refresh_token")),
            ("the previous refresh token", lambda: self._stored("previous_refresh_token")),
        )
        tried: set[str] = set()
        for name, read in sources:
            candidate = read()
            if candidate is not None and candidate not in tried:
                tried.add(candidate)
                yield name, candidate

    def _pasted(self) -> str | None:
        with self._store.read() as conn:
            return self._newly_pasted(conn)

    def _stored(self, column: str) -> str | None:
        with self._store.read() as conn:
            return self._seal.open(self._row(conn).get(column))

    def _mark(self, *, started: bool) -> None:
        """Record that a refresh begins, or that it ended without new tokens that could be lost."""
        with self._store.begin() as conn:
            self._put(conn, {"refresh_started_at": self._store.now(conn) if started else None})

    def _store_grant(self, grant: TokenGrant, used: str | None, refreshed_at: pendulum.DateTime | None = None) -> str:
        """Commit the tokens for the refresh token `used` (None: for a consent); return the access token.

        Nobody else has these tokens: if the store cannot be written, it is tried again for `max_wait_seconds`.

        Raises:
            Halt: TRY_LATER; the store could not be written in all that time, and the new refresh token is lost.
        """
        clock, tries = self._store.clock, 0
        deadline = clock.monotonic() + max(self._settings.max_wait_seconds, STORE_SECONDS_MIN)
        while True:
            try:
                return self._try_to_store(grant, used, refreshed_at)
            except Halt as halt:
                if halt.code != troubles.UNAVAILABLE:
                    raise
                if clock.monotonic() >= deadline:
                    raise self._tokens_lost(halt) from halt
                logger.warning("New tokens of %s could not be stored yet: %s", self._connection, halt.message)
            tries += 1
            clock.sleep(backoff_seconds(tries, first=STORE_WAIT_SECONDS, seconds_max=STORE_WAIT_SECONDS_MAX))

    def _try_to_store(self, grant: TokenGrant, used: str | None, refreshed_at: pendulum.DateTime | None) -> str:
        """Store the tokens, unless the lock was lost and another process has refreshed: its tokens are newer."""
        with self._store.begin() as conn:
            if used is not None and self._row(conn).get("refreshed_at") not in (None, refreshed_at):
                return grant.access_token
            now = self._store.now(conn)
            values = {
                "access_token": self._seal.close(grant.access_token),
                "access_expires_at": _after(now, grant.expires_in),
                "refresh_token": self._seal.close(grant.refresh_token),
                "refresh_expires_at": _after(now, grant.refresh_expires_in),
                "refreshed_at": now,
                "refresh_started_at": None,
                "refused_at": None,
            }
            if used != grant.refresh_token:
                values["previous_refresh_token"] = self._seal.close(used)
            if grant.hard_expires_in is not None or used in (None, self._settings.refresh_token):
                values["hard_expires_at"] = _after(now, grant.hard_expires_in)  # else what is stored stays
            self._put(conn, values)
            self._mark_used((self._settings.refresh_token,), conn)
        return grant.access_token

    def _mark_used(self, seeds: Iterable[str | None], conn: Connection) -> None:
        """Remember these refresh tokens as used, in whichever plugin's settings they are."""
        for seed in {each for each in seeds if each}:
            if not self._is_old(seed, conn):
                seen = {"connection": self._connection, "sha256": _sha256(seed), "seen_at": self._store.now(conn)}
                conn.execute(insert(token_seed).values(**seen))

    def _refused(self, row: Row) -> Halt:
        """Record that every refresh token was refused, and return the fault. `row` is as before this refresh."""
        cut_off_at = row.get("refresh_started_at")
        with self._store.begin() as conn:
            self._put(conn, {"refresh_started_at": cut_off_at, "refused_at": self._store.now(conn)})
        cut_off = f"; a refresh was interrupted at {cut_off_at}, and its tokens are lost" if cut_off_at else ""
        return self._dead(f"token expired: {self._access.vendor} refused the refresh token (invalid_grant){cut_off}")

    def _revoke_all(self) -> Halt | None:
        """End the consent of every refresh token; return the fault if one could not be ended."""
        try:
            living = dict.fromkeys(filter(None, (self._pasted(), self._stored("refresh_token"))))
            for refresh_token in living:
                self._service.give_back(refresh_token)
        except GrantRefusedError:
            logger.info("The consent of %s had ended already", self._connection)
        except Halt as halt:
            return halt
        return None

    def _dead(self, message: str) -> Halt:
        remedy = self._access.reconnect
        return Halt(message, exit_code=Exit.DEAD_CONNECTION, code="dead_connection", remedy=remedy)

    def _tokens_lost(self, halt: Halt) -> Halt:
        return Halt(
            f"{halt.message}; new tokens from {self._access.vendor} could not be stored",
            exit_code=Exit.TRY_LATER,
            code=halt.code,
            remedy=f"{halt.remedy}; if the next run reports a refused refresh token, {self._access.reconnect}",
        )

    def _put(self, conn: Connection, values: Mapping[str, Any]) -> None:
        upsert(conn, token, [{"connection": self._connection, **values}])


def _nothing_issued(halt: Halt) -> bool:
    """Return whether the vendor cannot have issued a token that is now lost: it was not reached, or refused the app."""
    return halt.code == NOT_REACHED or halt.exit_code is Exit.MISCONFIGURED


def _after(now: pendulum.DateTime, seconds: int | None) -> pendulum.DateTime | None:
    return None if seconds is None else now.add(seconds=seconds)


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
