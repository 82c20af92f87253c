"""`requestid`: a repeated write gets the first one's answer, and nothing runs again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sandbox.quickbooks import faults
from sandbox.quickbooks.books import Books

SINGLE_MAX, BATCH_MAX, BID_MAX = 50, 36, 10


@dataclass(frozen=True)
class Key:
    """What makes a write the same one. `bid` is empty for a single write; `app` is empty unless the switch says so."""

    request_id: str
    bid: str = ""
    app: str = ""


@dataclass(frozen=True)
class Stored:
    """The first answer."""

    status: int
    body: bytes


def check_single(request_id: str) -> None:
    """Refuse an id that is too long.

    Raises:
        ApiFault: 6000, as captured.
    """
    if len(request_id) > SINGLE_MAX:
        raise faults.request_id_too_long(request_id)


def check_batch(request_id: str) -> None:
    """Refuse a batch's id that is too long.

    Raises:
        ApiFault: 2130; 6000 beyond the limit of any request.
    """
    check_single(request_id)
    if len(request_id) > BATCH_MAX:
        raise faults.bad_request_id(f"at most {BATCH_MAX} characters in a batch")


def check_item(request_id: str, bid: str) -> None:
    """Refuse a bId that does not fit behind the batch's id; the server joins the two.

    Raises:
        ApiFault: 6000 for the joined length, 2130 for the bId alone.
    """
    if len(request_id) + len(bid) > SINGLE_MAX:
        raise faults.request_id_too_long(request_id + bid)
    if len(bid) > BID_MAX:
        raise faults.bad_request_id(f"bId may have at most {BID_MAX} characters")


def recall(books: Books, key: Key, content: bytes) -> Stored | None:
    """Return the stored answer, if it is still kept.

    Raises:
        ApiFault: 600 where the content differs and the switch forbids that.
    """
    oldest = books.now() - books.switches.replay_retention_seconds
    row = books.db.one(
        "SELECT status, body, digest FROM replay WHERE realm = ? AND app = ? AND request_id = ? AND bid = ? AND at > ?",
        books.realm,
        _app(books, key),
        key.request_id,
        key.bid,
        oldest,
    )
    if row is None:
        return None
    if row[2] != _digest(content) and books.switches.replay_changed_body == "fault":
        raise faults.duplicate_request_id()
    return Stored(row[0], row[1])


def remember(books: Books, key: Key, content: bytes, answer: Stored) -> None:
    """Keep an answer, a refusal only where the switch says so."""
    if answer.status != 200 and not books.switches.replay_failures:  # noqa: PLR2004 -- HTTP's own number
        return
    books.db.run(
        "INSERT OR REPLACE INTO replay VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        books.realm,
        _app(books, key),
        key.request_id,
        key.bid,
        _digest(content),
        answer.status,
        answer.body,
        books.now(),
    )


def _app(books: Books, key: Key) -> str:
    return key.app if books.switches.replay_scope == "app" else ""


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
