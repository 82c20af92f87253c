"""`books connect`: a person consents in the browser, and the bridge may use their QuickBooks company."""

from __future__ import annotations

import os
import sys
import webbrowser
from dataclasses import dataclass
from typing import Any

import click

from books.cli import Context
from books.cli.loopback import listening
from books.cli.output import json_option, print_json, print_table, say
from books.core import redact
from books.core.clock import SystemClock
from books.core.faults import Exit, Halt
from books.core.paths import environment_file
from books.core.settings import QuickBooksSettings
from books.ledgers.quickbooks.consent import Answer, Consent, NotTheAnswerError, Redirect
from books.operations.configuration import Configuration
from books.operations.connect import Connected, Connecting
from books.store import Store

PASTES_MAX = 3
SECONDS = 600
QUICKBOOKS_PLUGINS = ("target-quickbooks", "tap-quickbooks-payments")


@dataclass(frozen=True)
class Setup:
    """What the settings say, before a company is chosen."""

    environment: str
    settings: QuickBooksSettings
    redirect: Redirect
    seeds: tuple[str, ...]

    @classmethod
    def read(cls, context: Context) -> Setup:
        """Read Meltano's settings.

        Raises:
            Halt: MISCONFIGURED; a setting is missing or wrong.
        """
        configuration = Configuration(context.environment)
        settings = QuickBooksSettings.from_config(configuration.plugin("target-quickbooks"), needs_realm=False)
        redirect = Redirect.read(configuration.plugin("books").get("redirect_uri"), settings.environment)
        return cls(configuration.environment, settings, redirect, seeds_of(configuration))


def seeds_of(configuration: Configuration) -> tuple[str, ...]:
    """The refresh tokens that stand in the settings of the QuickBooks plugins."""
    found = (configuration.plugin(name).get("refresh_token") for name in QUICKBOOKS_PLUGINS)
    seeds = tuple(dict.fromkeys(str(each) for each in found if each))
    redact.register(seeds)
    return seeds


@click.command("connect")
@click.option("--no-browser", is_flag=True, help="Only print the address; open it yourself.")
@click.option("--paste", is_flag=True, help="The browser is on another machine: paste the address that it ended at.")
@click.option("--other-company", is_flag=True, help="Connect the company chosen although realm_id names another.")
@click.option(
    "--timeout",
    type=click.IntRange(1, 3600),
    default=SECONDS,
    show_default=True,
    help="Seconds to wait for the answer.",
)
@json_option
@click.pass_obj
def command(
    context: Context, *, no_browser: bool, paste: bool, other_company: bool, timeout: int, as_json: bool
) -> None:
    """Connect a QuickBooks company, or connect it again.

    Opens Intuit's page in the browser, where a person chooses the company and agrees. The tokens go into the store;
    the company is read, checked and named. It need not be known before: its id is printed for .env.
    """
    redact.install()
    setup, clock = Setup.read(context), SystemClock()
    store = Store.open(setup.settings.store_url)
    consent = Consent(setup.settings, setup.redirect, clock, timeout)
    connecting = Connecting(setup.settings, store, clock, setup.redirect.uri, setup.seeds)
    finish = _Finish(setup, connecting, other_company=other_company)
    if paste or setup.redirect.port is None:
        connected = finish(_pasted(consent, setup.redirect, opens=not (no_browser or paste)))
    else:
        connected = _listened(consent, setup.redirect, timeout, finish, opens=not no_browser)
    if as_json:
        print_json(told(connected, setup))
    else:
        _print(connected, setup)


@dataclass(frozen=True)
class _Finish:
    """What is done with an answer, however it came."""

    setup: Setup
    connecting: Connecting
    other_company: bool

    def __call__(self, answer: Answer) -> Connected:
        wanted = self.setup.settings.realm_id
        if wanted and answer.realm_id != wanted and not self.other_company:
            self.connecting.refuse(answer)
            raise _wrong_company(wanted, answer.realm_id)
        return self.connecting.connect(answer)


def _listened(consent: Consent, redirect: Redirect, seconds: float, finish: _Finish, *, opens: bool) -> Connected:
    """The answer that the browser brings to this machine."""
    with listening(redirect, consent) as loopback:
        _invite(consent, opens=opens)
        _say(f"Waiting for the answer at {redirect.uri} ...")
        connected = finish(loopback.wait(seconds))
        loopback.show(f"Connected to: {connected.company.name}", f"Company {connected.connection}.")
        return connected


def _pasted(consent: Consent, redirect: Redirect, *, opens: bool) -> Answer:
    """The answer that a person copies out of the browser; some tries, then the end."""
    _invite(consent, opens=opens)
    _say(f"The browser then ends at an address that begins with {redirect.uri} (whatever page it shows).")
    for _ in range(PASTES_MAX):
        answer = _read_pasted(consent)
        if answer is not None:
            return answer
    raise _nothing_pasted()


def _read_pasted(consent: Consent) -> Answer | None:
    try:
        return consent.read(click.prompt("Paste that address here, whole", err=_for_scripts()))
    except NotTheAnswerError as wrong:
        _say(f"Not usable: {wrong}.")
        return None
    except click.Abort:
        raise _nothing_pasted() from None


def _nothing_pasted() -> Halt:
    return Halt(
        "no usable address was pasted; nothing was connected",
        exit_code=Exit.FAILED,
        code="nothing_pasted",
        remedy="run `books connect` again and copy the whole address from the browser's address bar",
    )


def _invite(consent: Consent, *, opens: bool) -> None:
    if opens and _has_browser() and webbrowser.open(consent.address):
        _say("A browser opens. If it does not, open this address:")
    else:
        _say("Open this address in a browser, choose the company, and press Connect:")
    _say("", f"  {consent.address}", "")


def _has_browser() -> bool:
    """Whether there is a screen. Without one Python would start a browser in the terminal, over our words."""
    if os.environ.get("BROWSER") or sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _say(*lines: str) -> None:
    say(*lines, err=_for_scripts())


def _for_scripts() -> bool:
    """Whether stdout is for JSON. Otherwise we speak there: `meltano invoke` makes log lines of what is on stderr."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.params.get("as_json"))


def _wrong_company(wanted: str, chosen: str) -> Halt:
    return Halt(
        f"company {chosen} was chosen, and the settings name company {wanted}: not connected, "
        "the consent was given back",
        exit_code=Exit.MISCONFIGURED,
        code="other_company",
        remedy=f"run `books connect` again and choose the company with the id {wanted}; or set QUICKBOOKS_REALM_ID to "
        f"{chosen}, or pass --other-company",
    )


def told(connected: Connected, setup: Setup) -> dict[str, Any]:
    """What came of it, for scripts. No token in it."""
    return {
        "connection": connected.connection,
        "company": connected.company.name,
        "realm_id": _realm(connected),
        "country": connected.company.country,
        "home_currency": connected.company.home_currency,
        "refresh_token_dies_at": connected.refresh_expires_at,
        "consent_ends_at": connected.hard_expires_at,
        "to_be_found_again": connected.formerly_posted,
        "warnings": list(connected.warnings),
        "env": _lines_for_env(connected, setup),
    }


def _realm(connected: Connected) -> str:
    return connected.connection.rpartition(":")[2]


def _lines_for_env(connected: Connected, setup: Setup) -> list[str]:
    realm_id = _realm(connected)
    return [] if setup.settings.realm_id == realm_id else [f"QUICKBOOKS_REALM_ID={realm_id}"]


def _print(connected: Connected, setup: Setup) -> None:
    company = connected.company
    say(f"Connected to: {company.name}")
    print_table(
        f"Connection {connected.connection} ({setup.environment})",
        ["what", "now"],
        [
            ("company id (realm)", _realm(connected)),
            ("country", company.country),
            ("home currency", company.home_currency),
            ("access to accounting", "yes: company and preferences were read"),
            ("refresh token dies, unless used", connected.refresh_expires_at),
            ("consent ends for good", connected.hard_expires_at),
            *((f"WARNING {place}", text) for place, text in enumerate(connected.warnings, start=1)),
        ],
    )
    own = environment_file(setup.environment)
    file = own.name if own else ".env"
    for line in _lines_for_env(connected, setup):
        say(f"Put this into {file} (or your secret manager), or the plugins do not know the company:")
        say("", f"  {line}", "")
    if setup.seeds:
        say("The refresh token in QUICKBOOKS_REFRESH_TOKEN is no longer used: take it out of the settings.")
    if connected.formerly_posted:
        say(
            f"{connected.formerly_posted} invoices were posted before the company was disconnected: the next "
            "`meltano run push-invoices` finds them again by number and adopts them; none is posted twice."
        )
