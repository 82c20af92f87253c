"""Verify and parse QuickBooks' webhooks, in both formats of the body (Intuit, "Webhooks best practices").

Since 31 July 2026 Intuit sends only CloudEvents: an array, over any number of companies. The legacy object
`eventNotifications` is still read: an old queue may hold one, and refusing it would block what follows.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pendulum

from books.core import money
from books.ledgers.notices import Notice, Unreadable, fold, storable, unreadable

SIGNATURE = "intuit-signature"
"""Base64 of HMAC-SHA256 over the raw body, keyed with the app's verifier token."""

OPERATIONS = {
    "create": "created",
    "update": "updated",
    "delete": "deleted",
    "void": "voided",
    "merge": "merged",
    "email": "emailed",
}
"""The legacy verbs, and variants of the new ones, mapped to the new ones."""

READS: Mapping[str, Sequence[str]] = {"payment": (), "invoice": ("created", "updated", "emailed")}
"""The entities that pull-payments reads, with the operations to ignore: e.g. an invoice that we have just posted."""

REALM = re.compile(r"[0-9]{1,20}")
OBJECT_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
TIME_CHARS_MAX = 64
YEARS = range(2000, 2200)
"""A notice of another year is wrong, and at the ends of the calendar adding a time zone or a minute overflows."""


class QuickBooksWebhooks:
    """Verifies and parses webhooks. With several verifier tokens, one can be rotated without losing a delivery."""

    provider = "quickbooks"
    ledger = "QuickBooks"
    path = "/webhooks/quickbooks"
    reads = READS
    answer_seconds = 3.0
    """Intuit, "Webhooks best practices"."""
    missed_after_seconds = 3600.0
    """Intuit sends within 5 minutes and repeats after 10 s to 20 minutes."""

    def __init__(self, verifier_tokens: Sequence[str]) -> None:
        self._keys = [token.encode() for token in verifier_tokens]

    def is_genuine(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Return whether the signature matches these bytes under one of the tokens, in constant time."""
        signature = _decoded(headers.get(SIGNATURE, ""))
        matches = [hmac.compare_digest(hmac.digest(key, body, hashlib.sha256), signature) for key in self._keys]
        return any(matches)

    def parse(self, body: bytes) -> Sequence[Notice | Unreadable]:
        """Return the notices of a body in either format; an event that cannot be read is Unreadable."""
        try:
            document = money.loads(body)
        except (ValueError, ArithmeticError, RecursionError):
            return [unreadable("the body is not JSON", body.decode("utf-8", "replace"))]
        if isinstance(document, list):
            return list(_each(_cloud_event, document))
        if isinstance(document, dict) and isinstance(document.get("eventNotifications"), list):
            return list(_each(_legacy, document["eventNotifications"]))
        return [_unreadable("the body is neither an array of CloudEvents nor eventNotifications", document)]


def _decoded(signature: str) -> bytes:
    """Return the digest of a signature; empty, which never matches, if it is not canonical base64."""
    try:
        digest = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return digest if base64.b64encode(digest).decode() == signature else b""


def _each(read: Callable[[Any], Iterable[Notice | Unreadable]], events: Iterable[Any]) -> Iterator[Notice | Unreadable]:
    """Read each event; one that raises is Unreadable, and the others are read."""
    for event in events:
        try:
            found = list(read(event))
        except Exception as error:  # noqa: BLE001 -- an event may contain anything
            found = [_unreadable(f"the event cannot be read ({type(error).__name__})", event)]
        yield from found


def _cloud_event(event: Any) -> Iterator[Notice | Unreadable]:
    """Read a CloudEvent: `type` (`qbo.payment.created.v1`), `intuitaccountid` (realm), `intuitentityid`, `id`, time."""
    if not isinstance(event, dict):
        yield _unreadable("an event is not an object", event)
        return
    words = str(event.get("type") or "").lower().split(".")
    if len(words) < 3 or words[0] != "qbo":  # noqa: PLR2004 -- qbo, entity, operation
        yield _unreadable("the event's type is not qbo.<entity>.<operation>", event)
        return
    yield _notice(
        event,
        company_id=event.get("intuitaccountid"),
        entity=words[1],
        entity_id=event.get("intuitentityid"),
        operation=words[2],
        event_id=str(event.get("id") or ""),
        time=event.get("time"),
    )


def _legacy(notification: Any) -> Iterator[Notice | Unreadable]:
    change = notification.get("dataChangeEvent") if isinstance(notification, dict) else None
    entities = change.get("entities") if isinstance(change, dict) else None
    if not isinstance(entities, list):
        yield _unreadable("a notification has no dataChangeEvent.entities", notification)
        return
    yield from _each(partial(_legacy_entity, notification.get("realmId")), entities)


def _legacy_entity(realm_id: Any, entity: Any) -> Iterator[Notice | Unreadable]:
    """Read one entity. A merge concerns two objects: the one that stays and the one that was removed."""
    if not isinstance(entity, dict):
        yield _unreadable("an entity is not an object", entity)
        return
    ids = [entity.get("id"), *filter(None, [entity.get("deletedId")])]
    for entity_id in ids:
        yield _notice(
            entity,
            company_id=realm_id,
            entity=str(entity.get("name") or ""),
            entity_id=entity_id,
            operation=str(entity.get("operation") or ""),
            event_id="",
            time=entity.get("lastUpdated"),
        )


def _notice(
    event: Mapping[str, Any],
    *,
    company_id: Any,
    entity: str,
    entity_id: Any,
    operation: str,
    event_id: str,
    time: Any,
) -> Notice | Unreadable:
    """Return the notice, if company, entity and id are valid. An event without an id is identified by its time."""
    if not REALM.fullmatch(str(company_id)):
        return _unreadable("the event has no valid company id", event)
    folded = fold(entity)[:32]
    if not folded or not OBJECT_ID.fullmatch(str(entity_id)):
        return _unreadable("the event has no valid object", event)
    occurred_at = _moment(time)
    if occurred_at is not None and occurred_at.year not in YEARS:
        return _unreadable(f"the event's time is not in the years {YEARS[0]} to {YEARS[-1]}", event)
    verb = fold(operation)
    return Notice(
        company_id=str(company_id),
        entity=folded,
        entity_id=str(entity_id),
        operation=OPERATIONS.get(verb, verb)[:16],
        event_id=storable(event_id or str(time or ""))[:128],
        occurred_at=occurred_at and occurred_at.in_timezone("UTC"),
    )


def _moment(time: Any) -> pendulum.DateTime | None:
    """Return the time of an event; None if it cannot be parsed.

    Raises:
        OverflowError: the time is outside the calendar.
    """
    text = str(time or "")
    try:
        parsed = pendulum.parse(text) if len(text) <= TIME_CHARS_MAX else None
    except ValueError:
        return None
    return parsed if isinstance(parsed, pendulum.DateTime) else None


def _unreadable(reason: str, event: Any) -> Unreadable:
    return unreadable(reason, event if isinstance(event, str) else _json(event))


def _json(event: Any) -> str:
    """Return an event as JSON; NaN and too deep nesting cannot be written."""
    try:
        return money.dumps(event)
    except (ValueError, RecursionError):
        return "(cannot be shown)"
