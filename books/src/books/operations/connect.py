"""Connect a company: exchange the consent for tokens, learn which company it is for, read the company and check it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pendulum
from sqlalchemy import func, select

from books import transport
from books.core import redact
from books.core.clock import Clock
from books.core.faults import Exit, Halt
from books.core.printable import possessive
from books.ledgers.contract import Company
from books.ledgers.registry import Vendor
from books.operations.breadcrumbs import is_given_up
from books.operations.configuration import Configuration
from books.operations.consent import Redirect
from books.posting import checks
from books.posting.journal import SqlJournal
from books.store import Store
from books.transport.access import AccessDeniedError, Code, CompanyRef, Meaning
from books.transport.settings import LedgerSettings
from books.transport.tokens import TokenStore

HOME_COUNTRIES = ("GB", "UK", "GBR")


@dataclass(frozen=True)
class ConnectSettings:
    """The settings that `books connect` needs; the company need not be known yet."""

    environment: str
    vendor: Vendor
    settings: LedgerSettings
    redirect: Redirect
    seeds: tuple[str, ...]

    @classmethod
    def read(cls, environment: str | None) -> ConnectSettings:
        """Read Meltano's settings.

        Raises:
            Halt: MISCONFIGURED; a setting is missing or wrong.
        """
        configuration = Configuration(environment)
        vendor = configuration.vendor()
        config = configuration.plugin(vendor.target)
        settings = vendor.settings.from_config(config, without=vendor.words.company_setting)
        uri = configuration.plugin("books").get("redirect_uri")
        redirect = Redirect.read(uri, settings.environment, settings.access)
        return cls(configuration.environment, vendor, settings, redirect, seeds_of(configuration))


def seeds_of(configuration: Configuration) -> tuple[str, ...]:
    """Return the refresh tokens in the settings of the ledger's plugins, and register them as secrets."""
    vendor = configuration.vendor()
    found = (configuration.plugin(name).get("refresh_token") for name in (vendor.target, vendor.tap))
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

    vendor: Vendor
    settings: LedgerSettings
    store: Store
    clock: Clock
    redirect_uri: str
    seeds: Sequence[str] = ()

    def finish(self, answer: Code, *, other_company: bool) -> Connected:
        """Connect the company of a consent, where it is the one that the settings name or `other_company` is set.

        Raises:
            Halt: MISCONFIGURED; another company was chosen, or several (the consent is given back). Also as `connect`.
        """
        wanted = "" if other_company else self.settings.company_id
        if answer.company_id is None:
            return self._connect_listed(answer, wanted)
        if wanted and answer.company_id != wanted:
            self._refuse(answer, answer.company_id)
            raise self._wrong_company(wanted, answer.company_id)
        return self.connect(answer, answer.company_id)

    def _refuse(self, answer: Code, company_id: str) -> None:
        """End a consent that was given for the wrong company, unless the store already has that connection."""
        tokens = self._tokens(company_id)
        if not tokens.state().connected:
            grant, _companies = tokens.exchange(answer.code, self.redirect_uri)
            tokens.give_back(grant)

    def connect(self, answer: Code, company_id: str) -> Connected:
        """Store the tokens for a company, then read it to check that they give access to it.

        Raises:
            Halt: the code has expired (69); the keys are not for this environment (78; the consent is revoked); the
                company could not be read now (75; the tokens are kept).
        """
        tokens = self._tokens(company_id, with_seed=True)
        grant, _companies = tokens.exchange(answer.code, self.redirect_uri)
        tokens.keep(grant)
        return self._check(company_id, tokens)

    def _connect_listed(self, answer: Code, wanted: str) -> Connected:
        """Connect where the vendor tells the companies of a consent only after its code was exchanged."""
        anonymous = self._tokens(self.settings.company_id)
        grant, companies = anonymous.exchange(answer.code, self.redirect_uri)
        chosen = [each for each in companies or () if each.id == wanted or not wanted]
        if len(chosen) != 1:
            anonymous.give_back(grant)
            raise self._not_one_company(wanted, companies or ())
        tokens = self._tokens(chosen[0].id, with_seed=True)
        tokens.keep(grant)
        return self._check(chosen[0].id, tokens)

    def _check(self, company_id: str, tokens: TokenStore) -> Connected:
        """Read the company with the new tokens."""
        tokens.retire_seeds(self.seeds)
        settings = self.settings.of_company(company_id)
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

    def _tokens(self, company_id: str, *, with_seed: bool = False) -> TokenStore:
        """Return a company's token store. The settings' own refresh token may be for another company."""
        settings = self.settings.of_company(company_id)
        if not with_seed:
            settings = replace(settings, refresh_token=None)
        return transport.tokens_of(settings, self.store, self.clock)

    def _company(self, settings: LedgerSettings) -> Company:
        SqlJournal(self.store, settings.connection).forget("company", [""])  # cached by an earlier connection
        try:
            return self.vendor.open_ledger(settings, self.store, self.clock).company()
        except AccessDeniedError as denied:
            if denied.denial.meaning is Meaning.COMPANY_LOST:
                transport.tokens_of(settings, self.store, self.clock).revoke()
                raise self._other_environment(settings, denied) from denied
            raise _unreadable(settings, denied) from denied
        except Halt as halt:
            raise _unreadable(settings, halt) from halt

    def _wrong_company(self, wanted: str, chosen: str) -> Halt:
        return Halt(
            f"company {chosen} was chosen, but the settings name company {wanted}: not connected, the consent was "
            "revoked",
            exit_code=Exit.MISCONFIGURED,
            code="other_company",
            remedy=f"run `books connect` again and choose the company with the id {wanted}; or set "
            f"{self.vendor.words.company_variable} to {chosen}; or run `books connect --other-company`",
        )

    def _not_one_company(self, wanted: str, companies: Sequence[CompanyRef]) -> Halt:
        """Return the fault for a consent that is for no company, several, or others than the one in the settings."""
        found = ", ".join(f"{each.name} ({each.id})" for each in companies) or "none"
        variable = self.vendor.words.company_variable
        return Halt(
            f"the consent is for {'another company than ' + wanted if wanted else 'no single company'}: {found}; not "
            "connected, the consent was given back",
            exit_code=Exit.MISCONFIGURED,
            code="other_company",
            remedy=f"run `books connect` again and choose one company; or set {variable} to the id of one of them",
        )

    def _other_environment(self, settings: LedgerSettings, denied: AccessDeniedError) -> Halt:
        other = "production" if settings.environment == "sandbox" else "sandbox"
        words = self.vendor.words
        return Halt(
            f"these keys give no access to company {settings.company_id} in {possessive(words.ledger)} environment "
            f"{settings.environment} ({denied.code}); the consent was revoked",
            exit_code=Exit.MISCONFIGURED,
            code=denied.code,
            remedy=words.other_environment.format(other=other),
            vendor_request_id=denied.vendor_request_id,
        )


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


def _unreadable(settings: LedgerSettings, halt: Halt) -> Halt:
    return Halt(
        f"company {settings.company_id} has consented and its tokens are kept, but it could not be read: "
        f"{halt.message}",
        exit_code=halt.exit_code,
        code=halt.code,
        remedy=halt.remedy,
        vendor_request_id=halt.vendor_request_id,
    )
