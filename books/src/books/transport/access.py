"""What the transport needs to know of a vendor: how it authorises, limits and answers calls. Ledgers implement it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from books.core.faults import Exit, Halt
from books.transport.call import CallKind, Request, Response


class Window(StrEnum):
    """Over what a limit counts calls."""

    SLIDING = "sliding"
    """Any window of so many seconds."""
    DAY = "day"
    """Any 24 hours, counted per hour: no more, whether the vendor's day rolls or begins at an hour of its own."""
    IN_FLIGHT = "in flight"
    """Those that were sent and not answered yet."""


@dataclass(frozen=True)
class Limit:
    """At most so many calls of these kinds in a window. `name` is that of the setting."""

    name: str
    calls: int
    window_seconds: float = 0.0
    """Of a sliding window."""
    kinds: frozenset[CallKind] = frozenset(CallKind)
    window: Window = Window.SLIDING


class Meaning(StrEnum):
    """What a 401 or a 403 means."""

    EXPIRED = "expired"
    """The access token: the same call works with a new one."""
    SCOPE = "scope"
    """The consent does not cover this call: only a new consent, or another app, does."""
    COMPANY_LOST = "company_lost"
    """The consent does not, or no longer, cover this company: only a new consent does."""


@dataclass(frozen=True)
class Denial:
    """A refusal of the token. `code` is the vendor's fault code."""

    meaning: Meaning
    message: str
    code: str
    remedy: str


class AccessDeniedError(Halt):
    """The vendor refuses our token, and no new one would help. `denial` says why."""

    def __init__(self, denial: Denial, vendor_request_id: str | None) -> None:
        super().__init__(
            denial.message,
            exit_code=Exit.DEAD_CONNECTION,
            code=denial.code,
            remedy=denial.remedy,
            vendor_request_id=vendor_request_id,
        )
        self.denial = denial


@dataclass(frozen=True)
class TokenGrant:
    """The tokens that a token call returned. Times to live are in seconds; None where the vendor gave none."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    """None where there is none: client credentials are asked for anew instead."""
    expires_in: int
    refresh_expires_in: int | None = None
    hard_expires_in: int | None = None
    """Seconds until the consent itself ends, whatever happens."""


@dataclass(frozen=True)
class CompanyRef:
    """A company to which a consent gives access. `link_id` is the vendor's id of that access, where it has one."""

    id: str
    name: str = ""
    link_id: str = ""


@dataclass(frozen=True)
class Code:
    """The answer to a consent. `company_id` is None where the vendor tells the company only after the exchange."""

    code: str = field(repr=False)
    company_id: str | None


class OAuthDialect(Protocol):
    """How one vendor speaks OAuth 2.0 (RFC 6749), for one app."""

    @property
    def grant(self) -> str:
        """How tokens are had: `authorization_code` (a person consents) or `client_credentials`."""
        ...

    @property
    def idle_days(self) -> int | None:
        """Days after which a refresh token that nobody used expires; None where none does."""
        ...

    @property
    def answer_names(self) -> str:
        """What the address at which the browser ends has in it, in words."""
        ...

    @property
    def who_may_consent(self) -> str:
        """Who may connect a company, in words."""
        ...

    @property
    def consent_remedy(self) -> str:
        """What to check where the vendor itself refuses the consent."""
        ...

    @property
    def redirect_remedy(self) -> str:
        """Which redirect address to set; `{default}` stands for the default one."""
        ...

    def check_redirect(self, uri: str | None, environment: str) -> None:
        """Check a redirect address (None: not set) by the vendor's rules.

        Raises:
            ValueError: what is wrong, to follow `setting redirect_uri`.
        """
        ...

    def consent_address(self, state: str, redirect_uri: str) -> str:
        """Return the page on which a person consents."""
        ...

    def read_answer(self, parameters: Mapping[str, str]) -> Code:
        """Return what the vendor sent the browser back with.

        Raises:
            ValueError: something is missing; the message names it.
        """
        ...

    def token_request(self, form: Mapping[str, str]) -> Request:
        """Return the call that asks for tokens; `form` has `grant_type` and what belongs to it."""
        ...

    def read_grant(self, body: Mapping[str, Any]) -> TokenGrant:
        """Return the tokens in an answer's JSON.

        Raises:
            ValueError, KeyError, TypeError: it cannot be read.
        """
        ...

    def companies_request(self, access_token: str) -> Request | None:
        """Return the call that lists the companies of a consent; None where the callback names its one company."""
        ...

    def read_companies(self, body: Any) -> Sequence[CompanyRef]:
        """Return the companies in that answer's JSON. Raises as `read_grant`."""
        ...

    def give_back(self, refresh_token: str) -> Request:
        """Return the call that ends the consent."""
        ...


class Access(Protocol):
    """One vendor, for one company."""

    @property
    def ledger(self) -> str:
        """The ledger's name in messages."""
        ...

    @property
    def vendor(self) -> str:
        """Who runs the token service, in messages."""
        ...

    @property
    def oauth(self) -> OAuthDialect:
        """How tokens are asked for."""
        ...

    @property
    def reconnect(self) -> str:
        """What to do about a dead connection."""
        ...

    @property
    def limits(self) -> Sequence[Limit]:
        """The budgets of the company. A call may count against several."""
        ...

    def is_metered(self, kind: CallKind, response: Response) -> bool:
        """Return whether the vendor meters a call."""
        ...

    def left(self, headers: Mapping[str, str]) -> Mapping[str, int]:
        """Return how many calls the vendor says are left of limits of a day, by the limit's name."""
        ...

    def throttle_seconds(self, headers: Mapping[str, str]) -> float | None:
        """Return how long to wait after a 429 without Retry-After; None: the usual minute."""
        ...

    def denial(self, response: Response) -> Denial | None:
        """Return why an answer refuses the token; None where it does not."""
        ...

    def request_id(self, headers: Mapping[str, str]) -> str | None:
        """Return the id of a call that the vendor's support asks for."""
        ...
