from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select, update
from starlette.responses import JSONResponse, Response

from books.core.clock import VirtualClock
from books.core.faults import Exit, Halt
from books.store import Store
from books.store.tables_infra import token
from books.transport import tokens_of
from books.transport.tokens import TokenStore


@pytest.fixture
def tokens_for(vendor: Any, settings_for: Callable[..., Any], store: Store, clock: VirtualClock) -> Any:
    """A token store with other settings, as another process or a later run would have it."""

    def make(**more: Any) -> TokenStore:
        return tokens_of(settings_for(vendor.url, **more), store, clock)

    return make


@pytest.fixture
def tokens(tokens_for: Any) -> TokenStore:
    return tokens_for()


def row(store: Store) -> dict[str, Any]:
    with store.read() as conn:
        return dict(conn.execute(select(token)).mappings().one())


def halted(action: Callable[[], Any]) -> Halt:
    with pytest.raises(Halt) as caught:
        action()
    assert "canary" not in str(caught.value)
    assert "RT-" not in str(caught.value)
    return caught.value


def test_the_first_token_comes_from_the_pasted_one(tokens: TokenStore, vendor: Any, store: Store) -> None:
    """The refresh token of the settings seeds the store once; the call is as Intuit documents it."""
    assert tokens.access_token() == "access-canary-0001"
    call = vendor.service.seen[0]
    assert call["form"] == {"grant_type": "refresh_token", "refresh_token": "RT-pasted-1"}
    assert base64.b64decode(call["headers"]["authorization"].removeprefix("Basic ")) == b"client-1:secret-canary-1"
    assert call["headers"]["x-include-refresh-token-hard-expires-in"] == "true"
    assert row(store)["refresh_token"] == "RT-rotated-0001"


def test_a_token_is_used_until_five_minutes_before_its_end(
    tokens: TokenStore, vendor: Any, clock: VirtualClock
) -> None:
    """One refresh per hour, before the token dies and not at each call."""
    tokens.access_token()
    clock.advance(3600 - 301)
    assert tokens.access_token() == "access-canary-0001"
    clock.advance(2)
    assert tokens.access_token() == "access-canary-0002"
    assert vendor.service.refreshes == 2


def test_the_chain_goes_on_by_rotation(tokens_for: Any, store: Store, clock: VirtualClock) -> None:
    """Each refresh uses the newest refresh token and keeps the one before; the pasted one is not used again."""
    for number in range(1, 5):
        assert tokens_for().access_token() == f"access-canary-{number:04}"
        clock.advance(3600)
    assert (row(store)["refresh_token"], row(store)["previous_refresh_token"]) == ("RT-rotated-0004", "RT-rotated-0003")


def test_tokens_are_kept_before_they_are_used(
    tokens: TokenStore, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the store cannot keep a new token nobody gets to use it, and the mark says that one was lost."""

    def full(*_args: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(TokenStore, "_mark_used", full)
    with pytest.raises(OSError, match="disk full"):
        tokens.access_token()
    assert row(store)["access_token"] is None
    assert tokens.state().cut_off_at is not None
    monkeypatch.undo()
    message = halted(tokens.access_token).message
    assert "a refresh was interrupted at 2026-11-02" in message


def test_a_newly_pasted_token_wins(tokens_for: Any, vendor: Any) -> None:
    """A user who pastes a fresh token is heard at once, while the old access token still has life left."""
    tokens_for().access_token()
    vendor.service.live.add("RT-pasted-2")
    assert tokens_for(refresh_token="RT-pasted-2").access_token() == "access-canary-0002"
    assert vendor.service.seen[-1]["form"]["refresh_token"] == "RT-pasted-2"


def test_an_old_pasted_token_does_not_come_back(tokens_for: Any, vendor: Any, clock: VirtualClock) -> None:
    """One plugin still has last year's token in its settings: it follows the chain that the other one began."""
    tokens_for().access_token()
    vendor.service.live.add("RT-pasted-2")
    tokens_for(refresh_token="RT-pasted-2").access_token()
    assert tokens_for(refresh_token="RT-pasted-1").access_token() == "access-canary-0002"
    clock.advance(3600)
    assert tokens_for(refresh_token="RT-pasted-1").access_token() == "access-canary-0003"
    assert len(vendor.service.seen) == 3


def test_a_wrongly_pasted_token_does_not_end_a_living_chain(tokens_for: Any, vendor: Any, caplog: Any) -> None:
    """A pasted token that Intuit refuses is warned about, and the stored chain goes on."""
    tokens_for().access_token()
    assert tokens_for(refresh_token="RT-nonsense-9").access_token() == "access-canary-0002"
    assert "refused the refresh_token of the settings" in caplog.text
    assert "RT-" not in caplog.text


def test_a_dead_connection_says_what_to_do(tokens: TokenStore, vendor: Any) -> None:
    """invalid_grant ends the run with 69 and what to set; the state tells since when."""
    vendor.service.live.clear()
    halt = halted(tokens.access_token)
    assert halt.exit_code is Exit.DEAD_CONNECTION
    assert "QUICKBOOKS_REFRESH_TOKEN" in halt.remedy
    state = tokens.state()
    assert (state.connected, state.cut_off_at) == (False, None)
    assert state.refused_at is not None


def test_a_token_that_somebody_stored_meanwhile_is_found(
    tokens: TokenStore, vendor: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """invalid_grant with a token that is old by now: the store is read again before the connection is called dead."""
    tokens.access_token()
    vendor.service.live = {"RT-by-another-way"}
    refresh = type(tokens._service).refresh

    def overtaken(self: Any, refresh_token: str) -> Any:
        with store.begin() as conn:
            conn.execute(token.update().values(refresh_token="RT-by-another-way"))
        return refresh(self, refresh_token)

    monkeypatch.setattr(type(tokens._service), "refresh", overtaken)
    assert tokens.refresh(rejected="access-canary-0001") == "access-canary-0002"


def test_without_any_refresh_token_the_user_is_asked_to_connect(tokens_for: Any, vendor: Any) -> None:
    """Nothing pasted, nothing stored: 69, without a call."""
    halt = halted(tokens_for(refresh_token="").access_token)
    assert (halt.exit_code, vendor.service.seen) == (Exit.DEAD_CONNECTION, [])


@pytest.mark.parametrize(
    ("faults", "calls", "code", "cut_off"),
    [
        ([JSONResponse({"error": "invalid_client"}, 401)], 1, Exit.MISCONFIGURED, False),
        ([JSONResponse({"error": "invalid_request"}, 400)], 1, Exit.MISCONFIGURED, False),
        ([Response("<html>blocked</html>", 403)], 1, Exit.MISCONFIGURED, False),
        ([Response("<html>", 503) for _n in range(9)], 5, Exit.TRY_LATER, True),
        ([JSONResponse({}, 429, {"Retry-After": "900"})], 1, Exit.TRY_LATER, True),
        ([JSONResponse({"access_token": "access-canary"})], 1, Exit.TRY_LATER, True),
        ([Response("<html>hello</html>")], 1, Exit.TRY_LATER, True),
    ],
)
def test_other_refusals_are_told_apart(
    tokens: TokenStore, vendor: Any, faults: list[Response], calls: int, code: Exit, cut_off: bool
) -> None:
    """A wrong client is 78, a service in trouble is 75 after bounded repeats; neither calls the connection dead."""
    vendor.service.faults = list(faults)
    halt = halted(tokens.access_token)
    assert (halt.exit_code, len(vendor.service.seen)) == (code, calls)
    assert tokens.state().refused_at is None
    assert (tokens.state().cut_off_at is not None) is cut_off


def test_an_outage_of_the_token_service_passes(tokens: TokenStore, vendor: Any) -> None:
    """Two 503s are waited out."""
    vendor.service.faults = [Response("", 503), Response("", 503)]
    assert tokens.access_token() == "access-canary-0001"


def test_an_unreachable_token_service_is_try_later(settings_for: Any, store: Store, clock: VirtualClock) -> None:
    """A refused connection is 75 and leaves no mark: nothing was sent."""
    tokens = tokens_of(settings_for("http://127.0.0.1:9"), store, clock)
    assert halted(tokens.access_token).exit_code is Exit.TRY_LATER
    assert tokens.state().cut_off_at is None


def test_a_refused_access_token_is_refreshed_once(tokens: TokenStore, tokens_for: Any, vendor: Any) -> None:
    """A 401 makes one refresh; whoever comes with the same dead token later gets the new one."""
    old = tokens.access_token()
    assert tokens.refresh(rejected=old) == "access-canary-0002"
    assert tokens_for().refresh(rejected=old) == "access-canary-0002"
    assert vendor.service.refreshes == 2


def test_state_shows_ages_and_both_ends(tokens: TokenStore, clock: VirtualClock) -> None:
    """People see when the chain dies without use, when consent ends whatever happens, and the age of the chain."""
    tokens.access_token()
    clock.advance(12 * 3600)
    state = tokens.state()
    assert state.connected
    assert state.refresh_age_days == pytest.approx(0.5)
    assert (state.refresh_expires_at - clock.now()).total_days() == pytest.approx(99.5)
    assert (state.hard_expires_at - clock.now()).total_days() == pytest.approx(5 * 365 - 0.5)
    assert "canary" not in repr(state)


def test_the_hard_end_does_not_move(tokens: TokenStore, vendor: Any, clock: VirtualClock) -> None:
    """A refresh that does not name the end of consent keeps the known one."""
    tokens.access_token()
    end = tokens.state().hard_expires_at
    clock.advance(3600)
    body = {"access_token": "access-canary-2", "refresh_token": "RT-2", "expires_in": 3600}
    vendor.service.faults = [JSONResponse(body)]
    assert tokens.access_token() == "access-canary-2"
    assert tokens.state().hard_expires_at == end


def test_tokens_are_encrypted_where_there_is_a_key(tokens_for: Any, store: Store, clock: VirtualClock) -> None:
    """With token_key no token is in the store in the clear; a key can be replaced; what was clear before is read."""
    key, newer = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    tokens_for().access_token()
    clock.advance(3600)
    tokens_for(token_key=key).access_token()
    stored = " ".join(str(row(store)[name]) for name in ("access_token", "refresh_token", "previous_refresh_token"))
    assert "canary" not in stored
    assert "RT-" not in stored
    assert tokens_for(token_key=f"{newer},{key}").access_token() == "access-canary-0002"
    clock.advance(3600)
    tokens_for(token_key=f"{newer},{key}").access_token()
    assert tokens_for(token_key=newer).access_token() == "access-canary-0003"
    assert tokens_for().state().encrypted


def test_a_wrong_or_missing_key_is_said(tokens_for: Any, vendor: Any) -> None:
    """Encrypted tokens without their key: 78 in clear words, no call; a newly pasted token needs no old key."""
    tokens_for(token_key=Fernet.generate_key().decode()).access_token()
    for key, words in (("", "token_key is not set"), (Fernet.generate_key().decode(), "another token_key")):
        halt = halted(tokens_for(token_key=key).access_token)
        assert halt.exit_code is Exit.MISCONFIGURED
        assert words in halt.message
    assert "not a Fernet key" in halted(lambda: tokens_for(token_key="password")).message
    vendor.service.live.add("RT-pasted-2")
    fresh = tokens_for(token_key=Fernet.generate_key().decode(), refresh_token="RT-pasted-2")
    assert fresh.access_token() == "access-canary-0002"


def test_consent_replaces_any_chain(tokens_for: Any, vendor: Any) -> None:
    """Connecting: the code's tokens are kept, and the token in the settings counts as old from then on."""
    vendor.service.live.add("the-code")
    tokens = tokens_for()
    tokens.keep(tokens.exchange("the-code", "http://localhost:8000/callback")[0])
    assert vendor.service.seen[0]["form"]["redirect_uri"] == "http://localhost:8000/callback"
    assert tokens.access_token() == "access-canary-0001"
    assert (
        halted(lambda: tokens.exchange("the-code", "http://localhost:8000/callback")).exit_code is Exit.DEAD_CONNECTION
    )


def test_revoking_ends_the_chain_at_intuit_and_here(tokens: TokenStore, vendor: Any) -> None:
    """`books disconnect`: Intuit forgets, we forget, and the old pasted token does not bring it back."""
    tokens.access_token()
    tokens.revoke()
    assert vendor.service.live == set()
    assert not tokens.state().connected
    assert halted(tokens.access_token).exit_code is Exit.DEAD_CONNECTION
    tokens.revoke()


def test_tokens_are_forgotten_although_intuit_cannot_be_told(tokens_for: Any, vendor: Any) -> None:
    """The revoke finds nobody there and says so; nothing of the chain stays, and the pasted token is old then."""
    tokens_for().access_token()
    told = tokens_for(token_url="http://127.0.0.1:9/", max_wait_seconds=0).revoke()
    assert told is not None
    assert told.exit_code is Exit.TRY_LATER
    assert vendor.service.live == {"RT-rotated-0001"}
    assert not tokens_for().state().connected
    assert halted(tokens_for().access_token).exit_code is Exit.DEAD_CONNECTION


def test_a_seed_that_was_never_used_is_given_back_too(tokens_for: Any, vendor: Any) -> None:
    """A disconnect before the first run: the token in the settings is revoked, and does not connect by itself later."""
    assert tokens_for().revoke() is None
    assert vendor.service.live == set()
    vendor.service.live.add("RT-pasted-1")
    assert halted(tokens_for().access_token).exit_code is Exit.DEAD_CONNECTION


def test_retired_seeds_do_not_come_back(tokens_for: Any, vendor: Any) -> None:
    """Seeds of every plugin's settings count as old once retired; one that is pasted later wins as ever."""
    vendor.service.live |= {"the-code", "RT-of-the-tap", "RT-later"}
    tokens_for().keep(tokens_for().exchange("the-code", "http://localhost:8000/callback")[0])
    tokens_for().retire_seeds(["RT-of-the-tap", None, "RT-of-the-tap"])
    assert tokens_for(refresh_token="RT-of-the-tap").access_token() == "access-canary-0001"
    assert tokens_for(refresh_token="RT-later").access_token() == "access-canary-0002"


class _Spell:
    """A store that cannot be written from the refresh on, until the clock has been slept on so often."""

    def __init__(self, path: Path, clock: VirtualClock, sleeps: int) -> None:
        self._away, self._path, self._clock, self._left = path.with_suffix(".away"), path, clock, sleeps

    def begin(self) -> None:
        self._path.rename(self._away)
        clock, asleep = self._clock, self._clock.sleep

        def sleep(seconds: float) -> None:
            asleep(seconds)
            self._left -= 1
            if self._left == 0:
                self._away.rename(self._path)

        clock.sleep = sleep  # type: ignore[method-assign] # time passes as before


@pytest.mark.parametrize(("sleeps", "kept"), [(3, True), (10_000, False)])
def test_new_tokens_wait_for_a_store_that_is_away(
    vendor: Any, settings_for: Callable[..., Any], tmp_path: Path, clock: VirtualClock, sleeps: int, kept: bool
) -> None:
    """Intuit's new refresh token is nowhere else: it is written when the store is back; the wait has an end."""
    path = tmp_path / "books" / "books.db"
    store = Store.open(f"sqlite:///{path}", clock)
    tokens = tokens_of(settings_for(vendor.url, max_wait_seconds=0), store, clock)
    spell = _Spell(path, clock, sleeps)
    refresh = tokens._service.refresh

    def refreshed(refresh_token: str) -> Any:
        grant = refresh(refresh_token)
        spell.begin()
        return grant

    tokens._service.refresh = refreshed  # type: ignore[method-assign] # the real call, and then the store is away
    if kept:
        assert tokens.access_token() == "access-canary-0001"
        assert row(store)["refresh_token"] == "RT-rotated-0001"
    else:
        halt = halted(tokens.access_token)
        assert (halt.exit_code, str(path) in halt.message) == (Exit.TRY_LATER, True)
        assert "could not be stored" in halt.message
        assert "books connect" in halt.remedy
    store.close()


def test_a_newer_chain_is_not_overwritten(vendor: Any, tokens: TokenStore, store: Store, clock: VirtualClock) -> None:
    """Where somebody else has refreshed while our write waited, their tokens stay; ours serve this run."""
    tokens.access_token()
    refresh = tokens._service.refresh

    def overtaken(refresh_token: str) -> Any:
        grant = refresh(refresh_token)
        with store.begin() as conn:
            conn.execute(update(token).values(refresh_token="RT-theirs", refreshed_at=clock.now().add(seconds=1)))
        return grant

    tokens._service.refresh = overtaken  # type: ignore[method-assign] # the real call, and somebody was quicker
    assert tokens.refresh("access-canary-0001") == "access-canary-0002"
    assert row(store)["refresh_token"] == "RT-theirs"
