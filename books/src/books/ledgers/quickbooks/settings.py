"""The settings of the QuickBooks plugins, and Intuit's addresses."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from books.core.settings import endpoint, host_of, setting
from books.ledgers.settings import PullSettings, PushSettings
from books.transport.settings import LedgerSettings

if TYPE_CHECKING:
    from books.ledgers.quickbooks.access import QuickBooksAccess

API_HOSTS = {
    "sandbox": "https://sandbox-quickbooks.api.intuit.com",
    "production": "https://quickbooks.api.intuit.com",
}
"""Intuit's API hosts by environment (Intuit, "REST API features"). Both use the same token host."""

TOKEN_HOST = "https://oauth.platform.intuit.com"  # noqa: S105 -- an address, not a secret
TOKEN_PATH = "/oauth2/v1/tokens/bearer"  # noqa: S105 -- a path, not a secret
AUTHORIZE_HOST = "https://appcenter.intuit.com"
AUTHORIZE_PATH = "/connect/oauth2"
REVOKE_HOST = "https://developer.api.intuit.com"
REVOKE_PATH = "/v2/oauth2/tokens/revoke"

REALM_ID = re.compile(r"[0-9]{1,20}")

BATCH_SIZE_MAX = 30
"""Operations in one batch (Intuit, "API call limits and throttles")."""


def _realm_id(text: str) -> str:
    if not REALM_ID.fullmatch(text):
        raise ValueError("must be the company's id: digits only")
    return text


@dataclass(frozen=True, kw_only=True)
class QuickBooksSettings(LedgerSettings):
    """One company at Intuit: address, credentials and limits."""

    environment: Literal["sandbox", "production"] = setting(
        "`sandbox` or `production`; picks the Intuit API host", default="sandbox"
    )
    realm_id: str = setting("The company's id at Intuit: digits", check=_realm_id)
    client_id: str = setting("The Intuit app's client id", secret=True)
    client_secret: str = setting("The Intuit app's client secret", secret=True)
    requests_per_minute: int = setting("Calls a minute and company (Intuit allows 500)", default=450, least=1)
    requests_per_second: int = setting("Calls a second and company (Intuit allows 10)", default=8, least=1)
    batches_per_minute: int = setting("Batches a minute and company (Intuit allows 40)", default=36, least=1)
    http_timeout: int = setting(
        "Seconds to wait for an answer (Intuit gives up at 120); connecting may take 10", default=130, least=1
    )

    @property
    def company_id(self) -> str:
        """The realm id."""
        return self.realm_id

    def of_company(self, company_id: str) -> QuickBooksSettings:
        """Return the same settings for another company of the same app."""
        return replace(self, realm_id=company_id)

    @cached_property
    def access(self) -> QuickBooksAccess:
        """How Intuit authorises, limits and answers calls."""
        from books.ledgers.quickbooks.access import QuickBooksAccess

        return QuickBooksAccess(self)

    @property
    def api_base(self) -> str:
        """The API's address without a trailing slash; `/v3/company/...` follows."""
        return (self.api_url or API_HOSTS[self.environment]).rstrip("/")

    @property
    def token_endpoint(self) -> str:
        """The address for token requests. `token_url` may be a host alone or the whole address."""
        return endpoint(self.token_url or TOKEN_HOST, TOKEN_PATH)

    @property
    def authorize_endpoint(self) -> str:
        """The address of the consent page: on the host of `token_url` if that is set."""
        return (host_of(self.token_url) if self.token_url else AUTHORIZE_HOST) + AUTHORIZE_PATH

    @property
    def revoke_endpoint(self) -> str:
        """The address for revoking tokens: on the host of `token_url` if that is set."""
        return endpoint(host_of(self.token_url) if self.token_url else REVOKE_HOST, REVOKE_PATH)


@dataclass(frozen=True, kw_only=True)
class QuickBooksPushSettings(PushSettings):
    """The settings of target-quickbooks."""

    ledger: QuickBooksSettings
    default_income_account: str | None = setting(
        "Name of an income account: lets a missing item be created", default=None
    )
    default_expense_account: str | None = setting(
        "Name of an expense account: lets a missing item be created", default=None
    )
    batch_size: int = setting("Invoices in one call, 1 to 30", default=BATCH_SIZE_MAX, least=1, most=BATCH_SIZE_MAX)
    duplicate_numbers_checked: Literal["yes", "accepted"] | None = setting(
        "`yes`: a person saw that QuickBooks warns of duplicate numbers; `accepted`: it does not, and you accept that. "
        "Required in production",
        default=None,
    )
    vat_difference: Literal["post", "hold"] = setting(
        "`post` or `hold` when QuickBooks' VAT will differ from OpsMerge's by proved rounding", default="post"
    )
    dry_run: bool = setting("Plan only: read QuickBooks, write nothing there, emit no STATE", default=False)

    @property
    def item_accounts(self) -> tuple[str | None, str | None]:
        """The names of the income and the expense account that a missing item is created with."""
        return self.default_income_account, self.default_expense_account

    @property
    def duplicate_numbers_answer(self) -> str | None:
        """What a person said of QuickBooks' switch, which no API shows."""
        return self.duplicate_numbers_checked


@dataclass(frozen=True, kw_only=True)
class QuickBooksPullSettings(PullSettings):
    """The settings of tap-quickbooks-payments."""

    ledger: QuickBooksSettings
