"""Who may use which company: clients, authorization codes, refresh chains, access tokens."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from sandbox.common.clock import SimClock
from sandbox.quickbooks.db import Database
from sandbox.quickbooks.switches import Switches

ACCOUNTING = "com.intuit.quickbooks.accounting"
CODE_SECONDS = 600


class OAuthError(Exception):
    """A refusal of the token endpoint: HTTP status and the JSON of RFC 6749 §5.2."""

    def __init__(self, error: str, description: str | None = None, status: int = 400) -> None:
        super().__init__(description or error)
        self.status = status
        self.body = {"error": error} | ({"error_description": description} if description else {})


@dataclass(frozen=True)
class Access:
    """What a valid access token stands for."""

    client_id: str
    realm: str
    environment: str
    scope: str


class Consents:
    """The authorization server's memory; times are virtual."""

    def __init__(self, database: Database, clock: SimClock, switches: Switches) -> None:
        self._db = database
        self._clock = clock
        self._switches = switches

    def add_client(self, client_id: str, secret: str, environment: str, redirect_uris: str = "*") -> None:
        """Register an app's keys; `redirect_uris` are separated by spaces, `*` allows any."""
        self._db.run("INSERT OR REPLACE INTO client VALUES (?, ?, ?, ?)", client_id, secret, environment, redirect_uris)

    def client(self, client_id: str) -> tuple[str, str, str] | None:
        """Return (secret, environment, redirect_uris) of a client."""
        row = self._db.one("SELECT secret, environment, redirect_uris FROM client WHERE client_id = ?", client_id)
        return (row[0], row[1], row[2]) if row else None

    def authenticate(self, client_id: str, secret: str) -> None:
        """Check an app's keys.

        Raises:
            OAuthError: 401 invalid_client.
        """
        client = self.client(client_id)
        if client is None or not secrets.compare_digest(client[0].encode(), secret.encode()):
            raise OAuthError("invalid_client", status=401)

    def new_code(self, client_id: str, realm: str, redirect_uri: str, scope: str) -> str:
        """Return an authorization code, good once and for ten minutes."""
        code = "AB1" + secrets.token_urlsafe(30)
        self._db.run(
            "INSERT INTO code VALUES (?, ?, ?, ?, ?, ?, NULL)",
            code,
            client_id,
            realm,
            redirect_uri,
            scope,
            self._clock.epoch(),
        )
        return code

    def exchange(self, client_id: str, code: str, redirect_uri: str) -> int:
        """Turn a code into a consent; returns its id.

        Raises:
            OAuthError: invalid_grant. A code used before kills the tokens it once gave (a switch).
        """
        row = self._db.one("SELECT client_id, realm, redirect_uri, scope, at, grant_id FROM code WHERE code = ?", code)
        if row is None or row[0] != client_id or row[2] != redirect_uri:
            raise OAuthError("invalid_grant", "Invalid authorization code")
        if row[5] is not None:
            if self._switches.code_reuse_revokes:
                self._revoke(row[5])
            raise OAuthError("invalid_grant", "Authorization code was used before")
        if self._clock.epoch() - row[4] > CODE_SECONDS:
            raise OAuthError("invalid_grant", "Authorization code expired")
        consent = self.grant(client_id, row[1], scope=row[3])
        self._db.run("UPDATE code SET grant_id = ? WHERE code = ?", consent, code)
        return consent

    def grant(self, client_id: str, realm: str, *, scope: str = ACCOUNTING, refresh_token: str | None = None) -> int:
        """Record that a person connected a company."""
        now = self._clock.epoch()
        token = refresh_token or _refresh_token()
        cursor = self._db.run(
            "INSERT INTO consent (client_id, realm, scope, authorized_at, refreshed_at, refresh_token, issued_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            client_id,
            realm,
            scope,
            now,
            now,
            token,
            now,
        )
        return int(cursor.lastrowid or 0)

    def refresh(self, client_id: str, token: str) -> int:
        """Use a refresh token; its value changes when it is a day old. Returns the consent's id.

        Raises:
            OAuthError: invalid_grant: another app's, an access token, unknown, replaced, idle, expired or revoked.
        """
        row = self._db.one(
            "SELECT id, client_id, authorized_at, refreshed_at, issued_at, revoked, old_token = ?, old_until "
            "FROM consent WHERE refresh_token = ? OR old_token = ?",
            token,
            token,
            token,
        )
        if row is None:
            is_access = self._db.one("SELECT 1 FROM access WHERE token = ?", token)
            raise OAuthError("invalid_grant", "Incorrect Token type or clientID" if is_access else "Token invalid")
        if row[1] != client_id:
            raise OAuthError("invalid_grant", "Incorrect Token type or clientID")
        self._check_alive(row)
        self._touch(row[0], row[4])
        return int(row[0])

    def _check_alive(self, row: tuple[Any, ...]) -> None:
        now = self._clock.epoch()
        _, _, authorized_at, refreshed_at, _, revoked, is_old, old_until = row
        dead = (
            revoked
            or (is_old and now >= (old_until or 0))
            or now - refreshed_at > self._switches.refresh_idle_seconds
            or now - authorized_at > self._switches.refresh_hard_seconds
        )
        if dead:
            raise OAuthError("invalid_grant", "Token has been expired or revoked.")

    def _touch(self, consent: int, issued_at: float) -> None:
        now = self._clock.epoch()
        self._db.run("UPDATE consent SET refreshed_at = ? WHERE id = ?", now, consent)
        if now - issued_at >= self._switches.refresh_rotation_seconds:
            self._db.run(
                "UPDATE consent SET old_token = refresh_token, old_until = ?, refresh_token = ?, issued_at = ? "
                "WHERE id = ?",
                now + self._switches.old_refresh_grace_seconds,
                _refresh_token(),
                now,
                consent,
            )

    def issue(self, consent: int, *, hard_expiry: bool) -> dict[str, Any]:
        """Return a fresh access token with the current refresh token: the token endpoint's answer."""
        now = self._clock.epoch()
        row = self._db.one("SELECT refresh_token, authorized_at FROM consent WHERE id = ?", consent)
        refresh_token, authorized_at = row or ("", now)
        token = "eyJlbmMiOiJBMTI4Q0JDLUhTMjU2IiwiYWxnIjoiZGlyIn0.." + secrets.token_urlsafe(64)
        lifetime = self._switches.access_token_seconds
        self._db.run("INSERT INTO access VALUES (?, ?, ?)", token, consent, now + lifetime)
        hard_left = int(authorized_at + self._switches.refresh_hard_seconds - now)
        answer = {
            "token_type": "bearer",
            "access_token": token,
            "refresh_token": refresh_token,
            "expires_in": lifetime,
            "x_refresh_token_expires_in": min(self._switches.refresh_idle_seconds, hard_left),
        }
        return answer | ({"x_refresh_token_hard_expires_in": hard_left} if hard_expiry else {})

    def access(self, token: str) -> Access | str | None:
        """Return what an access token stands for; `expired` or `revoked`; None when it was never given out."""
        row = self._db.one(
            "SELECT access.expires_at, consent.client_id, consent.realm, consent.scope, consent.revoked, "
            "client.environment FROM access JOIN consent ON consent.id = access.consent_id "
            "JOIN client ON client.client_id = consent.client_id WHERE access.token = ?",
            token,
        )
        if row is None:
            return None
        if row[4]:
            return "revoked"
        if self._clock.epoch() >= row[0]:
            return "expired"
        return Access(client_id=row[1], realm=row[2], environment=row[5], scope=row[3])

    def revoke(self, client_id: str, token: str) -> bool:
        """Revoke the pair of a refresh or access token; return false when this client has none."""
        row = self._db.one(
            "SELECT id FROM consent WHERE client_id = ? AND (refresh_token = ? OR id = "
            "(SELECT consent_id FROM access WHERE token = ?))",
            client_id,
            token,
            token,
        )
        if row is None:
            return False
        self._revoke(row[0])
        return True

    def disconnect(self, realm: str) -> int:
        """Disconnect a company as its user does: every app loses it. Return how many consents ended."""
        return self._db.run("UPDATE consent SET revoked = 1 WHERE realm = ? AND revoked = 0", realm).rowcount

    def tokens(self, realm: str) -> list[dict[str, Any]]:
        """Return the living refresh tokens of a realm, for tests."""
        rows = self._db.all(
            "SELECT client_id, refresh_token, authorized_at, refreshed_at FROM consent WHERE realm = ? AND revoked = 0",
            realm,
        )
        names = ("client_id", "refresh_token", "authorized_at", "refreshed_at")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def connected(self, realm: str) -> bool:
        """Return whether any app may use this company now."""
        return bool(self.tokens(realm))

    def _revoke(self, consent: int) -> None:
        self._db.run("UPDATE consent SET revoked = 1 WHERE id = ?", consent)


def _refresh_token() -> str:
    return "RT1-" + secrets.token_urlsafe(32)
