"""`books connect`, as a new user runs it: a command in a terminal, Intuit's page in a browser, and what goes wrong."""

from __future__ import annotations

import base64
import html
import json
import re
import socket
import subprocess
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from browser import CHROMIUM, Browser

from books.store import Store
from books.store.tables_infra import token
from books.transport.seal import Seal

FIRST, SECOND = "9341453000000001", "9341453000000002"
PASTED = "https://msp.example/books/done"
SECONDS_MAX = 60
TOKEN_KEY = "x" * 43 + "="


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Terminal:
    """A `books connect` that runs, and what it has said so far."""

    process: subprocess.Popen
    for_scripts: bool
    said: str = ""

    @property
    def address(self) -> str:
        while not (found := re.search(r"^ *(http\S+/connect/oauth2\?\S+)$", self.said, re.MULTILINE)):
            line = (self.process.stderr if self.for_scripts else self.process.stdout).readline()
            assert line, self.said
            self.said += line
        return found[1]

    def end(self, typed: str | None = None) -> tuple[int, str, str]:
        out, err = self.process.communicate(typed, timeout=SECONDS_MAX)
        said, quiet = ("", self.said) if self.for_scripts else (self.said, "")
        return self.process.returncode, said + out, quiet + err


@dataclass
class Desk:
    """A project, the QuickBooks simulator with two companies, and a person at both."""

    project: object
    sim: object
    port: int = field(default_factory=free_port)

    @property
    def settings(self) -> dict[str, str]:
        return {
            "TARGET_QUICKBOOKS_API_URL": self.sim.url,
            "TARGET_QUICKBOOKS_TOKEN_URL": self.sim.url,
            "BOOKS_REDIRECT_URI": f"http://localhost:{self.port}/callback",
        }

    def start(self, *words: str, **more: str) -> Terminal:
        command = [str(self.project.root / ".venv" / "bin" / "books"), "connect", *words]
        environment = {**self.project.environment, **self.settings, **more}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(command, cwd=self.project.root, env=environment, text=True, **pipes)
        return Terminal(process, "--json" in words)

    def decide(self, address: str, decision: str = "connect", realm: str = FIRST) -> str:
        """Press a button on the consent page; the address that the browser is sent to."""
        page = requests.get(address, timeout=10)
        assert page.status_code == 200, page.text
        form = {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', page.text)}
        form |= {"decision": decision, "realm": realm}
        return requests.post(address, data=form, timeout=10, allow_redirects=False).headers["location"]

    def connect(self, *words: str, realm: str = FIRST, **more: str) -> tuple[int, str, str]:
        terminal = self.start("--no-browser", *words, **more)
        requests.get(self.decide(terminal.address, realm=realm), timeout=SECONDS_MAX)
        return terminal.end()

    def consents(self, realm: str) -> list[dict]:
        return self.sim.state.consents.tokens(realm)

    def tokens(self, realm: str = FIRST, key: str | None = None) -> str | None:
        store = Store.open(f"sqlite:///{self.project.root}/.demo/books.db")
        with store.read() as conn:
            row = conn.execute(token.select().where(token.c.connection == f"sandbox:{realm}")).mappings().first()
        store.close()
        return Seal(key).open(row["refresh_token"]) if row else None


@pytest.fixture
def desk(tmp_path, quickbooks_sim, projects) -> Desk:
    quickbooks_sim.state.add_company({"realm": SECOND, "CompanyName": "Hartley & Sons <b>Ltd</b>"})
    return Desk(projects(tmp_path / "project"), quickbooks_sim)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_in_a_real_browser_a_person_chooses_a_company_and_reads_that_it_is_connected(desk, tmp_path):
    """Without a realm_id: the page of Intuit, one press, our page names the company, the terminal the line for .env."""
    terminal = desk.start("--no-browser", QUICKBOOKS_REALM_ID="", TARGET_QUICKBOOKS_REALM_ID="")
    browser = Browser(tmp_path / "profile")
    browser.open(terminal.address)
    browser.wait_for("!!document.querySelector('button')")
    browser.evaluate(f"document.querySelector('select').value = '{SECOND}'")
    browser.evaluate("document.querySelector('button[value=connect]').click()")
    shown = browser.wait_for("document.title.startsWith('Connected') && document.body.innerText")
    browser.close()
    code, out, err = terminal.end()
    assert code == 0, err
    assert "Connected to: Hartley & Sons <b>Ltd</b>" in shown
    assert "You can close this window" in shown
    assert "Connected to: Hartley & Sons <b>Ltd</b>" in out
    assert f"QUICKBOOKS_REALM_ID={SECOND}" in out
    assert desk.tokens(SECOND) in {each["refresh_token"] for each in desk.consents(SECOND)}


def test_an_old_refresh_token_in_the_settings_does_not_undo_a_connect(desk):
    """Seeds of either plugin, used or not, count as old once a person has connected: the new chain is used."""
    desk.sim.control.post("tokens", {"realm": FIRST, "refresh_token": "RT-of-the-tap"})
    seeds = {"TAP_QUICKBOOKS_PAYMENTS_REFRESH_TOKEN": "RT-of-the-tap"}
    code, out, err = desk.connect("--json", **seeds)
    assert code == 0, err
    told = json.loads(out)
    assert (told["company"], told["realm_id"], told["country"]) == ("Sandbox Company_GB_1", FIRST, "GB")
    assert (told["warnings"], told["env"], bool(told["consent_ends_at"])) == ([], [], True)
    chain = desk.tokens()
    desk.sim.control.advance(3700)
    command = ["python", "-c", USE_THE_TOKENS]
    for seed in ("RT-sandbox-0001", "RT-of-the-tap"):
        used = desk.project.command(*command, SEED=seed, **desk.settings)
        assert used.code == 0, used.out
    assert desk.tokens() == chain


USE_THE_TOKENS = """
import os
from books import transport
from books.core.clock import SystemClock
from books.ledgers.quickbooks.settings import QuickBooksSettings
from books.store import Store
url = os.environ["TARGET_QUICKBOOKS_API_URL"]
settings = QuickBooksSettings(realm_id="9341453000000001", client_id="sandbox-client", client_secret="sandbox-secret",
                              refresh_token=os.environ["SEED"],
                              api_url=url, token_url=url, store_url="sqlite:///.demo/books.db")
tokens = transport.tokens_of(settings, Store.open(settings.store_url), SystemClock())
tokens.refresh(rejected=tokens.access_token())
"""


def test_another_company_than_the_settings_name_is_refused_and_given_back(desk):
    """Exit code 78, no consent left, no token kept, both ids named; `--other-company` takes it all the same."""
    before = desk.consents(SECOND)
    code, out, err = desk.connect(realm=SECOND)
    assert (code, "Connected" in out) == (78, False)
    assert all(word in err for word in (FIRST, SECOND, "--other-company"))
    assert (desk.tokens(SECOND), desk.tokens(FIRST)) == (None, None)
    assert desk.consents(SECOND) == before
    code, out, err = desk.connect("--other-company", realm=SECOND)
    assert code == 0, err
    assert f"QUICKBOOKS_REALM_ID={SECOND}" in out
    assert desk.tokens(FIRST) is None


def test_cancel_ends_the_command_and_the_page_says_so(desk):
    """access_denied is exit code 69, said in the browser and the terminal; a stray answer before it ends nothing."""
    terminal = desk.start("--no-browser")
    answer = desk.decide(terminal.address, "cancel")
    stray = requests.get(re.sub(r"state=[^&]+", "state=another", answer), timeout=SECONDS_MAX)
    assert (stray.status_code, "another attempt" in stray.text) == (400, True)
    assert requests.get(answer.replace("/callback", "/favicon.ico"), timeout=SECONDS_MAX).status_code == 404
    page = requests.get(answer, timeout=SECONDS_MAX)
    code, out, err = terminal.end()
    assert (code, "Connected" in out) == (69, False)
    assert "Cancel was clicked" in err
    assert "Cancel was clicked" in page.text
    assert page.headers["cache-control"] == "no-store"


def test_where_the_browser_cannot_come_back_the_address_is_pasted(desk):
    """With a registered https address: rubbish is asked for again, the whole address connects, a used code is dead."""
    terminal = desk.start("--no-browser", BOOKS_REDIRECT_URI=PASTED)
    address = desk.decide(terminal.address)
    assert address.startswith(PASTED)
    code, out, err = terminal.end(f"hello\n  '{address}'\n")
    assert code == 0, err
    assert "not the address at which the browser ended" in out
    assert "Connected to: Sandbox Company_GB_1" in out

    late = desk.start("--paste")
    answer = desk.decide(late.address)
    desk.sim.control.advance(700)
    code, _, err = late.end(f"{answer}\n")
    assert (code, "too old" in err) == (69, True)


def test_no_secret_is_printed_or_left_at_debug(desk):
    """At DEBUG: no client secret, no token, no code, no key; and none in the store either, with a token_key."""
    from cryptography.fernet import Fernet

    key, secret = Fernet.generate_key().decode(), "secret-canary-7f3a91"
    desk.sim.state.consents.add_client("sandbox-client", secret, "sandbox")
    variables = {"LOGLEVEL": "DEBUG", "MELTANO_CLI_LOG_LEVEL": "debug", "PYTHONDEVMODE": "1"}
    terminal = desk.start(
        "--no-browser", TARGET_QUICKBOOKS_TOKEN_KEY=key, TARGET_QUICKBOOKS_CLIENT_SECRET=secret, **variables
    )
    answer = desk.decide(terminal.address)
    page = requests.get(answer, timeout=SECONDS_MAX)
    code, out, err = terminal.end()
    assert code == 0, err
    found = {secret, key, desk.tokens(key=key), parse_qs(urlsplit(answer).query)["code"][0]}
    found.add(base64.b64encode(f"sandbox-client:{secret}".encode()).decode())
    assert None not in found
    stored = b"".join(path.read_bytes() for path in (desk.project.root / ".demo").glob("books.db*"))
    for canary in found:
        assert canary not in out + err + page.text
        assert canary.encode() not in stored
