"""The vendors whose ledgers this bridge serves, and all that the rooms above need of one. The only list of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import cast

import pendulum

from books.core.clock import Clock
from books.core.faults import Exit, Halt
from books.ledgers.contract import Books, Entity, Ledger
from books.ledgers.notices import WebhookDialect
from books.ledgers.settings import PullSettings, PushSettings
from books.store import Store
from books.transport.settings import LedgerSettings

PROVIDERS: Mapping[str, str] = {"quickbooks": "books.ledgers.quickbooks.vendor"}
"""The modules that hold each `VENDOR`, imported when one is asked for."""

DEFAULT = "quickbooks"

LEDGER_VARIABLE = "BOOKS_LEDGER"
"""Names the ledger that an environment posts to."""


@dataclass(frozen=True)
class Words:
    """A vendor's own words, for messages."""

    ledger: str
    """The ledger: "QuickBooks"."""
    vendor: str
    """Who runs its API: "Intuit"."""
    company_id: str
    """What the vendor calls a company's id: "realm"."""
    company_setting: str
    """The setting that names the company: "realm_id"."""
    company_variable: str
    """Its environment variable."""
    refresh_token_variable: str
    webhook_secret_variable: str
    webhook_remedy: str
    """Where the secret that signs webhooks is found, and where to put it."""
    other_environment: str
    """What to do where the keys are for the other environment; `{other}` is its name."""
    end_access: str
    """Where a person ends the app's access by hand."""


@dataclass(frozen=True)
class Vendor:
    """One vendor."""

    provider: str
    """Its name in the store and in OpsMerge: "quickbooks"."""
    words: Words
    settings: type[LedgerSettings]
    push_settings: type[PushSettings]
    pull_settings: type[PullSettings]
    open_ledger: Callable[[LedgerSettings, Store, Clock], Ledger]
    open_books: Callable[[PullSettings, Store, Clock, Mapping[str, pendulum.DateTime | None]], Books]
    """Opens the books for reading back; the last argument is, per stream, the time to read from, or None."""
    entities: Sequence[Entity]
    """What `Books` reads."""
    webhooks: Callable[[Sequence[str]], WebhookDialect]
    """Makes the dialect from the secrets that sign its webhooks."""
    target: str
    """The name of its target plugin; `TARGET--plan` makes plans."""
    tap: str
    jobs: Mapping[str, str]
    """The names of its jobs: of `push`, `pull` and `reconcile`."""
    link: Callable[[str, str, str], str | None]
    """Returns the address of a document in the browser, from environment, kind and id; None where there is none."""

    def variable(self, name: str) -> str:
        """Return the environment variable of a setting of the target, e.g. `TARGET_QUICKBOOKS_DRY_RUN`."""
        return f"{self.target}_{name}".upper().replace("-", "_")

    def connection_of(self, config: Mapping[str, object]) -> str:
        """Return the company's key from a plugin's raw configuration; empty where it names no company."""
        company = config.get(self.words.company_setting)
        return f"{config.get('environment') or 'sandbox'}:{company}" if company else ""


def vendor(provider: str = DEFAULT) -> Vendor:
    """Return a vendor.

    Raises:
        Halt: MISCONFIGURED; there is none of this name.
    """
    module = PROVIDERS.get(provider)
    if module is None:
        raise Halt(
            f"there is no ledger {provider!r}",
            exit_code=Exit.MISCONFIGURED,
            code="unknown_ledger",
            remedy=f"set {LEDGER_VARIABLE} to {' or '.join(sorted(PROVIDERS))}",
        )
    return cast("Vendor", import_module(module).VENDOR)
