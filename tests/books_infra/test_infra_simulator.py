from __future__ import annotations

from typing import Any

from books.core.clock import SystemClock
from books.ledgers.quickbooks.settings import QuickBooksSettings
from books.store import Store
from books.transport import CallKind, Request, build, governor_of, tokens_of


def test_the_simulator_is_reached_the_way_intuit_is(quickbooks_sim: Any, tmp_path: Any) -> None:
    """From a pasted refresh token to an answered, counted call: on the simulator with nothing but two addresses."""
    config = {
        "realm_id": "9341453000000001",
        "client_id": "sandbox-client",
        "client_secret": "sandbox-secret",
        "refresh_token": "RT-sandbox-0001",
        "api_url": quickbooks_sim.url,
        "token_url": quickbooks_sim.url,
    }
    settings, clock = QuickBooksSettings.from_config(config), SystemClock()
    store = Store.open(f"sqlite:///{tmp_path}/books.db", clock)
    url = f"{settings.api_base}/v3/company/{settings.realm_id}/companyinfo/{settings.realm_id}"
    answer = build(settings, store, clock).send(
        Request("GET", url, CallKind.READ, {"minorversion": "75"}, {"Accept": "application/json"})
    )
    assert answer.status == 200
    assert answer.headers["intuit_tid"]
    assert governor_of(settings, store, clock).state(settings.connection).metered == 1
    state = tokens_of(settings, store, clock).state()
    assert state.connected
    assert state.hard_expires_at is not None
    store.close()
