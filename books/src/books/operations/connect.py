"""Connect a company: exchange the consent for tokens, read the company, and check it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pendulum
from sqlalchemy import func, select

from books import transport
from books.core import redact
from books.core.clock import Clock
from books.core.faults import Exit, Halt
from books.core.settings import QuickBooksSettings
from books.ledgers.contract import Company
from books.ledgers.quickbooks import open_client
from books.ledgers.quickbooks.consent import Answer, Redirect
from books.ledgers.quickbooks.ledger import QuickBooksLedger
from books.operations.breadcrumbs import is_given_up
from books.operations.configuration import Configuration
from books.posting import checks
from books.posting.journal import SqlJournal
from books.store import Store
from books.transport.tokens import TokenStore

NOT_VALID_HERE = "3100"
HOME_COUNTRIES = ("GB", "UK", "GBR")


QUICKBOOKS_PLUGINS = ("target-quickbooks", "tap-quickbooks-payments")


@dataclass(frozen=True)
class ConnectSettings:
    """The settings that `books connect` needs; the company need not be known yet."""

    environment: str
    settings: QuickBooksSettings
    redirect: Redirect
    seeds: tuple[str, ...]

    @classmethod
    def read(cls, environment: str | None) -> ConnectSettings:
        """Read Meltano's settings.

        Raises:
            Halt: MISCONFIGURED; a setting is missing or wrong.
        """
        configuration = Configuration(environment)
        settings = QuickBooksSettings.from_config(configuration.plugin("target-quickbooks"), needs_realm=False)
        redirect = Redirect.read(configuration.plugin("books").get("redirect_uri"), settings.environment)
        return cls(configuration.environment, settings, redirect, seeds_of(configuration))


def seeds_of(configuration: Configuration) -> tuple[str, ...]:
    """Return the refresh tokens in the settings of the QuickBooks plugins, and register them as secrets."""
    found = (configuration.plugin(name).get("refresh_token") for name in QUICKBOOKS_PLUGINS)
    seeds = tuple(dict.fromkeys(str(each) for each in found if each))
    redact.register(seeds)
    return seeds


@dataclass(frozen=True)
class Connected:
    """A company that was read. `warnings` are what prevents posting, or may."""

    connection: str
    company: Company
    refresh_expires_at: pendulum.DateTime | None
    hard_expires_at: pendulum.DateTime | None
    formerly_posted: int
    """Invoices whose ids were given up by `books disconnect`: the next push finds them again."""
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Connecting:
    """Turns a consent into a connection. `seeds` are refresh tokens from the settings, not used any more afterwards."""

    settings: QuickBooksSettings
    store: Store
    clock: Clock
    redirect_uri: str
    seeds: Sequence[str] = ()

    def finish(self, answer: Answer, *, other_company: bool) -> Connected:
        """Connect the company that was chosen, where it is the one that the settings name or `other_company` is set.

        Raises:
            Halt: MISCONFIGURED; another company was chosen (its consent is revoked). Also as `connect`.
        """
        wanted = self.settings.realm_id
        if wanted and answer.realm_id != wanted and not other_company:
            self.refuse(answer)
            raise _wrong_company(wanted, answer.realm_id)
        return self.connect(answer)

    def refuse(self, answer: Answer) -> None:
        """Revoke a consent that was given for the wrong company, unless the store already has that connection."""
        tokens = self._tokens(answer)
        if not tokens.state().connected:
            tokens.exchange_code(answer.code, self.redirect_uri)
            tokens.revoke()

    def connect(self, answer: Answer) -> Connected:
        """Store the tokens, then check with two reads that they give access to this company.

        Raises:
            Halt: the code has expired (69); the keys are not for this environment (78; the consent is revoked); the
                company could not be read now (75; the tokens are kept).
        """
        settings = self._of(answer)
        tokens = transport.tokens_of(settings, self.store, self.clock)
        tokens.exchange_code(answer.code, self.redirect_uri)
        tokens.retire_seeds(self.seeds)
        company = self._company(settings)
        state = tokens.state()
        return Connected(
            connection=settings.connection,
            company=company,
            refresh_expires_at=state.refresh_expires_at,
            hard_expires_at=state.hard_expires_at,
            formerly_posted=_formerly_posted(self.store, settings.connection),
            warnings=tuple(_warnings(company)),
        )

    def _of(self, answer: Answer) -> QuickBooksSettings:
        return replace(self.settings, realm_id=answer.realm_id)

    def _tokens(self, answer: Answer) -> TokenStore:
        """Return the token store, without the settings' own refresh token: that one is for another company."""
        return transport.tokens_of(replace(self._of(answer), refresh_token=None), self.store, self.clock)

    def _company(self, settings: QuickBooksSettings) -> Company:
        SqlJournal(self.store, settings.connection).forget("company", [""])  # cached by an earlier connection
        try:
            return QuickBooksLedger(open_client(settings, self.store, self.clock), settings.connection).company()
        except Halt as halt:
            if halt.code == NOT_VALID_HERE:
                transport.tokens_of(settings, self.store, self.clock).revoke()
                raise _other_environment(settings, halt) from halt
            raise _unreadable(settings, halt) from halt


def _formerly_posted(store: Store, connection: str) -> int:
    with store.read() as conn:
        return int(conn.execute(select(func.count()).where(is_given_up(connection))).scalar_one())


def _warnings(company: Company) -> list[str]:
    found = []
    if company.country.upper() not in HOME_COUNTRIES:
        found.append(
            f"the company's country is {company.country or 'not set'}, not GB; this bridge supports UK VAT only"
        )
    try:
        checks.check_company(company)
    except Halt as halt:
        found.append(f"{halt.message}. {halt.remedy}")
    if company.home_currency != "GBP":
        found.append(f"the company's home currency is {company.home_currency}, not GBP")
    return found


def _wrong_company(wanted: str, chosen: str) -> Halt:
    return Halt(
        f"company {chosen} was chosen, but the settings name company {wanted}: not connected, the consent was revoked",
        exit_code=Exit.MISCONFIGURED,
        code="other_company",
        remedy=f"run `books connect` again and choose the company with the id {wanted}; or set QUICKBOOKS_REALM_ID to "
        f"{chosen}; or run `books connect --other-company`",
    )


def _other_environment(settings: QuickBooksSettings, halt: Halt) -> Halt:
    other = "production" if settings.environment == "sandbox" else "sandbox"
    return Halt(
        f"these keys give no access to company {settings.realm_id} in QuickBooks' environment {settings.environment} "
        f"({NOT_VALID_HERE}); the consent was revoked",
        exit_code=Exit.MISCONFIGURED,
        code=NOT_VALID_HERE,
        remedy="use Development keys with QUICKBOOKS_ENVIRONMENT=sandbox and a sandbox company, Production keys with "
        f"production and a real one: set the other keys, or run `books --environment={other} connect`",
        vendor_request_id=halt.vendor_request_id,
    )


def _unreadable(settings: QuickBooksSettings, halt: Halt) -> Halt:
    return Halt(
        f"company {settings.realm_id} has consented and its tokens are kept, but it could not be read: {halt.message}",
        exit_code=halt.exit_code,
        code=halt.code,
        remedy=halt.remedy,
        vendor_request_id=halt.vendor_request_id,
    )
