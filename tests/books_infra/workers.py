"""Processes of the tests: `workers.py <role> <arguments as JSON>`; each event is one line of JSON in a file."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from typing import Any

from books.core.clock import SystemClock
from books.ledgers.quickbooks.settings import QuickBooksSettings
from books.store import Store
from books.transport import CallKind, tokens_of
from books.transport.access import Limit, Window
from books.transport.governor import Governor

CONNECTION = "sandbox:9341453000000001"
PAUSING_SEED = 3
"""The one of the governed processes that is never killed and finds a 429 at every fourth call."""


class Log:
    """Lines that are in the file as soon as they are written, so that a kill loses none."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, **event: Any) -> None:
        os.write(self._descriptor, (json.dumps({"pid": os.getpid(), **event}) + "\n").encode())


def govern(log: Log, store_url: str, seconds: float, requests: int, batches: int, seed: int, **_: Any) -> None:
    """Ask for slots as fast as possible; push, read, and pause everybody now and then."""
    clock, dice = SystemClock(), random.Random(seed)
    store = Store.open(store_url, clock)
    limits = (
        Limit("requests", requests, 1.0),
        Limit("batches", batches, 1.0, frozenset({CallKind.BATCH})),
    )
    governor = Governor(store, clock, limits)
    log.write(event="ready")
    end, number = clock.monotonic() + seconds, 0
    while clock.monotonic() < end:
        kind = dice.choice([CallKind.READ, CallKind.BATCH])
        with governor.slot(CONNECTION, kind, clock.monotonic() + 30) as granted_at:
            log.write(event="grant", kind=kind.value, at=granted_at)
            if kind is CallKind.BATCH:
                log.write(event="begin", at=time.monotonic())
                time.sleep(0.05)
            number += 1
            if seed == PAUSING_SEED and number % 4 == 1:
                pause(log, store, governor)
            if kind is CallKind.BATCH:
                log.write(event="end", at=time.monotonic())
    log.write(event="done")


def pause(log: Log, store: Store, governor: Governor) -> None:
    with store.read() as conn:
        before = store.steady(conn).seconds
    governor.pause(CONNECTION, 0.25, "a test's 429")
    with store.read() as conn:
        after = store.steady(conn).seconds
    log.write(event="pause", since=after, until=before + 0.25)


def fly(log: Log, store_url: str, calls: int, at_once: int, lease_seconds: float, seed: int, **_: Any) -> None:
    """Make so many calls as fast as allowed; none lasts for more than a small part of a lease."""
    clock, dice = SystemClock(), random.Random(seed)
    store = Store.open(store_url, clock)
    limit = Limit("concurrent", at_once, window=Window.IN_FLIGHT)
    governor = Governor(store, clock, (limit,), lease_seconds=lease_seconds)
    log.write(event="ready")
    for _call in range(calls):
        with governor.slot(CONNECTION, CallKind.READ, clock.monotonic() + 30):
            log.write(event="begin", at=time.monotonic())
            time.sleep(dice.uniform(0.01, 0.05))
            log.write(event="end", at=time.monotonic())
    log.write(event="done")


def hold_slot(log: Log, store_url: str, **_: Any) -> None:
    """Take the push slot, and keep it until killed."""
    clock = SystemClock()
    store = Store.open(store_url, clock)
    governor = Governor(store, clock, (Limit("requests", 100, 1.0),))
    with governor.slot(CONNECTION, CallKind.WRITE, clock.monotonic() + 30):
        log.write(event="holding")
        time.sleep(60)


def hold_token(log: Log, store_url: str, url: str, **_: Any) -> None:
    """Begin a refresh at a token service that does not answer soon, to be killed in the middle of it."""
    store = Store.open(store_url)
    log.write(event="ready")
    tokens_of(settings(store_url, url), store, SystemClock()).access_token()


def use_tokens(log: Log, store_url: str, url: str, rounds: int, **_: Any) -> None:
    """Fetch a token, declare it dead (as a 401 does), again and again."""
    store = Store.open(store_url)
    tokens = tokens_of(settings(store_url, url), store, SystemClock())
    token = tokens.access_token()
    for _round in range(rounds):
        log.write(event="token", token=token)
        token = tokens.refresh(rejected=token)
    log.write(event="done")


def first_token(log: Log, store_url: str, url: str, start_at: float, **_: Any) -> None:
    """All at the same moment: one token, please."""
    store = Store.open(store_url)
    tokens = tokens_of(settings(store_url, url), store, SystemClock())
    time.sleep(max(0.0, start_at - time.time()))
    log.write(event="token", token=tokens.access_token())


def open_store(log: Log, store_url: str, start_at: float, **_: Any) -> None:
    """All at the same moment: open a store that is not there yet, and use it."""
    time.sleep(max(0.0, start_at - time.time()))
    store = Store.open(store_url)
    with store.begin() as conn:
        log.write(event="seq", seq=store.next_seq(conn))


def count(log: Log, store_url: str, rounds: int, **_: Any) -> None:
    """Draw numbers."""
    store = Store.open(store_url)
    for _round in range(rounds):
        with store.begin() as conn:
            log.write(event="seq", seq=store.next_seq(conn))


def settings(store_url: str, url: str) -> QuickBooksSettings:
    return QuickBooksSettings.from_config(
        {
            "realm_id": "9341453000000001",
            "client_id": "client-1",
            "client_secret": "secret-canary-1",
            "refresh_token": "RT-pasted-1",
            "store_url": store_url,
            "api_url": url,
            "token_url": url,
        }
    )


ROLES = {
    role.__name__: role for role in (govern, fly, hold_slot, hold_token, use_tokens, first_token, open_store, count)
}

if __name__ == "__main__":
    arguments = json.loads(sys.argv[2])
    ROLES[sys.argv[1]](Log(arguments.pop("log")), **arguments)
