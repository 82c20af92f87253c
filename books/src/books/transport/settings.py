"""The settings that every ledger's plugins share: one company at a vendor, credentials, store and waits."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from books.core.settings import Settings, loopback_only, setting

if TYPE_CHECKING:
    from books.transport.access import Access

STORE_URL = "sqlite:///.books/books.db"


@dataclass(frozen=True, kw_only=True)
class LedgerSettings(Settings):
    """One company at a vendor: address, credentials and limits. Secrets are left out of the repr."""

    environment: Literal["sandbox", "production"] = setting(
        "`sandbox` or `production`; picks the vendor's API host", default="sandbox"
    )
    client_id: str = setting("The app's client id", secret=True)
    client_secret: str = setting("The app's client secret", secret=True)
    refresh_token: str | None = setting(
        "Seeds the token store once; a newly pasted one wins over the stored chain", default=None, secret=True
    )
    token_key: str | None = setting(
        "Fernet key that encrypts tokens at rest; several, separated by commas: the first encrypts, all decrypt",
        default=None,
        secret=True,
    )
    store_url: str = setting(
        "State shared by all processes: `sqlite:///<path>`, or `postgresql://...` when several machines work",
        default=STORE_URL,
    )
    api_url: str | None = setting(
        "Another API host; accepted only for loopback addresses (simulators, tests)",
        default=None,
        check=loopback_only,
    )
    token_url: str | None = setting(
        "Another token host; accepted only for loopback addresses (simulators, tests)",
        default=None,
        check=loopback_only,
    )
    http_timeout: int = setting("Seconds to wait for an answer; connecting may take 10", default=130, least=1)
    max_wait_seconds: int = setting(
        "Longest wait for grants or Retry-After; beyond it the run ends with exit code 75", default=300, least=0
    )

    @property
    @abstractmethod
    def company_id(self) -> str:
        """The vendor's id of the company."""

    @abstractmethod
    def of_company(self, company_id: str) -> LedgerSettings:
        """Return the same settings for another company of the same app."""

    @property
    @abstractmethod
    def access(self) -> Access:
        """How the vendor authorises, limits and answers calls."""

    @property
    def connection(self) -> str:
        """The company's key in the store: `<environment>:<company id>`."""
        return f"{self.environment}:{self.company_id}"
