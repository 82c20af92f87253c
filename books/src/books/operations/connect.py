"""From a person's consent to a connection that is known to work: tokens kept, company read, everything checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pendulum
from sqlalchemy import func, select

from books import transport
from books.core.clock import Clock
from books.core.faults import Exit, Halt
from books.core.settings import QuickBooksSettings
from books.ledgers.contract import Company
from books.ledgers.quickbooks import open_client
from books.ledgers.quickbooks.consent import Answer
from books.ledgers.quickbooks.ledger import QuickBooksLedger
from books.operations.breadcrumbs import is_given_up
from books.posting import checks
from books.posting.journal import SqlJournal
from books.store import Store
from books.transport.tokens import TokenStore

NOT_VALID_HERE = "3100"
HOME_COUNTRIES = ("GB", "UK", "GBR")


@dataclass(frozen=True)
class Connected:
    """A company that answered us. `warnings` are what stands in the way of posting, or may."""

    connection: str
    company: Company
    refresh_expires_at: pendulum.DateTime | None
    hard_expires_at: pendulum.DateTime | None
    formerly_posted: int
    """Invoices whose ids were given up by `books disconnect`: the next push finds them again."""
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Connecting:
    """What an answer becomes a connection with. `seeds` are refresh tokens that settings hold: old from then on."""

    settings: QuickBooksSettings
    store: Store
    clock: Clock
    redirect_uri: str
    seeds: Sequence[str] = ()

    def refuse(self, answer: Answer) -> None:
        """Give back a consent that was given for the wrong company. A connection that the store holds stays."""
        tokens = self._tokens(answer)
        if not tokens.state().connected:
            tokens.exchange_code(answer.code, self.redirect_uri)
            tokens.revoke()

    def connect(self, answer: Answer) -> Connected:
        """Keep the tokens, then prove with two reads that they open this company.

        Raises:
            Halt: the code is dead (69); keys and environment do not belong together (78; the consent is given back);
                the company could not be read now (75; the tokens are kept).
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
        """Without the settings' own refresh token: it was pasted for another company."""
        return transport.tokens_of(replace(self._of(answer), refresh_token=None), self.store, self.clock)

    def _company(self, settings: QuickBooksSettings) -> Company:
        SqlJournal(self.store, settings.connection).forget("company", [""])  # what an earlier connection was told
        try:
            return QuickBooksLedger(open_client(settings, self.store, self.clock), settings.connection).company()
        except Halt as halt:
            if halt.code == NOT_VALID_HERE:
                transport.tokens_of(settings, self.store, self.clock).revoke()
                raise _other_environment(settings, halt) from halt
            raise _unproved(settings, halt) from halt


def _formerly_posted(store: Store, connection: str) -> int:
    with store.read() as conn:
        return int(conn.execute(select(func.count()).where(is_given_up(connection))).scalar_one())


def _warnings(company: Company) -> list[str]:
    found = []
    if company.country.upper() not in HOME_COUNTRIES:
        found.append(f"the company's country is {company.country or 'not set'}, not GB: VAT is made for the UK here")
    try:
        checks.check_company(company)
    except Halt as halt:
        found.append(f"{halt.message}. {halt.remedy}")
    if company.home_currency != "GBP":
        found.append(f"the company's home currency is {company.home_currency}, not GBP")
    return found


def _other_environment(settings: QuickBooksSettings, halt: Halt) -> Halt:
    other = "production" if settings.environment == "sandbox" else "sandbox"
    return Halt(
        f"QuickBooks does not let these keys into company {settings.realm_id} in the environment "
        f"{settings.environment} ({NOT_VALID_HERE}); the consent was given back",
        exit_code=Exit.MISCONFIGURED,
        code=NOT_VALID_HERE,
        remedy="Development keys go with QUICKBOOKS_ENVIRONMENT=sandbox and a sandbox company, Production keys with "
        f"production and a real one: take the other keys, or connect with --environment={other}",
        vendor_request_id=halt.vendor_request_id,
    )


def _unproved(settings: QuickBooksSettings, halt: Halt) -> Halt:
    return Halt(
        f"company {settings.realm_id} has consented and its tokens are kept, but it could not be read: {halt.message}",
        exit_code=halt.exit_code,
        code=halt.code,
        remedy=halt.remedy,
        vendor_request_id=halt.vendor_request_id,
    )
