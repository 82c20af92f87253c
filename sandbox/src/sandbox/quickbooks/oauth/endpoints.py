"""The HTTP side of OAuth: authorize page, token, revoke, discovery, user info."""

from __future__ import annotations

import base64
import binascii
from contextlib import suppress
from html import escape
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox.quickbooks import answers, codec
from sandbox.quickbooks.company import DEFAULT_REALM
from sandbox.quickbooks.oauth.consents import ACCOUNTING, OAuthError

if TYPE_CHECKING:
    from sandbox.quickbooks.state import QuickBooksState

SCOPES = (ACCOUNTING, "com.intuit.quickbooks.payment", "openid", "profile", "email", "phone", "address")
HARD_EXPIRY_HEADER = "x-include-refresh-token-hard-expires-in"
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Connect to QuickBooks (simulator)</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; font: 17px/1.5 system-ui, sans-serif; }}
main {{ max-width: 32rem; margin: 1.5rem; padding: 2rem; border: 1px solid #8886; border-radius: 12px; }}
h1 {{ margin: 0 0 .75rem; font-size: 1.5rem; line-height: 1.25; }}
p, label {{ overflow-wrap: anywhere; }}
select, button {{ font: inherit; padding: .4rem .8rem; margin: .25rem .5rem .25rem 0; max-width: 100%; }}
.quiet {{ opacity: .7; font-size: .9rem; margin-bottom: 0; }}
</style></head>
<body><main><h1>Connect this app to QuickBooks?</h1>
<p>The app <strong>{client}</strong> asks for access to: {scope}.</p>
<form method="post">{hidden}
<label>Company <select name="realm">{companies}</select></label>
<p><button name="decision" value="connect">Connect</button>
<button name="decision" value="cancel">Cancel</button></p></form>
<p class="quiet">A simulator of Intuit's page: nobody signs in here, and no real company is behind it.</p>
</main></body></html>"""


def routes(state: QuickBooksState) -> list[Route]:
    """Return all OAuth routes of the simulator."""
    endpoints = Endpoints(state)
    documents = [
        Route(f"/.well-known/{name}{slash}", endpoints.discovery, methods=["GET"])
        for name in ("openid_configuration", "openid_sandbox_configuration")
        for slash in ("", "/")
    ]
    return [
        Route("/connect/oauth2", endpoints.page, methods=["GET"]),
        Route("/connect/oauth2", endpoints.decide, methods=["POST"]),
        Route("/oauth2/v1/tokens/bearer", endpoints.token, methods=["POST"]),
        Route("/v2/oauth2/tokens/revoke", endpoints.revoke, methods=["POST"]),
        Route("/v1/openid_connect/userinfo", endpoints.user_info, methods=["GET"]),
        Route("/op/v1/jwks", endpoints.keys, methods=["GET"]),
        *documents,
    ]


class Endpoints:
    """The handlers; each answers errors as RFC 6749 asks."""

    def __init__(self, state: QuickBooksState) -> None:
        self._state = state

    async def page(self, request: Request) -> Response:
        """Return the consent page, or a plain refusal where redirecting back would be unsafe."""
        params = dict(request.query_params)
        problem = self._problem(params)
        if problem:
            return HTMLResponse(f"<!DOCTYPE html><title>Error</title><p>{escape(problem)}</p>", 400)
        if params.get("response_type") != "code" or not params.get("state"):
            return _back(params, error="invalid_request")
        if not set(params.get("scope", "").split()) & {ACCOUNTING}:
            return _back(params, error="invalid_scope")
        names = ("client_id", "redirect_uri", "state", "scope")
        hidden = "".join(f'<input type="hidden" name="{name}" value="{escape(params[name])}">' for name in names)
        companies = "".join(
            f'<option value="{books.realm}">{escape(books.company.CompanyName)} ({books.realm})</option>'
            for books in self._state.companies()
        )
        client, scope = escape(params["client_id"]), escape(params["scope"])
        return HTMLResponse(PAGE.format(client=client, scope=scope, hidden=hidden, companies=companies))

    async def decide(self, request: Request) -> Response:
        """Handle Connect or Cancel on the consent page."""
        form = {name: str(value) for name, value in (await request.form()).items()}
        params = {**request.query_params, **form}
        if problem := self._problem(params):
            return HTMLResponse(f"<!DOCTYPE html><title>Error</title><p>{escape(problem)}</p>", 400)
        if params.get("decision") != "connect":
            return _back(params, error="access_denied")
        realm = params.get("realm") or DEFAULT_REALM
        if self._state.books(realm) is None:
            return _back(params, error="access_denied")
        code = self._state.consents.new_code(
            params["client_id"], realm, params["redirect_uri"], params.get("scope", ACCOUNTING)
        )
        return _back(params, code=code, realmId=realm)

    def _problem(self, params: dict[str, str]) -> str | None:
        client = self._state.consents.client(params.get("client_id", ""))
        if client is None:
            return "The client_id is not known."
        try:
            target = urlsplit(params.get("redirect_uri", ""))
        except ValueError:
            return "The redirect_uri is not a URL."
        local = target.scheme == "http" and target.hostname == "localhost"
        if (target.scheme != "https" and not (local and client[1] == "sandbox")) or _is_address(target.hostname):
            return "The redirect_uri must be https and no IP address, or http://localhost for development keys."
        if client[2] != "*" and params["redirect_uri"] not in client[2].split():
            return "The redirect_uri is not registered for this app."
        return None

    async def token(self, request: Request) -> Response:
        """Exchange a code, or refresh."""
        try:
            form = {name: str(value) for name, value in (await request.form()).items()}
            return self._token(request, form)
        except OAuthError as error:
            return _json(error.body, error.status)

    def _token(self, request: Request, form: dict[str, str]) -> Response:
        consents = self._state.consents
        client_id, secret = _credentials(request, form)
        consents.authenticate(client_id, secret)
        if form.get("grant_type") == "refresh_token":
            consent = consents.refresh(client_id, form.get("refresh_token", ""))
        elif form.get("grant_type") == "authorization_code":
            consent = self._exchange(client_id, form)
        else:
            raise OAuthError("unsupported_grant_type")
        hard_expiry = request.headers.get(HARD_EXPIRY_HEADER, "").lower() == "true"
        return _json(consents.issue(consent, hard_expiry=hard_expiry))

    def _exchange(self, client_id: str, form: dict[str, str]) -> int:
        return self._state.consents.exchange(client_id, form.get("code", ""), form.get("redirect_uri", ""))

    async def revoke(self, request: Request) -> Response:
        """Revoke a token pair; JSON or form."""
        raw = await request.body()
        try:
            body = codec.decode(raw) if raw.lstrip().startswith(b"{") else dict(await request.form())
            client_id, secret = _credentials(request, {})
            self._state.consents.authenticate(client_id, secret)
        except OAuthError as error:
            return _json(error.body, error.status)
        except ValueError:
            return _json({"error": "invalid_request"}, 400)
        known = self._state.consents.revoke(client_id, str(body.get("token", "")))
        return Response(b"", 200, answers.tid()) if known else _json({"error": "invalid_request"}, 400)

    async def user_info(self, request: Request) -> Response:
        """Return who is signed in; always the same person."""
        found = self._state.consents.access(bearer(request.headers.get("authorization", "")))
        if found is None or isinstance(found, str):
            return _json({"error": "invalid_token"}, 401)
        person = {"sub": "0f1c7f56", "email": "owner@sandbox.example", "emailVerified": True, "givenName": "Sandra"}
        return _json(person)

    async def keys(self, _request: Request) -> Response:
        """Return no signing keys: the simulator issues no id tokens."""
        return _json({"keys": []})

    async def discovery(self, request: Request) -> Response:
        """Return the discovery document, pointing back at this server."""
        base = str(request.base_url).rstrip("/")
        return _json(
            {
                "issuer": f"{base}/op/v1",
                "authorization_endpoint": f"{base}/connect/oauth2",
                "token_endpoint": f"{base}/oauth2/v1/tokens/bearer",
                "userinfo_endpoint": f"{base}/v1/openid_connect/userinfo",
                "revocation_endpoint": f"{base}/v2/oauth2/tokens/revoke",
                "jwks_uri": f"{base}/op/v1/jwks",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid", "email", "profile", "address", "phone"],
                "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
                "claims_supported": ["aud", "exp", "iat", "iss", "realmid", "sub"],
            }
        )


def _is_address(host: str | None) -> bool:
    with suppress(ValueError):
        ip_address(host or "")
        return True
    return False


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return JSONResponse(body, status, {**answers.tid(), "Cache-Control": "no-store"})


def _back(params: dict[str, str], **answer: str) -> Response:
    """Send the browser to the app, with the state it gave."""
    given = {"state": params["state"]} if params.get("state") else {}
    target = params["redirect_uri"]
    mark = "&" if "?" in target else "?"
    return RedirectResponse(f"{target}{mark}{urlencode({**answer, **given})}", 302)


def _credentials(request: Request, form: dict[str, str]) -> tuple[str, str]:
    """Return the keys from Basic authentication or from the form.

    Raises:
        OAuthError: 401 invalid_client.
    """
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        client_id, _, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise OAuthError("invalid_client", status=401) from error
    return client_id, secret


def bearer(header: str) -> str:
    """Return the token of an Authorization header; empty when there is none."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
