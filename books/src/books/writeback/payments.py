"""Write payments to OpsMerge until they equal QuickBooks' allocations: in both directions, after any interruption.

refresh   read what changed in OpsMerge since the last time
decide    per allocation, from stored allocations and mirror alone (`books.writeback.allocations`)
write     PUT, DELETE, or link a payment entered by hand; amounts that fall come first, so that an invoice that loses
          one payment and gains another is never overpaid in between
commit    in small groups; what a crash leaves uncommitted is found by the next refresh
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from books.core.faults import Reject
from books.core.money import ZERO
from books.opsmerge import belonging
from books.opsmerge.belonging import Act, Ruling
from books.opsmerge.client import OpsMergeClient
from books.opsmerge.payments import Entry, Settlement
from books.store import Store
from books.writeback.accounting import Left
from books.writeback.allocation_store import AllocationStore, Due, WriteResult
from books.writeback.allocations import Effect, decide
from books.writeback.opsmerge_payments import Mirror, View

GROUP = 20
"""Allocations in one commit."""

STEPS_MAX = 4
"""Steps for one allocation in a run: void it on one invoice, write it on another, and check the result are three."""


@dataclass
class PaymentCounts:
    """What a run did to payments in OpsMerge."""

    written: int = 0
    voided: int = 0
    linked: int = 0
    already: int = 0
    nonproduction: list[Entry] = field(default_factory=list)
    """Voided, because a non-production company had put them there: no money was received."""
    left: list[Left] = field(default_factory=list)
    """The invoice belongs to another connection."""
    shown: list[Left] = field(default_factory=list)
    """They would have been written if this connection were allowed to."""
    refused: list[Reject] = field(default_factory=list)


class Payments:
    """Writes what is due of one connection to OpsMerge. The caller holds its effects lock meanwhile."""

    def __init__(self, store: Store, client: OpsMergeClient, company: str) -> None:
        self._client = client
        self._company = company
        self._allocations = AllocationStore(store)
        self._mirror = Mirror(store, client, company)

    def write_due(self, *, refresh: bool, complete: bool = False) -> PaymentCounts:
        """Write the payments that are due.

        `refresh` reads OpsMerge even when nothing is due, to see what people did there; `complete`: all payments of
        the company were read in this run.

        Raises:
            Halt: OpsMerge cannot be used now; what was written until then is recorded.
        """
        self._allocations.resolve(self._company)
        if not (refresh or complete or self._allocations.has_due(self._company)):
            return PaymentCounts()
        self._mirror.refresh()
        if complete:
            self._mirror.adopt_orphans()
        counts = PaymentCounts()
        self._void_nonproduction(counts)
        due = self._allocations.due(self._company)
        writing = _WritePass(self._client, self._allocations, self._mirror, self._mirror.view(due), counts)
        try:
            for each in writing.in_order(due):
                writing.write(each)
        finally:
            writing.commit()
        return counts

    def _void_nonproduction(self, counts: PaymentCounts) -> None:
        """Void payments of non-production companies, where this connection is a production one and may write."""
        try:
            for entry in self._mirror.of_nonproduction():
                try:
                    block = self._client.invoice(entry.invoice_id).get("accounting")
                    if belonging.decide(block, self._company, opsmerge_is_test=self._client.is_test).writes:
                        self._client.void_payment(entry.invoice_id, str(entry.external_id))
                        counts.nonproduction.append(replace(entry, voided=True))
                except Reject as fault:
                    counts.refused.append(fault)
        finally:
            self._mirror.record(counts.nonproduction)


class _WritePass:
    """One pass over what is due: OpsMerge as it is known, and the results that are not committed yet."""

    def __init__(
        self,
        client: OpsMergeClient,
        allocations: AllocationStore,
        mirror: Mirror,
        view: View,
        counts: PaymentCounts,
    ) -> None:
        self._client = client
        self._allocations = allocations
        self._mirror = mirror
        self._view = view
        self._counts = counts
        self._results: list[WriteResult] = []
        self._entries: list[Entry] = []

    def in_order(self, due: Sequence[Due]) -> list[Due]:
        """Return what is due, amounts that fall first."""
        return sorted(due, key=self._increase)

    def _increase(self, due: Due) -> Decimal:
        ours = self._view.state_of(due).our_payment
        return due.settlement.amount - (ours.settlement.amount if ours and not ours.voided else ZERO)

    def write(self, due: Due) -> None:
        """Write one allocation, or record why OpsMerge or the payment does not allow it."""
        try:
            if not belonging.may_write(due.connection, opsmerge_is_test=self._client.is_test):
                self._count_as_shown(due, due.wanted)
                return
            result = self._apply(due, due.wanted)
        except _BelongsToAnotherError as left:
            self._counts.left.append(Left(due.invoice_number or due.invoice_id, left.ruling))
            result = WriteResult(due, due.written_sha256, due.linked_payment_id, ruling=left.ruling)
        except Reject as fault:
            self._counts.refused.append(fault)
            result = WriteResult(due, fault=fault)
        self._results.append(result)
        if len(self._results) >= GROUP:
            self.commit()

    def commit(self) -> None:
        """Record what was done."""
        self._mirror.record(self._entries)
        self._allocations.record(self._results)
        self._entries, self._results = [], []

    def _apply(self, due: Due, wanted: Settlement | None) -> WriteResult:
        """Decide and write, step by step, until OpsMerge shows what is wanted."""
        written = due.written_sha256
        for step in range(STEPS_MAX):
            effect, entry = decide(wanted, due.invoice_id, self._view.state_of(due), written)
            if effect is Effect.NOTHING:
                self._counts.already += step == 0 and wanted is not None
                linked = entry.id if entry and entry.external_id is None else None
                return WriteResult(due, wanted.sha256 if wanted else None, linked)
            if effect is Effect.LINK and entry:
                self._counts.linked += 1
                self._view.linked.add(entry.id)
                return WriteResult(due, linked_payment_id=entry.id)
            if effect is Effect.VOID and entry:
                self._check_belonging(due, entry.invoice_id)
                self._client.void_payment(entry.invoice_id, due.external_id)
                self._counts.voided += 1
                self._note(replace(entry, voided=True))
            elif effect is Effect.WRITE and wanted:
                self._check_belonging(due, due.invoice_id)
                answer = self._client.put_payment(due.invoice_id, due.external_id, wanted)
                self._counts.written += 1
                self._note(answer)
                written = wanted.sha256
            else:
                raise _entered_by_hand(due, entry)
        raise _not_as_written(due)

    def _count_as_shown(self, due: Due, wanted: Settlement | None) -> None:
        """Count what would be written. It stays due until it may be."""
        effect, _ = decide(wanted, due.invoice_id, self._view.state_of(due), due.written_sha256)
        if effect in (Effect.WRITE, Effect.VOID):
            ruling = belonging.decide(None, due.connection, opsmerge_is_test=self._client.is_test)
            self._counts.shown.append(Left(due.invoice_number or due.invoice_id, ruling))

    def _check_belonging(self, due: Due, invoice_id: str) -> None:
        """Read the invoice's accounting block right before writing.

        Raises:
            _BelongsToAnotherError: the invoice belongs to another connection.
        """
        block = self._client.invoice(invoice_id).get("accounting")
        ruling = belonging.decide(block, due.connection, opsmerge_is_test=self._client.is_test)
        if ruling.act is Act.LEAVE:
            raise _BelongsToAnotherError(ruling)

    def _note(self, entry: Entry) -> None:
        self._view.add([entry])
        self._entries.append(entry)


class _BelongsToAnotherError(Exception):
    """The invoice belongs to another connection: its payments are left as they are."""

    def __init__(self, ruling: Ruling) -> None:
        super().__init__(ruling.why)
        self.ruling = ruling


def _entered_by_hand(due: Due, entry: Entry | None) -> Reject:
    theirs = f"{entry.id} of {entry.settlement.amount}" if entry else "a payment"
    return Reject(
        f"invoice {due.invoice_number or due.invoice_id}: payment {due.payment_id} in QuickBooks pays "
        f"{due.settlement.amount}, but in OpsMerge it is linked to {theirs}, which was entered by hand",
        code="entered_by_hand",
        field="amount",
        remedy="void that payment in OpsMerge; the next run then writes what QuickBooks says",
    )


def _not_as_written(due: Due) -> Reject:
    return Reject(
        f"invoice {due.invoice_number or due.invoice_id}: OpsMerge's answer for payment {due.external_id} has another "
        "content than was written",
        code="not_as_written",
        remedy="look at the payment in OpsMerge, and run `books contract-check` to see whether the API has changed",
    )
