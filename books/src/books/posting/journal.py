"""The journal of postings in the store: what is committed here survives any crash, and is what the next run believes.

A row is written only if it is still as it was read (its `seq`): of two processes that want the same invoice, one
writes and the other finds its claim refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pendulum
from sqlalchemy import Connection, and_, or_, select

from books.core.batches import batched
from books.posting import documents
from books.posting.postings import RECALLED, Outcome, Posting
from books.store import Store
from books.store.tables_posting import attempt, learned, left_alone, posting, push_run
from books.store.upsert import upsert

READ_IDS_MAX = 500
"""Ids of one SELECT; SQLite takes more, this keeps the statement small."""

POSTED_BEFORE = "posted"
"""The kind of lesson that says: an invoice of ours was found in a company that this store had never posted to."""

FORMER_ID = "former_id"
"""The kind of lesson that keeps which id an invoice had before a disconnect, until it is found again."""

REPLACED = "replaced"
"""The kind of lesson that keeps which voided documents a retry has replaced: they are never adopted again."""

UNFINISHED = (Outcome.UNKNOWN, Outcome.REJECTED, Outcome.CONFLICT, Outcome.HELD)


@dataclass(frozen=True)
class Lesson:
    """A fact that a run learned of the ledger: `kind` and `key` say of what, `detail` is small JSON."""

    kind: str
    key: str
    ledger_id: str
    detail: Mapping[str, Any]
    learned_at: pendulum.DateTime | None = None


class Journal(Protocol):
    """The store as posting uses it. Every method is one transaction."""

    def load(self, invoice_ids: Sequence[str]) -> dict[str, Posting]:
        """Return the postings of these invoices, by id; unknown ids are left out."""
        ...

    def unfinished(self) -> Sequence[Posting]:
        """Return postings to decide again: not in the ledger, voided or opted out since, or with a retry asked for."""
        ...

    def in_flight(self) -> dict[str, str]:
        """Return number to invoice id, of invoices that were sent and whose outcome is unknown."""
        ...

    def write(self, postings: Sequence[Posting]) -> list[Posting]:
        """Write rows that are still as they were read, and return those written, with their new `seq`."""
        ...

    def intend(self, postings: Sequence[Posting]) -> list[Posting]:
        """Write rows as `write` does, and an attempt for each: the intent, before the socket opens."""
        ...

    def finish(self, postings: Sequence[Posting]) -> list[Posting]:
        """Write rows as `write` does, and the outcome of each row's last attempt."""
        ...

    def lessons(self, kind: str) -> dict[str, Lesson]:
        """Return what was learned of a kind, by key."""
        ...

    def learn(self, lessons: Sequence[Lesson]) -> None:
        """Write what was learned."""
        ...

    def forget(self, kind: str, ledger_ids: Sequence[str]) -> None:
        """Delete what was learned of these ids of the ledger."""
        ...

    def is_left_alone(self, invoice_ids: Sequence[str]) -> dict[str, str]:
        """Return the content hashes of invoices that were looked for before and not found, by id."""
        ...

    def leave_alone(self, contents: Mapping[str, str]) -> None:
        """Write that invoices were looked for and not found."""
        ...

    def ended_documents(self, external_ids: Sequence[str]) -> dict[str, str]:
        """Return `voided` or `deleted` for those of the ledger's documents that were seen so, by id."""
        ...

    def note_ended(self, statuses: Mapping[str, str]) -> None:
        """Write that documents of the ledger were seen voided or deleted."""
        ...

    def record_run(self, run: Mapping[str, Any]) -> None:
        """Write or replace a row of `push_run`."""
        ...

    def now(self) -> pendulum.DateTime:
        """Return the time by the store's clock."""
        ...


class SqlJournal:
    """The journal in SQLite or PostgreSQL."""

    def __init__(self, store: Store, connection: str) -> None:
        self._store = store
        self._connection = connection

    def load(self, invoice_ids: Sequence[str]) -> dict[str, Posting]:
        """See `Journal`."""
        found: dict[str, Posting] = {}
        with self._store.read() as conn:
            for ids in batched(dict.fromkeys(invoice_ids), READ_IDS_MAX):
                rows = conn.execute(self._postings().where(posting.c.opsmerge_invoice_id.in_(ids))).mappings()
                found.update((row["opsmerge_invoice_id"], Posting.from_row(dict(row))) for row in rows)
        return found

    def unfinished(self) -> Sequence[Posting]:
        """See `Journal`."""
        waiting = and_(
            posting.c.outcome.in_([outcome.value for outcome in UNFINISHED]),
            or_(
                posting.c.external_id.is_(None),
                posting.c.outcome == Outcome.UNKNOWN.value,
                posting.c.fault_code.in_(RECALLED),
            ),
        )
        statement = self._postings().where(or_(waiting, posting.c.retry)).order_by(posting.c.seq)
        with self._store.read() as conn:
            return [Posting.from_row(dict(row)) for row in conn.execute(statement).mappings()]

    def in_flight(self) -> dict[str, str]:
        """See `Journal`."""
        sent = select(posting.c.number, posting.c.opsmerge_invoice_id).where(
            posting.c.connection == self._connection,
            posting.c.outcome == Outcome.UNKNOWN.value,
            posting.c.attempts > 0,
        )
        with self._store.read() as conn:
            return {row[0]: row[1] for row in conn.execute(sent)}

    def write(self, postings: Sequence[Posting]) -> list[Posting]:
        """See `Journal`."""
        with self._store.begin() as conn:
            return self._write(conn, postings)

    def intend(self, postings: Sequence[Posting]) -> list[Posting]:
        """See `Journal`."""
        with self._store.begin() as conn:
            written = self._write(conn, postings)
            upsert(conn, attempt, [_attempt_row(each) for each in written])
            return written

    def finish(self, postings: Sequence[Posting]) -> list[Posting]:
        """See `Journal`."""
        with self._store.begin() as conn:
            written = self._write(conn, postings)
            upsert(conn, attempt, [_attempt_row(each) for each in written if each.attempts])
            return written

    def lessons(self, kind: str) -> dict[str, Lesson]:
        """See `Journal`."""
        statement = select(learned).where(learned.c.connection == self._connection, learned.c.kind == kind)
        with self._store.read() as conn:
            return {row["key"]: _lesson(dict(row)) for row in conn.execute(statement).mappings()}

    def learn(self, lessons: Sequence[Lesson]) -> None:
        """See `Journal`."""
        if not lessons:
            return
        with self._store.begin() as conn:
            now = self._store.now(conn)
            upsert(conn, learned, [_lesson_row(self._connection, lesson, now) for lesson in lessons])

    def forget(self, kind: str, ledger_ids: Sequence[str]) -> None:
        """See `Journal`."""
        with self._store.begin() as conn:
            where = and_(learned.c.connection == self._connection, learned.c.kind == kind)
            conn.execute(learned.delete().where(where, learned.c.ledger_id.in_(list(ledger_ids))))

    def is_left_alone(self, invoice_ids: Sequence[str]) -> dict[str, str]:
        """See `Journal`."""
        found: dict[str, str] = {}
        with self._store.read() as conn:
            for ids in batched(dict.fromkeys(invoice_ids), READ_IDS_MAX):
                statement = select(left_alone.c.opsmerge_invoice_id, left_alone.c.content_sha256).where(
                    left_alone.c.connection == self._connection, left_alone.c.opsmerge_invoice_id.in_(ids)
                )
                found.update((row[0], row[1]) for row in conn.execute(statement))
        return found

    def leave_alone(self, contents: Mapping[str, str]) -> None:
        """See `Journal`."""
        rows = [
            {"connection": self._connection, "opsmerge_invoice_id": invoice_id, "content_sha256": content}
            for invoice_id, content in contents.items()
        ]
        with self._store.begin() as conn:
            upsert(conn, left_alone, rows)

    def ended_documents(self, external_ids: Sequence[str]) -> dict[str, str]:
        """See `Journal`."""
        with self._store.read() as conn:
            return documents.ended(conn, self._connection, external_ids)

    def note_ended(self, statuses: Mapping[str, str]) -> None:
        """See `Journal`."""
        if not statuses:
            return
        with self._store.begin() as conn:
            documents.note(conn, self._connection, statuses)

    def record_run(self, run: Mapping[str, Any]) -> None:
        """See `Journal`."""
        with self._store.begin() as conn:
            upsert(conn, push_run, [{**run, "connection": self._connection}])

    def now(self) -> pendulum.DateTime:
        """See `Journal`."""
        with self._store.read() as conn:
            return self._store.now(conn)

    def _postings(self) -> Any:
        return select(posting).where(posting.c.connection == self._connection)

    def _seqs(self, conn: Connection, invoice_ids: Sequence[str]) -> dict[str, int]:
        seqs: dict[str, int] = {}
        for ids in batched(dict.fromkeys(invoice_ids), READ_IDS_MAX):
            statement = select(posting.c.opsmerge_invoice_id, posting.c.seq).where(
                posting.c.connection == self._connection, posting.c.opsmerge_invoice_id.in_(ids)
            )
            seqs.update((row[0], row[1]) for row in conn.execute(statement))
        return seqs

    def _write(self, conn: Connection, postings: Sequence[Posting]) -> list[Posting]:
        if not postings:
            return []
        # The first number taken holds the sequence until the commit, so that claims are made one at a time.
        first = self._store.next_seq(conn)
        current = self._seqs(conn, [each.opsmerge_invoice_id for each in postings])
        claimed = [each for each in postings if current.get(each.opsmerge_invoice_id) == each.seq]
        numbers = [first, *(self._store.next_seq(conn) for _ in claimed[1:])]
        written = [replace(each, seq=number) for each, number in zip(claimed, numbers, strict=False)]
        upsert(conn, posting, [each.to_row() for each in written])
        return written


def _attempt_row(each: Posting) -> dict[str, Any]:
    answered = each.outcome is not Outcome.UNKNOWN or each.fault_code is not None
    return {
        "connection": each.connection,
        "opsmerge_invoice_id": each.opsmerge_invoice_id,
        "number": each.attempts,
        "generation": each.generation,
        "request_id": each.request_id or "",
        "bid": each.bid or "",
        "payload_sha256": each.payload_sha256 or "",
        "at": each.attempted_at,
        "finished_at": each.finished_at if answered else None,
        "outcome": each.outcome.value if answered else None,
        "fault_code": each.fault_code,
        "vendor_request_id": each.vendor_request_id,
    }


def _lesson(row: Mapping[str, Any]) -> Lesson:
    return Lesson(row["kind"], row["key"], row["ledger_id"], json.loads(row["detail"]), row["learned_at"])


def _lesson_row(connection: str, lesson: Lesson, now: pendulum.DateTime) -> dict[str, Any]:
    return {
        "connection": connection,
        "kind": lesson.kind,
        "key": lesson.key,
        "ledger_id": lesson.ledger_id,
        "detail": json.dumps(lesson.detail, ensure_ascii=False),
        "learned_at": now,
    }
