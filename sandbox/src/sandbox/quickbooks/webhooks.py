"""Notices of changes: CloudEvents in arrays, signed, retried on the virtual clock, lost or doubled on request."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from sandbox.common.clock import SimClock
from sandbox.quickbooks import codec
from sandbox.quickbooks.db import Database
from sandbox.quickbooks.switches import Switches
from sandbox.quickbooks.times import utc

RETRY_SECONDS = (10, 20, 30, 300, 1200, 7200, 14_400, 21_600)
LAST_RETRY_SECONDS = 21_600
ANSWER_SECONDS_MAX = 3.0
EVENTS_PER_POST_MAX = 1000
SOURCE = "intuit.sandbox-simulator"
LEGACY_VERBS = {
    "created": "Create",
    "updated": "Update",
    "deleted": "Delete",
    "voided": "Void",
    "emailed": "Emailed",
    "merged": "Merge",
}
ANNOUNCED = frozenset(
    {"Invoice", "Payment", "Customer", "Vendor", "CreditMemo", "Item", "Account", "Deposit", "Preferences"}
)
Post = Callable[[str, bytes, dict[str, str]], int | None]


@dataclass(frozen=True)
class Notice:
    """One change that is still to be announced."""

    n: int
    realm: str
    entity: str
    entity_id: str
    verb: str
    at: float
    tries: int
    event_id: str


@dataclass
class Delivery:
    """One POST and its result. `status` is None when nothing answered within three seconds."""

    url: str
    events: int
    status: int | None
    body: bytes
    signature: str

    def as_json(self) -> dict[str, Any]:
        """Return the delivery as JSON for `/_control`."""
        return {"url": self.url, "events": self.events, "status": self.status, "signature": self.signature}


def http_post(url: str, body: bytes, headers: dict[str, str]) -> int | None:
    """Send a POST; return None when nothing answers in time."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            return session.post(url, data=body, headers=headers, timeout=ANSWER_SECONDS_MAX).status_code
    except (requests.RequestException, ValueError):  # ValueError: a URL that cannot be one
        return None


class Webhooks:
    """The queue of notices and the endpoint they go to."""

    def __init__(self, database: Database, clock: SimClock, switches: Switches, seed: int = 0) -> None:
        self._db = database
        self._clock = clock
        self._switches = switches
        self._dice = random.Random(seed)  # noqa: S311 -- shuffles a test's events
        self.url = ""
        self.verifier_token = ""
        self.realms: frozenset[str] = frozenset()
        self.auto = False

    def subscribe(self, url: str, verifier_token: str, realms: Iterable[str] = (), *, auto: bool = False) -> None:
        """Send notices there, of all realms or of some; an empty url stops them.

        With `auto` the server sends what falls due by itself, else somebody asks for it.
        """
        self.url, self.verifier_token, self.realms, self.auto = url, verifier_token, frozenset(realms), auto

    def snapshot(self) -> dict[str, Any]:
        """Return the state for `restore`."""
        return {
            "url": self.url,
            "verifier_token": self.verifier_token,
            "realms": sorted(self.realms),
            "auto": self.auto,
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Restore a snapshot."""
        self.subscribe(
            snapshot.get("url", ""),
            snapshot.get("verifier_token", ""),
            snapshot.get("realms", ()),
            auto=snapshot.get("auto", False),
        )

    def note(self, realm: str, changed: Iterable[tuple[str, str, str]]) -> None:
        """Queue notices of changes: none when nothing is subscribed, or the switch drops them."""
        if not self.url or self._switches.webhook_loss or (self.realms and realm not in self.realms):
            return
        now = self._clock.epoch()
        for entity, entity_id, verb in changed:
            if entity in ANNOUNCED:
                self._db.run(
                    "INSERT INTO notice (realm, entity, entity_id, verb, at, due_at, tries, event_id) "
                    "VALUES (?, ?, ?, ?, ?, ?, 0, ?)",
                    realm,
                    entity,
                    entity_id,
                    verb,
                    now,
                    now + self._switches.webhook_delay_seconds,
                    str(uuid.uuid4()),
                )

    def due(self) -> list[Notice]:
        """Return the notices due now, oldest first; one that fails delays those after it."""
        rows = self._db.all(
            "SELECT n, realm, entity, entity_id, verb, at, tries, event_id FROM notice "
            "WHERE delivered_at IS NULL AND due_at <= ? ORDER BY n LIMIT ?",
            self._clock.epoch(),
            EVENTS_PER_POST_MAX,
        )
        return [Notice(*row) for row in rows]

    def waiting(self) -> int:
        """Return notices not delivered yet."""
        row = self._db.one("SELECT count(*) FROM notice WHERE delivered_at IS NULL")
        return int(row[0]) if row else 0

    def next_due_at(self) -> float | None:
        """Return when the next delivery falls due."""
        row = self._db.one("SELECT min(due_at) FROM notice WHERE delivered_at IS NULL")
        return row[0] if row else None

    def prepare(self) -> tuple[list[Notice], Delivery] | None:
        """Return the next POST, with every due event of every realm in one array; None when nothing is due."""
        notices = self.due()
        if not notices or not self.url:
            return None
        sent = list(notices) * max(1, self._switches.webhook_copies)
        if self._switches.webhook_shuffle:
            self._dice.shuffle(sent)
        body = codec.encode(self._legacy(sent) if self._switches.webhook_shape == "legacy" else self._events(sent))
        return notices, Delivery(self.url, len(sent), None, body, sign(body, self.verifier_token))

    def headers(self, delivery: Delivery) -> dict[str, str]:
        """Return headers of a POST."""
        return {
            "Content-Type": "application/json",
            "User-Agent": "intuit_notification_server/0.1",
            "intuit-signature": delivery.signature,
            "intuit-created-time": utc(self._clock.epoch()).isoformat(),
            "intuit-t-id": str(uuid.uuid4()),
            "intuit-notification-schema-version": "0.1" if self._switches.webhook_shape == "legacy" else "1.0",
        }

    def settle(self, notices: list[Notice], status: int | None) -> None:
        """Record the result of a POST: delivered on 200, else due again by the schedule."""
        now = self._clock.epoch()
        for notice in notices:
            if status == 200:  # noqa: PLR2004 -- HTTP's own number
                self._db.run("UPDATE notice SET delivered_at = ? WHERE n = ?", now, notice.n)
            else:
                wait = RETRY_SECONDS[notice.tries] if notice.tries < len(RETRY_SECONDS) else LAST_RETRY_SECONDS
                self._db.run("UPDATE notice SET tries = tries + 1, due_at = ? WHERE n = ?", now + wait, notice.n)

    def _events(self, notices: list[Notice]) -> list[dict[str, Any]]:
        return [
            {
                "specversion": "1.0",
                "id": notice.event_id,
                "source": SOURCE,
                "type": f"qbo.{notice.entity.lower()}.{notice.verb}.v1",
                "datacontenttype": "application/json",
                "time": utc(notice.at).isoformat().replace("+00:00", "Z"),
                "intuitentityid": notice.entity_id,
                "intuitaccountid": notice.realm,
                "data": {},
            }
            for notice in notices
        ]

    def _legacy(self, notices: list[Notice]) -> dict[str, Any]:
        by_realm: dict[str, list[dict[str, Any]]] = {}
        for notice in notices:
            entity = {
                "name": notice.entity,
                "id": notice.entity_id,
                "operation": LEGACY_VERBS.get(notice.verb, "Update"),
                "lastUpdated": utc(notice.at).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            }
            by_realm.setdefault(notice.realm, []).append(entity)
        rows = [{"realmId": realm, "dataChangeEvent": {"entities": found}} for realm, found in by_realm.items()]
        return {"eventNotifications": rows}


def sign(body: bytes, verifier_token: str) -> str:
    """Return the value of `intuit-signature`."""
    return base64.b64encode(hmac.new(verifier_token.encode(), body, hashlib.sha256).digest()).decode()
