"""Makes each invoice's accounting block in OpsMerge say what came of its posting: told once, the newest only.

The block is read right before it is written, and `books.opsmerge.belonging` says whether it may be.
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
from books.writeback.allocation_ledger import LEFT, refusal
from books.writeback.nonproduction import note_nonproduction

EFFECTS_LOCK = "opsmerge-effects"
EFFECTS_WAIT_SECONDS = 120
"""One process at a time writes to OpsMerge. Two may meet (the minute's push, the five minutes' payments): one waits."""

CHUNK = 400
GROUP = 20
"""Invoices in one commit."""

LIST_FROM = 100
"""With so many blocks to look at, OpsMerge's list shows first which need no call of their own."""

ERROR_LENGTH_MAX = 2000

STATUS = {
    "created": "posted",
    "adopted": "posted",
    "rejected": "rejected",
    "conflict": "conflict",
    "held": "held",
}
"""What an outcome is in OpsMerge's words. `unknown` has none: a later run settles it."""

COMPARED = ("provider", "connection", "external_id", "status", "error")
"""What two blocks must share to say the same; when it was said does not matter."""


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
    """They would have been written, were this connection allowed to."""
    refused: list[Reject] = field(default_factory=list)


@dataclass(frozen=True)
class Left:
    """An invoice whose block or payment was not written, and why. `number` is how a person finds it."""

    number: str
    ruling: Ruling


@dataclass(frozen=True)
class Block:
    """An accounting block that OpsMerge may have to be told. `seq` is of the posting that it was read from."""

    connection: str
    invoice_id: str
    number: str | None
    outcome: str
    accounting: Accounting
    seq: int
    attempts: int

    @property
    def name(self) -> str:
        """How a person finds the invoice."""
        return self.number or self.invoice_id


class AccountingBlocks:
    """The table `accounting_block`, and the calls that bring OpsMerge into line with it."""

    def __init__(self, store: Store, client: OpsMergeClient) -> None:
        self._store = store
        self._client = client

    def take_in(self, records: Sequence[Mapping[str, Any]]) -> int:
        """Follow rows of the postings stream; old ones and unknown outcomes change nothing. How many were news."""
        wanted = [record for record in records if record.get("outcome") in STATUS]
        changed = 0
        for batch in batched(wanted, CHUNK):
            with self._store.begin() as connection:
                changed += _take_in(connection, batch)
        return changed

    def tell(self, *, clearing: bool = False) -> BlockCounts:
        """Tell OpsMerge what is due.

        `clearing` is for `books disconnect`: a connection that may not write looks too, and clears its own ids.

        Raises:
            Halt: OpsMerge cannot be used now; what was told until then is kept.
        """
        counts = BlockCounts()
        told: list[tuple[Block, Ruling | Fault]] = []
        due = self._due()
        counts.shown += [Left(block.name, self._unasked(block)) for block in due if not self._looks(block, clearing)]
        try:
            for block in self._differing([each for each in due if self._looks(each, clearing)], told, counts):
                told.append((block, self._tell(block, counts)))
                if len(told) >= GROUP:
                    self._settle(told)
                    told.clear()
        finally:
            self._settle(told)
        return counts

    def _looks(self, block: Block, clearing: bool) -> bool:
        clears = clearing and block.accounting.external_id is None
        return clears or belonging.may_write(block.connection, opsmerge_is_test=self._client.is_test)

    def _unasked(self, block: Block) -> Ruling:
        return belonging.decide(None, block.connection, opsmerge_is_test=self._client.is_test)

    def _differing(
        self, due: Sequence[Block], told: list[tuple[Block, Ruling | Fault]], counts: BlockCounts
    ) -> Sequence[Block]:
        """Without those that OpsMerge's list, read once where there are many, shows as they are to be."""
        if len(due) < LIST_FROM:
            return due
        shown = {block.invoice_id: None for block in due}
        named = set()
        for record in self._client.records(api.INVOICES):
            named.add(belonging.named_by(record["accounting"]))
            if record["id"] in shown:
                shown[record["id"]] = record["accounting"]
        if any(belonging.is_production(block.connection) for block in due):
            with self._store.begin() as connection:
                note_nonproduction(connection, named, self._store.now(connection))
        same = [block for block in due if _says(shown[block.invoice_id], block.accounting)]
        told += [(block, Ruling(Act.WRITE)) for block in same]
        counts.already += len(same)
        done = {(block.connection, block.invoice_id) for block in same}
        return [block for block in due if (block.connection, block.invoice_id) not in done]

    def _tell(self, block: Block, counts: BlockCounts) -> Ruling | Fault:
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
            elif _says(shown, block.accounting):
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
        """Write the block. Which non-production company it named until now is kept first."""
        named = belonging.named_by(shown)
        if named and belonging.is_production(block.connection) and not belonging.is_production(named):
            with self._store.begin() as connection:
                note_nonproduction(connection, [named], self._store.now(connection))
        answer = self._client.put_accounting(block.invoice_id, block.accounting).get("accounting")
        if belonging.link_of(answer) != belonging.link_of(block.accounting.body()):
            raise _not_as_written(block)

    def _due(self) -> list[Block]:
        with self._store.read() as connection:
            now = self._store.now(connection)
            ripe = accounting_block.c.next_attempt_at.is_(None) | (accounting_block.c.next_attempt_at <= now)
            query = select(accounting_block).where(accounting_block.c.due, ripe, ~_overtaken())
            query = query.order_by(accounting_block.c.seq)
            return [_block(row) for row in connection.execute(query).mappings()]

    def _settle(self, told: Sequence[tuple[Block, Ruling | Fault]]) -> None:
        if not told:
            return
        with self._store.begin() as connection:
            now = self._store.now(connection)
            for block, outcome in told:
                if isinstance(outcome, Fault):
                    connection.execute(_row_of(block).values(**refusal(outcome, block.attempts + 1, now)))
                elif outcome.act is Act.LEAVE:
                    connection.execute(_row_of(block).values(**_left(block, outcome)))
                elif outcome.writes:
                    connection.execute(_row_of(block).values(**_told(block)))
                    connection.execute(_payments_left(block))


def mark_changed_links(store: Store, connection: str, shown: Iterable[tuple[str, Any]]) -> int:
    """Have the blocks written again that lost or changed their link in OpsMerge. How many there are.

    `shown` gives each invoice's id and its block as OpsMerge has it. What belongs to others is left alone, and so is
    what was refused lately: its next try is due when it is due.
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
            changes = {**_AFRESH, "due": True} if ruling.writes else {**_why_left(ruling), "due": False}
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


def _says(shown: Any, wanted: Accounting) -> bool:
    """Whether OpsMerge shows it already; when it was said does not matter."""
    body, shown = wanted.body(), shown or {}
    return all(shown.get(name) == body[name] for name in COMPARED)


def _not_as_written(block: Block) -> Reject:
    return Reject(
        f"invoice {block.name}: OpsMerge answers with another connection or id in its block than was written",
        code="not_as_written",
        remedy="look at the invoice in OpsMerge; `books contract-check` says whether the API has changed",
    )


def _overtaken() -> Any:
    """Whether another company has news of the same invoice: an old connection does not speak over a new one.

    A production connection is not silenced by one that is not.
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


_AFRESH: Mapping[str, Any] = {
    "attempts": 0,
    "next_attempt_at": None,
    "fault_code": None,
    "fault_message": None,
    "remedy": None,
}


def _take_in(connection: Connection, records: Sequence[Mapping[str, Any]]) -> int:
    """One chunk of rows: the newest per invoice, where it is newer than what is known and says something else."""
    newest: dict[tuple[str, str], Mapping[str, Any]] = {}
    for record in records:
        key = (str(record["connection"]), str(record["opsmerge_invoice_id"]))
        if key not in newest or _seq(record) >= _seq(newest[key]):
            newest[key] = record
    known = _known(connection, [invoice_id for _, invoice_id in newest])
    rows = [_row(key, record, known.get(key)) for key, record in newest.items() if _is_news(record, known.get(key))]
    upsert(connection, accounting_block, rows)
    return len(rows)


def _known(connection: Connection, invoice_ids: Sequence[str]) -> dict[tuple[str, str], RowMapping]:
    query = select(accounting_block).where(accounting_block.c.opsmerge_invoice_id.in_(invoice_ids)).with_for_update()
    rows = connection.execute(query).mappings()
    return {(row["connection"], row["opsmerge_invoice_id"]): row for row in rows}


def _is_news(record: Mapping[str, Any], known: RowMapping | None) -> bool:
    return known is None or _seq(record) > known["seq"]


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
        **_AFRESH,
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
    """What is wrong and what to do, as the person at the invoice reads it."""
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
    """It belongs to another connection: looked at again when OpsMerge shows otherwise, or the posting changes."""
    unchanged = accounting_block.c.seq == block.seq
    return {**_why_left(ruling), "due": case((unchanged, False), else_=True)}


def _why_left(ruling: Ruling) -> dict[str, Any]:
    return {**_AFRESH, "fault_code": LEFT, "fault_message": ruling.why, "remedy": ruling.remedy}


def _payments_left(block: Block) -> Any:
    """Payments that were left while the invoice belonged to another connection are looked at again."""
    company = block.connection.partition(":")[2]
    return (
        allocation.update()
        .where(allocation.c.realm_id == company, allocation.c.opsmerge_invoice_id == block.invoice_id)
        .where(allocation.c.fault_code == LEFT)
        .values(due=True)
    )


def _told(block: Block) -> dict[str, Any]:
    """OpsMerge says it now. A newer posting that came meanwhile stays due."""
    unchanged = accounting_block.c.seq == block.seq
    return {
        "written_sha256": _sha256(block.accounting),
        **_AFRESH,
        "due": case((unchanged, False), else_=True),
    }
