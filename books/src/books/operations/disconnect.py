"""Disconnect a company: revoke the consent, and clear the company's ids from the store and from OpsMerge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from books import transport
from books.core.clock import SystemClock
from books.core.faults import Halt, Reject
from books.operations import breadcrumbs
from books.operations.connect import seeds_of
from books.operations.session import Session
from books.opsmerge import OpsMergeSettings, open_client
from books.posting.crash import Checkpoint
from books.writeback.accounting import EFFECTS_WAIT_SECONDS, AccountingBlocks, BlockCounts, effects_lock


@dataclass(frozen=True)
class Disconnected:
    """What was done. The fields are the keys that `--json` prints, but for `refusals`."""

    connection: str
    revoke_trouble: str
    """Why the consent could not be revoked at Intuit; empty where it was."""
    invoices_given_up: int
    opsmerge_told: int
    """Accounting blocks written."""
    opsmerge_said_so_already: int
    opsmerge_left: int
    """Blocks that belong to another connection in OpsMerge, or hold no id of this one: nothing to clear."""
    opsmerge_refused: int
    refusals: Sequence[Reject] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "refusals"}


def disconnect(session: Session, checkpoint: Checkpoint) -> Disconnected:
    """Revoke the consent, give up the ids, clear them in OpsMerge. Each step may be repeated.

    Raises:
        Halt: OpsMerge could not be updated now; everything else is done, and the next call continues.
    """
    clock = SystemClock()
    settings = OpsMergeSettings.from_config(session.configuration.plugin("target-opsmerge"))
    blocks = AccountingBlocks(session.store, open_client(settings, clock))
    tokens = transport.tokens_of(session.settings, session.store, clock)
    trouble = tokens.revoke()
    tokens.retire_seeds(seeds_of(session.configuration))
    checkpoint("revoked")
    given_up = 0
    for rows in breadcrumbs.give_up(session.store, session.connection):
        blocks.ingest(rows)
        given_up += len(rows)
    checkpoint("given_up")
    counts = _clear_ids(session, blocks)
    checkpoint("opsmerge_told")
    return Disconnected(
        connection=session.connection,
        revoke_trouble=f"{trouble.message}. {trouble.remedy}" if trouble else "",
        invoices_given_up=given_up,
        opsmerge_told=counts.written,
        opsmerge_said_so_already=counts.already,
        opsmerge_left=len(counts.left) + len(counts.shown),
        opsmerge_refused=len(counts.refused),
        refusals=counts.refused,
    )


def _clear_ids(session: Session, blocks: AccountingBlocks) -> BlockCounts:
    try:
        with session.store.lock(effects_lock(session.connection), EFFECTS_WAIT_SECONDS):
            return blocks.write_due(session.connection, clearing=True)
    except Halt as halt:
        raise Halt(
            f"{session.connection} is disconnected, but not every invoice in OpsMerge was updated: {halt.message}",
            exit_code=halt.exit_code,
            code=halt.code,
            remedy=f"{halt.remedy}; then run `books disconnect` again: it continues where it stopped",
            vendor_request_id=halt.vendor_request_id,
        ) from halt
