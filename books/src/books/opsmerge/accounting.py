"""Makes each invoice's accounting block in OpsMerge say what came of its posting: told once, the newest only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, RowMapping, case, select

from books.faults import Fault, Reject
from books.opsmerge import kinds
from books.opsmerge.api import Accounting
from books.opsmerge.client import OpsMergeClient
from books.opsmerge.ledger import refusal
from books.store import Store
from books.store.tables_opsmerge import accounting_block
from books.store.upsert import upsert

EFFECTS_LOCK = "opsmerge-effects"
EFFECTS_WAIT_SECONDS = 120
"""One process at a time writes to OpsMerge. Two may meet (the minute's push, the five minutes' payments): one waits."""

CHUNK = 400
GROUP = 20
"""Invoices in one commit."""

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
    already: int = 0
    refused: list[Reject] = field(default_factory=list)


@dataclass(frozen=True)
class Block:
    """An accounting block that OpsMerge may have to be told. `seq` is of the posting that it was read from."""

    connection: str
    invoice_id: str
    number: str | None
    outcome: str
    accounting: Accounting
    seq: int
    written_sha256: str | None
    attempts: int


class AccountingBlocks:
    """The table `accounting_block`, and the calls that bring OpsMerge into line with it."""

    def __init__(self, store: Store, client: OpsMergeClient) -> None:
        self._store = store
        self._client = client

    def take_in(self, records: Sequence[Mapping[str, Any]]) -> int:
        """Follow rows of the postings stream; old ones and unknown outcomes change nothing. How many were news."""
        wanted = [record for record in records if record.get("outcome") in STATUS]
        changed = 0
        for start in range(0, len(wanted), CHUNK):
            with self._store.begin() as connection:
                changed += _take_in(connection, wanted[start : start + CHUNK])
        return changed

    def tell(self) -> BlockCounts:
        """Tell OpsMerge what is due.

        Raises:
            Halt: OpsMerge cannot be used now; what was told until then is kept.
        """
        counts = BlockCounts()
        told: list[tuple[Block, Fault | None]] = []
        try:
            for block in self._due():
                told.append((block, self._tell(block, counts)))
                if len(told) >= GROUP:
                    self._settle(told)
                    told = []
        finally:
            self._settle(told)
        return counts

    def _tell(self, block: Block, counts: BlockCounts) -> Fault | None:
        try:
            if self._is_there(block):
                counts.already += 1
            else:
                self._client.put_accounting(block.invoice_id, block.accounting)
                counts.written += 1
        except Reject as fault:
            counts.refused.append(fault)
            return fault
        return None

    def _is_there(self, block: Block) -> bool:
        """Whether OpsMerge says so already. Asked only where we do not know what it says: a fresh posting is news."""
        if block.outcome == "created" or block.written_sha256 is not None:
            return False
        shown = self._client.invoice(block.invoice_id).get("accounting") or {}
        wanted = block.accounting.body()
        return all(shown.get(name) == wanted[name] for name in COMPARED)

    def _due(self) -> list[Block]:
        with self._store.read() as connection:
            now = self._store.now(connection)
            ripe = accounting_block.c.next_attempt_at.is_(None) | (accounting_block.c.next_attempt_at <= now)
            query = select(accounting_block).where(accounting_block.c.due, ripe, ~_overtaken())
            query = query.order_by(accounting_block.c.seq)
            return [_block(row) for row in connection.execute(query).mappings()]

    def _settle(self, told: Sequence[tuple[Block, Fault | None]]) -> None:
        if not told:
            return
        with self._store.begin() as connection:
            now = self._store.now(connection)
            for block, fault in told:
                values = refusal(fault, block.attempts + 1, now) if fault else _told(block)
                connection.execute(_row_of(block).values(**values))


def _overtaken() -> Any:
    """Whether another company has news of the same invoice: an old connection does not speak over a new one."""
    other = accounting_block.alias()
    newer = select(other.c.seq).where(
        other.c.opsmerge_invoice_id == accounting_block.c.opsmerge_invoice_id,
        other.c.connection != accounting_block.c.connection,
        other.c.seq > accounting_block.c.seq,
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
        "due": known is None or known["written_sha256"] != _sha256(accounting),
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
        written_sha256=row["written_sha256"],
        attempts=row["attempts"],
    )


def _row_of(block: Block) -> Any:
    return accounting_block.update().where(
        accounting_block.c.connection == block.connection,
        accounting_block.c.opsmerge_invoice_id == block.invoice_id,
    )


def _told(block: Block) -> dict[str, Any]:
    """OpsMerge says it now. A newer posting that came meanwhile stays due."""
    unchanged = accounting_block.c.seq == block.seq
    return {
        "written_sha256": _sha256(block.accounting),
        **_AFRESH,
        "due": case((unchanged, False), else_=True),
    }
