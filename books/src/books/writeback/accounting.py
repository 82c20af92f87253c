"""Write the result of each invoice's posting into its accounting block in OpsMerge: once, and only the newest.

The block is read right before it is written, and `books.opsmerge.belonging` decides whether it may be written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, RowMapping, case, or_, select

from books.core.batches import batched
from books.core.faults import Fault, Reject
from books.opsmerge import api, belonging, kinds
from books.opsmerge.api import Accounting
from books.opsmerge.belonging import Act, Ruling
from books.opsmerge.client import OpsMergeClient
from books.store import Store
from books.store.tables_opsmerge import accounting_block, allocation
from books.store.upsert import upsert
from books.writeback.allocation_store import LEFT, refusal
from books.writeback.nonproduction import note_nonproduction

EFFECTS_WAIT_SECONDS = 120

CHUNK = 400
GROUP = 20
"""Invoices in one commit."""

LIST_FROM = 100
"""From this many due blocks on, OpsMerge's list is read first, to find those that need no call of their own."""

ERROR_LENGTH_MAX = 2000

STATUS = {
    "created": "posted",
    "adopted": "posted",
    "rejected": "rejected",
    "conflict": "conflict",
    "held": "held",
}
"""OpsMerge's status for each outcome. `unknown` has none: a later run settles it."""

COMPARED = ("provider", "connection", "external_id", "status", "error")
"""The fields by which two blocks are compared; the time of writing does not matter."""


def effects_lock(company: str) -> str:
    """Return the name of the lock under which a connection writes to OpsMerge.

    One process of it at a time: where a push and a payments run coincide, one waits.
    """
    return f"opsmerge-effects {company}"


@dataclass
class BlockCounts:
    """What a run did to accounting blocks."""

    written: int = 0
    taken_over: int = 0
    """Of those written: they belonged to a non-production connection."""
    already: int = 0
    left: list[Left] = field(default_factory=list)
    """They belong to another connection."""
    shown: list[Left] = field(default_factory=list)
    """They would have been written if this connection were allowed to."""
    refused: list[Reject] = field(default_factory=list)


@dataclass(frozen=True)
class Left:
    """An invoice whose block or payment was not written, and why. `number` is how a person finds it."""

    number: str
    ruling: Ruling


@dataclass(frozen=True)
class Block:
    """An accounting block that may have to be written. `seq` is of the posting that it was made from."""

    connection: str
    invoice_id: str
    number: str | None
    outcome: str
    accounting: Accounting
    seq: int
    attempts: int

    @property
    def name(self) -> str:
        """Return the number, or else the id, by which a person finds the invoice."""
        return self.number or self.invoice_id


class AccountingBlocks:
    """The table `accounting_block`, and the calls that write it to OpsMerge."""

    def __init__(self, store: Store, client: OpsMergeClient) -> None:
        self._store = store
        self._client = client

    def ingest(self, records: Sequence[Mapping[str, Any]]) -> int:
        """Store rows of the postings stream; return how many were new. Old ones and unknown outcomes change nothing."""
        wanted = [record for record in records if record.get("outcome") in STATUS]
        changed = 0
        for batch in batched(wanted, CHUNK):
            with self._store.begin() as connection:
                changed += _ingest(connection, batch)
        return changed

    def write_due(self, company: str, *, clearing: bool = False) -> BlockCounts:
        """Write the blocks of a connection that are due to OpsMerge.

        `clearing` is for `books disconnect`: a connection that may not write still clears its own ids.

        Raises:
            Halt: OpsMerge cannot be used now; what was written until then is recorded.
        """
        counts = BlockCounts()
        results: list[tuple[Block, Ruling | Fault]] = []
        candidates = []
        for block in self._due(company):
            clears = clearing and block.accounting.external_id is None
            if clears or belonging.may_write(block.connection, opsmerge_is_test=self._client.is_test):
                candidates.append(block)
            else:
                ruling = belonging.decide(None, block.connection, opsmerge_is_test=self._client.is_test)
                counts.shown.append(Left(block.name, ruling))
        try:
            for block in self._differing(candidates, results, counts):
                results.append((block, self._write_one(block, counts)))
                if len(results) >= GROUP:
                    self._commit(results)
                    results.clear()
        finally:
            self._commit(results)
        return counts

    def _differing(
        self, due: Sequence[Block], results: list[tuple[Block, Ruling | Fault]], counts: BlockCounts
    ) -> Sequence[Block]:
        """Return the blocks that differ; where many are due, OpsMerge's list is read once to find those."""
        if len(due) < LIST_FROM:
            return due
        shown = {block.invoice_id: None for block in due}
        named = set()
        for record in self._client.records(api.INVOICES):
            named.add(belonging.named_by(record["accounting"]))
            if record["id"] in shown:
                shown[record["id"]] = record["accounting"]
        if belonging.is_production(due[0].connection):
            with self._store.begin() as connection:
                note_nonproduction(connection, named, self._store.now(connection))
        same = [block for block in due if _is_written(shown[block.invoice_id], block.accounting)]
        results += [(block, Ruling(Act.WRITE)) for block in same]
        counts.already += len(same)
        done = {block.invoice_id for block in same}
        return [block for block in due if block.invoice_id not in done]

    def _write_one(self, block: Block, counts: BlockCounts) -> Ruling | Fault:
        """Write one block where it differs and belongs to its connection; return the ruling, or why it was refused."""
        try:
            shown = self._client.invoice(block.invoice_id).get("accounting")
            ruling = belonging.decide(
                shown,
                block.connection,
                opsmerge_is_test=self._client.is_test,
                clears_id=block.accounting.external_id is None,
            )
            if not ruling.writes:
                (counts.left if ruling.act is Act.LEAVE else counts.shown).append(Left(block.name, ruling))
            elif _is_written(shown, block.accounting):
                counts.already += 1
            else:
                self._write(block, shown)
                counts.written += 1
                counts.taken_over += ruling.act is Act.TAKE_OVER
        except Reject as fault:
            counts.refused.append(fault)
            return fault
        return ruling

    def _write(self, block: Block, shown: Any) -> None:
        """Write the block; first note the non-production company that it named until now."""
        named = belonging.named_by(shown)
        if named and belonging.is_production(block.connection) and not belonging.is_production(named):
            with self._store.begin() as connection:
                note_nonproduction(connection, [named], self._store.now(connection))
        answer = self._client.put_accounting(block.invoice_id, block.accounting).get("accounting")
        if belonging.link_of(answer) != belonging.link_of(block.accounting.body()):
            raise _not_as_written(block)

    def _due(self, company: str) -> list[Block]:
        with self._store.read() as connection:
            now = self._store.now(connection)
            ripe = accounting_block.c.next_attempt_at.is_(None) | (accounting_block.c.next_attempt_at <= now)
            ours = accounting_block.c.connection == company
            query = select(accounting_block).where(ours, accounting_block.c.due, ripe, ~_superseded())
            query = query.order_by(accounting_block.c.seq)
            return [_block(row) for row in connection.execute(query).mappings()]

    def _commit(self, results: Sequence[tuple[Block, Ruling | Fault]]) -> None:
        if not results:
            return
        with self._store.begin() as connection:
            now = self._store.now(connection)
            for block, outcome in results:
                if isinstance(outcome, Fault):
                    connection.execute(_row_of(block).values(**refusal(outcome, block.attempts + 1, now)))
                elif outcome.act is Act.LEAVE:
                    connection.execute(_row_of(block).values(**_left(block, outcome)))
                elif outcome.writes:
                    connection.execute(_row_of(block).values(**_written(block)))
                    connection.execute(_retry_left_payments(block))


def mark_changed_links(store: Store, connection: str, shown: Iterable[tuple[str, Any]]) -> int:
    """Mark blocks as due whose connection or id differs in OpsMerge; return how many.

    `shown` gives each invoice's id and its block as OpsMerge has it. Invoices of other connections are left alone, and
    blocks that were refused lately keep the time of their next try.
    """
    links = dict(shown)
    marked = 0
    with store.begin() as conn:
        if belonging.is_production(connection):
            note_nonproduction(conn, {belonging.named_by(block) for block in links.values()}, store.now(conn))
        for row in _rows_of(conn, connection, list(links)):
            block = links[row["opsmerge_invoice_id"]]
            wanted = (connection, row["external_id"]) if row["external_id"] else None
            is_right = belonging.link_of(block) == wanted and row["fault_code"] != LEFT
            if row["due"] or is_right:
                continue
            ruling = belonging.decide(block, connection, opsmerge_is_test=True)
            changes = {**_NEW_TRY, "due": True} if ruling.writes else {**_why_left(ruling), "due": False}
            key = accounting_block.c.opsmerge_invoice_id == row["opsmerge_invoice_id"]
            conn.execute(
                accounting_block.update().where(accounting_block.c.connection == connection, key).values(changes)
            )
            marked += ruling.writes
    return marked


def _rows_of(conn: Connection, connection: str, invoice_ids: Sequence[str]) -> Sequence[RowMapping]:
    query = select(accounting_block).where(
        accounting_block.c.connection == connection, accounting_block.c.opsmerge_invoice_id.in_(invoice_ids)
    )
    return conn.execute(query).mappings().all()


def _is_written(shown: Any, wanted: Accounting) -> bool:
    """Return whether OpsMerge shows this block already; the time of writing does not matter."""
    body, shown = wanted.body(), shown or {}
    return all(shown.get(name) == body[name] for name in COMPARED)


def _not_as_written(block: Block) -> Reject:
    return Reject(
        f"invoice {block.name}: OpsMerge's answer has another connection or id in the block than was written",
        code="not_as_written",
        remedy="look at the invoice in OpsMerge, and run `books contract-check` to see whether the API has changed",
    )


def _superseded() -> Any:
    """Return the condition that another company has a newer posting of the same invoice, which is then shown instead.

    Over a production connection only another production connection takes precedence.
    """
    other = accounting_block.alias()
    production = f"{belonging.PRODUCTION}%"
    newer = select(other.c.seq).where(
        other.c.opsmerge_invoice_id == accounting_block.c.opsmerge_invoice_id,
        other.c.connection != accounting_block.c.connection,
        other.c.seq > accounting_block.c.seq,
        or_(other.c.connection.like(production), ~accounting_block.c.connection.like(production)),
    )
    return newer.exists()


_NEW_TRY: Mapping[str, Any] = {
    "attempts": 0,
    "next_attempt_at": None,
    "fault_code": None,
    "fault_message": None,
    "remedy": None,
}


def _ingest(connection: Connection, records: Sequence[Mapping[str, Any]]) -> int:
    """Store one chunk of rows: per invoice the newest, where it is newer than the known one; return how many."""
    newest: dict[tuple[str, str], Mapping[str, Any]] = {}
    for record in records:
        key = (str(record["connection"]), str(record["opsmerge_invoice_id"]))
        if key not in newest or _seq(record) >= _seq(newest[key]):
            newest[key] = record
    known = _known(connection, [invoice_id for _, invoice_id in newest])
    rows = [
        _row(key, record, known.get(key))
        for key, record in newest.items()
        if key not in known or _seq(record) > known[key]["seq"]
    ]
    upsert(connection, accounting_block, rows)
    return len(rows)


def _known(connection: Connection, invoice_ids: Sequence[str]) -> dict[tuple[str, str], RowMapping]:
    query = select(accounting_block).where(accounting_block.c.opsmerge_invoice_id.in_(invoice_ids)).with_for_update()
    rows = connection.execute(query).mappings()
    return {(row["connection"], row["opsmerge_invoice_id"]): row for row in rows}


def _row(key: tuple[str, str], record: Mapping[str, Any], known: RowMapping | None) -> dict[str, Any]:
    accounting = _accounting(record)
    return {
        "connection": key[0],
        "opsmerge_invoice_id": key[1],
        "number": record.get("number"),
        "outcome": record["outcome"],
        "provider": accounting.provider,
        "external_id": accounting.external_id,
        "status": accounting.status,
        "error": accounting.error,
        "synced_at": accounting.synced_at,
        "seq": _seq(record),
        "due": known is None or known["due"] or known["written_sha256"] != _sha256(accounting),
        **_NEW_TRY,
    }


def _accounting(record: Mapping[str, Any]) -> Accounting:
    status = STATUS[record["outcome"]]
    synced_at = record.get("finished_at") or record.get("attempted_at")
    return Accounting(
        provider=str(record.get("provider") or "quickbooks"),
        connection=str(record["connection"]),
        external_id=None if record.get("external_id") is None else str(record["external_id"]),
        status=status,
        error=None if status == "posted" else _error(record),
        synced_at=None if synced_at is None else kinds.moment(synced_at),
    )


def _error(record: Mapping[str, Any]) -> str:
    """Return what is wrong and what to do, as text for the person who reads the invoice."""
    message = str(record.get("fault_message") or record.get("fault_code") or record["outcome"]).strip()
    remedy = str(record.get("remedy") or "").strip()
    text = f"{message}. What to do: {remedy}" if remedy else message
    return text[:ERROR_LENGTH_MAX]


def _seq(record: Mapping[str, Any]) -> int:
    return int(record.get("seq") or 0)


def _sha256(accounting: Accounting) -> str:
    body = accounting.body()
    return hashlib.sha256(repr([body[name] for name in COMPARED]).encode()).hexdigest()


def _block(row: RowMapping) -> Block:
    accounting = Accounting(
        row["provider"], row["connection"], row["external_id"], row["status"], row["error"], row["synced_at"]
    )
    return Block(
        connection=row["connection"],
        invoice_id=row["opsmerge_invoice_id"],
        number=row["number"],
        outcome=row["outcome"],
        accounting=accounting,
        seq=row["seq"],
        attempts=row["attempts"],
    )


def _row_of(block: Block) -> Any:
    return accounting_block.update().where(
        accounting_block.c.connection == block.connection,
        accounting_block.c.opsmerge_invoice_id == block.invoice_id,
    )


def _left(block: Block, ruling: Ruling) -> dict[str, Any]:
    """Return the columns of a block left to another connection, until OpsMerge's block or the posting changes."""
    unchanged = accounting_block.c.seq == block.seq
    return {**_why_left(ruling), "due": case((unchanged, False), else_=True)}


def _why_left(ruling: Ruling) -> dict[str, Any]:
    return {**_NEW_TRY, "fault_code": LEFT, "fault_message": ruling.why, "remedy": ruling.remedy}


def _retry_left_payments(block: Block) -> Any:
    """Mark payments as due that were left while the invoice belonged to another connection."""
    return (
        allocation.update()
        .where(allocation.c.connection == block.connection, allocation.c.opsmerge_invoice_id == block.invoice_id)
        .where(allocation.c.fault_code == LEFT)
        .values(due=True)
    )


def _written(block: Block) -> dict[str, Any]:
    """Return the columns of a block that OpsMerge shows now. A newer posting that came meanwhile stays due."""
    unchanged = accounting_block.c.seq == block.seq
    return {
        "written_sha256": _sha256(block.accounting),
        **_NEW_TRY,
        "due": case((unchanged, False), else_=True),
    }
