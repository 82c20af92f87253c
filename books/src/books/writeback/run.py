"""The target's work without Singer: store the rows, write what is due to OpsMerge, and log what was done."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select, union

from books.core.faults import Reject
from books.core.printable import printable
from books.opsmerge import OpsMergeClient
from books.opsmerge.payments import Entry
from books.store import Store
from books.store.tables_opsmerge import accounting_block, payment
from books.writeback.accounting import EFFECTS_WAIT_SECONDS, AccountingBlocks, BlockCounts, Left, effects_lock
from books.writeback.allocation_store import AllocationStore
from books.writeback.balances import Balances
from books.writeback.payments import PaymentCounts, Payments

REFUSALS_SHOWN_MAX = 20
SHOWN_MAX = 5
"""Invoices named in one line; the rest are counted."""

Record = Mapping[str, Any]


class WriteBack:
    """One run. Rows may come in any order and more than once; the newest of each counts."""

    def __init__(self, store: Store, client: OpsMergeClient, logger: logging.Logger) -> None:
        self._store = store
        self._client = client
        self._logger = logger
        self._blocks = AccountingBlocks(store, client)
        self._allocations = AllocationStore(store)
        self._balances = Balances(store)
        self._run = str(uuid.uuid4())
        self._named: set[str] = set()
        self._paying: set[str] = set()
        self._to_explain: set[tuple[str, str]] = set()
        self._invoices: set[tuple[str, str]] = set()
        self._complete: set[str] = set()
        self._refresh = False
        self._is_pending = True

    def name(self, connection: str) -> None:
        """Write what is due of a connection, also where no row names it."""
        self._named.add(connection)
        self._is_pending = True

    def ingest_postings(self, records: Sequence[Record]) -> None:
        """Store rows of the stream `postings`."""
        changed = self._blocks.ingest(records)
        self._named |= {str(record["connection"]) for record in records}
        self._is_pending = True
        self._logger.info("Received %d postings, %d of them new", len(records), changed)

    def refresh_payments(self, connection: str | None = None) -> None:
        """Read OpsMerge's payments in this run even if nothing is due, to see what people did to them.

        `connection`: whose payments come, also where there is no row.
        """
        self._refresh = self._is_pending = True
        if connection:
            self._paying.add(connection)

    def ingest_payments(self, records: Sequence[Record]) -> None:
        """Store rows of the stream `payments`."""
        result = self._allocations.ingest(records, self._run)
        self._paying |= {str(record["connection"]) for record in records}
        named = [(str(record["connection"]), str(record["id"])) for record in records]
        self._to_explain |= set(self._balances.settled_by(named))
        self._is_pending = True
        self._logger.info(
            "Received %d payments, %d of them new, %d older than stored", len(records), result.changed, result.stale
        )
        self._log_refused(result.refused)

    def ingest_invoices(self, records: Sequence[Record]) -> None:
        """Store rows of the stream `invoices`: what is still owed in the ledger. Another tap's invoices are ignored."""
        of_the_ledger = [record for record in records if record.get("connection") and record.get("id")]
        named = set(self._balances.ingest(of_the_ledger))
        self._invoices |= named
        self._to_explain |= named
        self._is_pending |= bool(of_the_ledger)

    def invoices_complete(self) -> None:
        """Delete the balances of invoices that this run's complete read did not show."""
        connections = {connection for connection, _ in self._invoices}
        gone = sum(self._balances.forget_all_but(self._invoices, each) for each in connections)
        self._logger.info("All invoices were read; %d no longer exist", gone)
        self._is_pending |= gone > 0

    def payments_complete(self) -> None:
        """Mark payments as gone that this run's complete read did not show.

        A read without rows may name no company; then the store must have exactly one.
        """
        connections = self._written_for(self._paying)
        for each in connections:
            gone = self._allocations.mark_gone(each, self._run)
            self._logger.info("All payments of %s were read; %d no longer exist", each, gone)
            self._to_explain |= set(self._balances.of_company(each))
        self._complete |= set(connections)
        self._is_pending = True

    def write_due(self) -> None:
        """Write what is due to OpsMerge, once per change.

        Raises:
            Halt: OpsMerge or the store cannot be used now; what was written until then is recorded.
        """
        if not self._is_pending:
            return
        named = self._named | self._paying | {connection for connection, _ in self._invoices}
        for company in self._written_for(named):
            self._write_due(company)
        self._complete.clear()
        self._to_explain.clear()
        self._refresh = self._is_pending = False

    def _written_for(self, named: set[str]) -> list[str]:
        """Return the connections that the input named; where it named none, the store's, if there is just one."""
        if named:
            return sorted(named)
        query = union(select(payment.c.connection), select(accounting_block.c.connection))
        with self._store.read() as connection:
            known = sorted(connection.execute(query).scalars())
        if len(known) > 1:
            self._logger.warning(
                "The input names no company, and the store has several: nothing is written or voided in OpsMerge"
            )
            return []
        return known

    def _write_due(self, company: str) -> None:
        with self._store.lock(effects_lock(company), EFFECTS_WAIT_SECONDS):
            blocks = self._blocks.write_due(company)
            payments = Payments(self._store, self._client, company).write_due(
                refresh=self._refresh, complete=company in self._complete
            )
            self._balances.update_remainders(key for key in self._to_explain if key[0] == company)
        self._summarise(company, blocks, payments)

    def _summarise(self, company: str, blocks: BlockCounts, payments: PaymentCounts) -> None:
        self._logger.info(
            "OpsMerge invoices: %d updated, %d of them taken over from a non-production connection, %d already up to "
            "date, %d left, %d refused",
            blocks.written,
            blocks.taken_over,
            blocks.already,
            len(blocks.left),
            len(blocks.refused),
        )
        self._logger.info(
            "OpsMerge payments: %d written, %d voided, %d linked to one entered by hand, %d already up to date, "
            "%d left, %d refused, %d for invoices that are not from OpsMerge",
            payments.written,
            payments.voided,
            payments.linked,
            payments.already,
            len(payments.left),
            len(payments.refused),
            self._allocations.count_unknown_invoices(company),
        )
        self._log_nonproduction(payments.nonproduction)
        self._log_not_written("were not changed", [*blocks.left, *payments.left])
        self._log_not_written(
            f"would be written ({len(blocks.shown)} blocks, {len(payments.shown)} payments), but were not",
            [*blocks.shown, *payments.shown],
        )
        self._log_refused([*blocks.refused, *payments.refused])
        self._log_remainders(company)

    def _log_nonproduction(self, voided: Sequence[Entry]) -> None:
        for entry in voided[:REFUSALS_SHOWN_MAX]:
            self._logger.warning(
                "Payment %s of %s on invoice %s was voided in OpsMerge: a non-production company had written it, so no "
                "money was received",
                entry.external_id,
                entry.settlement.amount,
                entry.invoice_id,
            )
        if voided:
            self._logger.warning("%d payments of non-production companies were voided", len(voided))

    def _log_not_written(self, words: str, left: Sequence[Left]) -> None:
        """Log the first few invoices that were not written, and why: one line for each reason."""
        for ruling in dict.fromkeys(each.ruling for each in left):
            numbers = list(dict.fromkeys(each.number for each in left if each.ruling == ruling))
            more = f" and {len(numbers) - SHOWN_MAX} more" if len(numbers) > SHOWN_MAX else ""
            self._logger.warning(
                "OpsMerge invoices %s%s %s: %s. %s",
                ", ".join(numbers[:SHOWN_MAX]),
                more,
                words,
                ruling.why,
                ruling.remedy,
            )

    def _log_remainders(self, company: str) -> None:
        found = self._balances.unexplained(company)
        for each in found[:REFUSALS_SHOWN_MAX]:
            self._logger.warning(
                "%s: in QuickBooks %s %s of %s is still owed; payments and credit notes do not explain %s. "
                "What to do: look in QuickBooks for a journal entry or a deposit on the invoice",
                printable(each.number),
                each.balance,
                each.currency or "",
                each.total,
                each.remainder,
            )
        if len(found) > REFUSALS_SHOWN_MAX:
            self._logger.warning("... and %d more invoices with such a balance", len(found) - REFUSALS_SHOWN_MAX)

    def _log_refused(self, refused: Sequence[Reject]) -> None:
        for fault in refused[:REFUSALS_SHOWN_MAX]:
            self._logger.warning("%s. What to do: %s", printable(fault.message), printable(fault.remedy))
        if len(refused) > REFUSALS_SHOWN_MAX:
            self._logger.warning("... and %d more refused", len(refused) - REFUSALS_SHOWN_MAX)
