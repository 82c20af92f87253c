"""`books connect`: a person consents in the browser, and the bridge gets access to their company's books."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Callable
from functools import partial
from typing import Any

import click

from books.cli import Context
from books.cli.loopback import listening
from books.cli.output import json_option, print_json, print_table, say
from books.core import redact
from books.core.clock import SystemClock
from books.core.faults import Exit, Halt
from books.core.paths import environment_file
from books.operations.connect import Connected, Connecting, ConnectSettings
from books.operations.consent import Consent, NotTheAnswerError, Redirect
from books.store import Store
from books.transport.access import Code

PASTES_MAX = 3
SECONDS = 600


@click.command("connect")
@click.option("--no-browser", is_flag=True, help="Only print the address; open it yourself.")
@click.option("--paste", is_flag=True, help="The browser is on another machine: paste the address that it ends at.")
@click.option("--other-company", is_flag=True, help="Connect the chosen company although realm_id names another.")
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
    """Connect a company, or connect it again.

    Opens the vendor's page in the browser, where a person chooses the company and agrees. The tokens go into the store;
    the company is read, checked and named. It need not be known before: its id is printed for .env.
    """
    redact.install()
    setup, clock = ConnectSettings.read(context.environment), SystemClock()
    store = Store.open(setup.settings.store_url)
    consent = Consent(setup.settings.access, setup.redirect, clock, timeout)
    connecting = Connecting(setup.vendor, setup.settings, store, clock, setup.redirect.uri, setup.seeds)
    finish = partial(connecting.finish, other_company=other_company)
    if paste or setup.redirect.port is None:
        connected = finish(_pasted(consent, setup.redirect, opens=not (no_browser or paste)))
    else:
        connected = _listened(consent, setup.redirect, timeout, finish, opens=not no_browser)
    if as_json:
        print_json(_as_json(connected, setup))
    else:
        _print(connected, setup)


def _listened(
    consent: Consent, redirect: Redirect, seconds: float, finish: Callable[[Code], Connected], *, opens: bool
) -> Connected:
    """Connect with the answer that the browser brings to this machine."""
    with listening(redirect, consent) as loopback:
        _show_address(consent, opens=opens)
        _say(f"Waiting for the answer at {redirect.uri} ...")
        connected = finish(loopback.wait(seconds))
        loopback.show(f"Connected to: {connected.company.name}", f"Company {connected.connection}.")
        return connected


def _pasted(consent: Consent, redirect: Redirect, *, opens: bool) -> Code:
    """Return the answer in the address that a person pastes; after `PASTES_MAX` unusable ones, raise."""
    _show_address(consent, opens=opens)
    _say(f"Afterwards the browser's address begins with {redirect.uri}, whatever page it shows.")
    for _ in range(PASTES_MAX):
        answer = _read_pasted(consent)
        if answer is not None:
            return answer
    raise _nothing_pasted()


def _read_pasted(consent: Consent) -> Code | None:
    try:
        return consent.read(click.prompt("Paste that whole address here", err=_for_scripts()))
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


def _show_address(consent: Consent, *, opens: bool) -> None:
    if opens and _has_browser() and webbrowser.open(consent.address):
        _say("A browser opens. If it does not, open this address:")
    else:
        _say("Open this address in a browser, choose the company, and press Connect:")
    _say("", f"  {consent.address}", "")


def _has_browser() -> bool:
    """Return whether there is a screen. Without one Python would start a browser in the terminal, over our output."""
    if os.environ.get("BROWSER") or sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _say(*lines: str) -> None:
    say(*lines, err=_for_scripts())


def _for_scripts() -> bool:
    """Return whether stdout is for JSON. Otherwise text goes there: `meltano invoke` turns stderr into log lines."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.params.get("as_json"))


def _as_json(connected: Connected, setup: ConnectSettings) -> dict[str, Any]:
    """Return the result for scripts. It holds no token."""
    return {
        "connection": connected.connection,
        "company": connected.company.name,
        setup.vendor.words.company_setting: _company_id(connected),
        "country": connected.company.country,
        "home_currency": connected.company.home_currency,
        "refresh_token_dies_at": connected.refresh_expires_at,
        "consent_ends_at": connected.hard_expires_at,
        "to_be_found_again": connected.formerly_posted,
        "warnings": list(connected.warnings),
        "env": _lines_for_env(connected, setup),
    }


def _company_id(connected: Connected) -> str:
    return connected.connection.rpartition(":")[2]


def _lines_for_env(connected: Connected, setup: ConnectSettings) -> list[str]:
    company_id = _company_id(connected)
    variable = setup.vendor.words.company_variable
    return [] if setup.settings.company_id == company_id else [f"{variable}={company_id}"]


def _print(connected: Connected, setup: ConnectSettings) -> None:
    company = connected.company
    say(f"Connected to: {company.name}")
    print_table(
        f"Connection {connected.connection} ({setup.environment})",
        ["what", "now"],
        [
            (f"company id ({setup.vendor.words.company_id})", _company_id(connected)),
            ("country", company.country),
            ("home currency", company.home_currency),
            ("access to accounting", "yes: company and preferences were read"),
            ("refresh token expires, unless used", connected.refresh_expires_at),
            ("consent expires", connected.hard_expires_at),
            *((f"WARNING {place}", text) for place, text in enumerate(connected.warnings, start=1)),
        ],
    )
    own = environment_file(setup.environment)
    file = own.name if own else ".env"
    for line in _lines_for_env(connected, setup):
        say(f"Put this into {file} or your secret manager; without it the plugins do not know the company:")
        say("", f"  {line}", "")
    if setup.seeds:
        variable = setup.vendor.words.refresh_token_variable
        say(f"The refresh token in {variable} is no longer used: remove it from the settings.")
    if connected.formerly_posted:
        say(
            f"{connected.formerly_posted} invoices were posted before the company was disconnected: the next "
            f"`meltano run {setup.vendor.jobs['push']}` finds them again by number and adopts them; none is posted "
            "twice."
        )
