"""Connecting a company: what counts as the answer, which redirect addresses Intuit takes, what is proved then."""

from __future__ import annotations

import html
import re
import socket
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from click.testing import CliRunner

from books.cli.connect import PASTES_MAX, _pasted
from books.cli.loopback import listening
from books.core.clock import SystemClock, VirtualClock
from books.core.faults import Exit, Halt
from books.ledgers.quickbooks.settings import QuickBooksSettings
from books.ledgers.registry import vendor
from books.operations.connect import Connecting
from books.operations.consent import REDIRECT_URI, Consent, NotTheAnswerError, Redirect
from books.store import Store

REALM = "9341453000000001"
SETTINGS = QuickBooksSettings(realm_id="", client_id="client", client_secret="secret")


def consent(clock=None, seconds=600):
    return Consent(SETTINGS.access, Redirect(REDIRECT_URI, 8765), clock or VirtualClock(), seconds)


def state_of(asked):
    return parse_qs(urlsplit(asked.address).query)["state"][0]


def answer(asked, **changes):
    told = {"code": "AB11.code", "realmId": REALM, "state": state_of(asked), **changes}
    return f"{REDIRECT_URI}?{urlencode({name: value for name, value in told.items() if value is not None})}"


def test_the_address_asks_for_the_one_scope_with_a_state_that_nobody_guesses():
    """Intuit's page, the code flow, the accounting scope alone, the redirect address, and another state each time."""
    first, second = consent(), consent()
    parts = urlsplit(first.address)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://appcenter.intuit.com/connect/oauth2"
    asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert asked == {
        "client_id": "client",
        "response_type": "code",
        "scope": "com.intuit.quickbooks.accounting",
        "redirect_uri": REDIRECT_URI,
        "state": state_of(first),
    }
    assert len(state_of(first)) >= 43
    assert state_of(first) != state_of(second)


@pytest.mark.parametrize("wrap", ["{}", "  {}\n", "'{}'", "<{}>", '"{}"'])
def test_a_pasted_address_is_read_as_it_was_copied(wrap):
    """With blanks, quotes and line breaks around it."""
    asked = consent()
    read = asked.read(wrap.format(answer(asked)))
    assert (read.code, read.company_id) == ("AB11.code", REALM)
    assert "AB11" not in repr(read)


def test_an_address_broken_over_lines_is_read():
    """A terminal that wraps a long address puts line breaks into it."""
    asked = consent()
    address = answer(asked)
    assert asked.read(address[:40] + "\n  " + address[40:]).company_id == REALM


NOT_THE_ANSWER = {
    "nothing": lambda _asked: "",
    "rubbish": lambda _asked: "hello",
    "the address before": lambda asked: asked.address.replace(state_of(asked), "x"),
    "no address at all": lambda _asked: "http://[::1",
    "another state": lambda asked: answer(asked, state="other"),
    "a state that is no ASCII": lambda asked: answer(asked, state="ö"),
    "no state": lambda asked: answer(asked, state=None),
    "an error for another attempt": lambda asked: answer(asked, state="other", error="access_denied"),
    "no code": lambda asked: answer(asked, code=None),
    "no company": lambda asked: answer(asked, realmId=None),
    "a company that is no number": lambda asked: answer(asked, realmId="1/../2"),
    "a book": lambda asked: answer(asked) + "x" * 9000,
}


@pytest.mark.parametrize("name", NOT_THE_ANSWER)
def test_what_is_not_the_answer_changes_nothing(name):
    """It is said why, and the true answer is still taken afterwards."""
    asked = consent()
    with pytest.raises(NotTheAnswerError):
        asked.read(NOT_THE_ANSWER[name](asked))
    assert asked.read(answer(asked)).company_id == REALM


def test_an_answer_counts_once_and_for_a_limited_time():
    """A second use is another attempt's; after the time limit it is exit code 75."""
    clock = VirtualClock()
    asked = consent(clock, seconds=600)
    asked.read(answer(asked))
    with pytest.raises(NotTheAnswerError):
        asked.read(answer(asked))
    late = consent(clock, seconds=600)
    clock.advance(601)
    with pytest.raises(Halt, match="in time") as caught:
        late.read(answer(late))
    assert caught.value.exit_code is Exit.TRY_LATER


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        ("access_denied", Exit.DEAD_CONNECTION, "Cancel was clicked"),
        ("invalid_scope", Exit.MISCONFIGURED, "invalid_scope"),
        ("<script>", Exit.MISCONFIGURED, "unreadable"),
    ],
)
def test_a_refusal_ends_it_in_words(error, code, words):
    """What Intuit said, what to do, and no text of a stranger."""
    asked = consent()
    with pytest.raises(Halt, match=words) as caught:
        asked.read(answer(asked, code=None, error=error))
    assert caught.value.exit_code is code
    assert caught.value.remedy
    assert "<" not in caught.value.message


REDIRECTS = {
    None: ("sandbox", REDIRECT_URI, 8765),
    "http://localhost:9000/done": ("sandbox", "http://localhost:9000/done", 9000),
    "https://msp.example/books": ("production", "https://msp.example/books", None),
    "https://msp.example/sandbox": ("sandbox", "https://msp.example/sandbox", None),
}


@pytest.mark.parametrize("uri", REDIRECTS)
def test_redirect_addresses_that_intuit_takes(uri):
    """A port is listened on only at http://localhost; a registered page means that the address is pasted."""
    environment, wanted, port = REDIRECTS[uri]
    redirect = Redirect.read(uri, environment, SETTINGS.access)
    assert (redirect.uri, redirect.port) == (wanted, port)


@pytest.mark.parametrize(
    ("uri", "environment"),
    [
        (None, "production"),
        ("http://localhost:8765/callback", "production"),
        ("http://127.0.0.1:8765/callback", "sandbox"),
        ("https://192.0.2.7/callback", "production"),
        ("http://msp.example/callback", "sandbox"),
        ("http://localhost/callback", "sandbox"),
        ("https://user@msp.example/", "production"),
        ("https://msp.example/#part", "production"),
        ("http://localhost:99999/", "sandbox"),
        ("nonsense", "sandbox"),
    ],
)
def test_redirect_addresses_that_intuit_refuses_are_refused_before_its_page(uri, environment):
    """Exit code 78 and the variable to set."""
    with pytest.raises(Halt) as caught:
        Redirect.read(uri, environment, SETTINGS.access)
    assert caught.value.exit_code is Exit.MISCONFIGURED
    assert "BOOKS_REDIRECT_URI" in caught.value.remedy


def local():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Redirect(f"http://localhost:{port}/callback", port)


def test_a_port_that_is_taken_and_an_answer_that_never_comes_are_said():
    """Exit code 78 names the port and the ways out; after the time limit it is 75."""
    redirect = local()
    with listening(redirect, consent()) as first:
        with pytest.raises(Halt, match=str(redirect.port)) as taken, listening(redirect, consent()):
            pass
        with pytest.raises(Halt, match="nobody answered in time") as caught:
            first.wait(0.01)
    assert taken.value.exit_code is Exit.MISCONFIGURED
    assert all(word in taken.value.remedy for word in ("BOOKS_REDIRECT_URI", "--paste"))
    assert caught.value.exit_code is Exit.TRY_LATER


def test_an_idle_connection_of_the_browser_holds_nothing_up():
    """Browsers open connections ahead of need: the answer is taken beside one, and the end does not wait for it."""
    redirect, asked = local(), consent(SystemClock())
    with socket.socket() as idle, listening(redirect, asked) as loopback:
        idle.connect(("127.0.0.1", redirect.port))
        address = answer(asked).replace(REDIRECT_URI, redirect.uri)
        loopback.show("Connected to: <Company>", "Done.")
        loopback._decided.set()
        page = requests.get(address, timeout=10)
        assert loopback.wait(10).company_id == REALM
    assert "Connected to: &lt;Company&gt;" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("typed", ["a\nhttp://x/?state=b&code=c&realmId=1\n\nb\n", ""])
def test_nothing_usable_pasted_is_said(typed):
    """Some tries, or the end of the input: exit code 1, and what to copy."""
    with CliRunner().isolation(input=typed) as (said, _, _), pytest.raises(Halt, match="no usable") as caught:
        _pasted(consent(), Redirect("https://msp.example/books"), opens=False)
    assert caught.value.exit_code is Exit.FAILED
    assert said.getvalue().decode().count("Not usable") == (PASTES_MAX if typed else 0)


@pytest.fixture
def connecting(quickbooks_sim, tmp_path):
    """A simulated Intuit, an empty store, no company chosen."""
    settings = replace(
        SETTINGS,
        client_id="sandbox-client",
        client_secret="sandbox-secret",
        api_url=quickbooks_sim.url,
        token_url=quickbooks_sim.url,
        store_url=f"sqlite:///{tmp_path}/books.db",
    )
    store = Store.open(settings.store_url)
    yield Connecting(vendor("quickbooks"), settings, store, SystemClock(), "http://localhost:9000/done")
    store.close()


def consented(connecting):
    """A person presses Connect."""
    asked = Consent(connecting.settings.access, Redirect(connecting.redirect_uri, 9000), SystemClock(), 60)
    page = requests.get(asked.address, timeout=10)
    form = {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', page.text)}
    form |= {"decision": "connect", "realm": REALM}
    sent = requests.post(asked.address, data=form, timeout=10, allow_redirects=False)
    return asked.read(sent.headers["location"])


def test_keys_of_the_other_environment_are_named_and_nothing_is_kept(connecting, quickbooks_sim):
    """403/3100 after the consent: exit code 78, the consent given back, no token in the store."""
    quickbooks_sim.state.books(REALM).company.environment = "production"
    before = quickbooks_sim.state.consents.tokens(REALM)
    with pytest.raises(Halt, match=r"\(3100\)") as caught:
        connecting.finish(consented(connecting), other_company=False)
    assert caught.value.exit_code is Exit.MISCONFIGURED
    assert "Development keys" in caught.value.remedy
    assert quickbooks_sim.state.consents.tokens(REALM) == before
    with pytest.raises(Halt, match="no refresh token"):
        connecting._tokens(REALM).access_token()


def test_a_company_elsewhere_or_not_set_up_is_a_warning(connecting, quickbooks_sim):
    """Another country, another home currency, VAT off: said, and the company is connected."""
    quickbooks_sim.state.books(REALM).company.update({"Country": "AU", "HomeCurrency": "AUD", "VAT": False})
    warnings = " ".join(connecting.finish(consented(connecting), other_company=False).warnings)
    assert all(word in warnings for word in ("AU, not GB", "VAT is switched off", "AUD"))


def test_a_company_that_cannot_be_read_now_stays_connected(connecting, quickbooks_sim):
    """QuickBooks is down after the consent: exit code 75, the tokens are kept, and that is said."""
    quickbooks_sim.control.fault("5xx_before", method="GET", path="/companyinfo", times=50)
    impatient = replace(connecting, settings=replace(connecting.settings, max_wait_seconds=0))
    given = consented(impatient)
    with pytest.raises(Halt, match="its tokens are kept") as caught:
        impatient.finish(given, other_company=False)
    assert caught.value.exit_code is Exit.TRY_LATER
    assert connecting._tokens(REALM).state().connected
