"""The sinks: three streams are stored, all others are ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk.sinks import BatchSink
from sqlalchemy.exc import StatementError

if TYPE_CHECKING:
    from target_opsmerge.target import TargetOpsMerge


UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, StatementError)
"""What a row raises that does not fit its stream. Outages are Faults, and end the run."""

KEY_LENGTH_MAX = 255
NAME_LENGTH_SHOWN = 80


class StoredSink(BatchSink):
    """Stores records as they come: no validation that could end the run, no parsed dates."""

    MAX_SIZE_DEFAULT = 2000

    def __init__(self, target: TargetOpsMerge, *args: Any, **kwargs: Any) -> None:
        super().__init__(target, *args, **kwargs)
        self.writeback = target.writeback
        self.connection = _connection_of(self.schema)
        if self.connection:
            self.writeback.name(self.connection)
        self.rejected = 0
        self._singer_target = target

    required: tuple[str, ...] = ("connection",)
    """Fields that a row must have beside its key."""

    def store(self, records: list[dict[str, Any]]) -> None:
        """Store these rows; OpsMerge is updated before STATE is emitted."""
        raise NotImplementedError

    def process_batch(self, context: dict[str, Any]) -> None:
        """Store the rows of a batch, except those without a usable key."""
        self._store([each for each in context.get("records", []) if self._has_key(each)])

    def _has_key(self, record: dict[str, Any]) -> bool:
        for name in dict.fromkeys((*self.key_properties, *self.required)):
            value = record.get(name)
            if not isinstance(value, (str, int)) or not 0 < len(str(value).strip()) <= KEY_LENGTH_MAX:
                self._reject(record, f"its {name} is missing or has the wrong type")
                return False
        return True

    def _store(self, records: list[dict[str, Any]]) -> None:
        """Store all at once; where one of them cannot be read, in halves, so that only that one is rejected."""
        if not records:
            return
        try:
            self.store(records)
        except UNREADABLE as error:
            if len(records) == 1:
                self._reject(records[0], f"it cannot be read ({type(error).__name__})")
                return
            middle = len(records) // 2
            self._store(records[:middle])
            self._store(records[middle:])

    def _reject(self, record: dict[str, Any], why: str) -> None:
        self.rejected += 1
        key = ", ".join(f"{name}={str(record.get(name))[:NAME_LENGTH_SHOWN]}" for name in self.key_properties)
        self.logger.warning(
            "A row of %s (%s) was rejected: %s. What to do: look at it in the tap's output", self.stream_name, key, why
        )

    def all_were_read(self) -> bool:
        """Return whether a complete read counts: a rejected row exists and must not be treated as deleted."""
        self._singer_target.drain_one(self)
        if self.rejected:
            self.logger.warning(
                "%d rows of %s were rejected, so none is treated as deleted", self.rejected, self.stream_name
            )
        return not self.rejected

    def get_validator(self) -> None:
        """Return None: records are checked one by one when they are stored, so that a wrong one stops no other."""
        return

    def _singer_validate_message(self, record: dict[str, Any]) -> None:
        """Check nothing: `_has_key` rejects a record without its key."""

    def _parse_timestamps_in_record(self, record: dict[str, Any], schema: dict[str, Any], treatment: Any) -> None:
        """Parse nothing: times are compared as text."""


def _connection_of(schema: dict[str, Any]) -> str | None:
    """Return the connection that our taps write into their SCHEMA (`books.singer.extracts.OfConnection`)."""
    found = schema.get("properties", {}).get("connection", {}).get("const")
    return str(found) if found else None


class PostingsSink(StoredSink):
    """The result of each invoice's posting."""

    def store(self, records: list[dict[str, Any]]) -> None:
        """Store the postings."""
        self.writeback.ingest_postings(records)

    def activate_version(self, new_version: int) -> None:
        """Do nothing: a posting that is not shown still happened."""


class PaymentsSink(StoredSink):
    """Which payment settles which invoice."""

    def setup(self) -> None:
        """Have OpsMerge's payments read in this run, to see what people did to them."""
        self.writeback.refresh_payments(self.connection)

    def store(self, records: list[dict[str, Any]]) -> None:
        """Store the payments."""
        self.writeback.ingest_payments(records)

    def activate_version(self, new_version: int) -> None:
        """After a complete read: treat payments that it did not show as deleted."""
        del new_version
        if self.all_were_read():
            self.writeback.payments_complete()


class InvoicesSink(StoredSink):
    """What is still owed of each invoice in the ledger. OpsMerge's own invoices name no connection, and are ignored."""

    required = ()

    def store(self, records: list[dict[str, Any]]) -> None:
        """Store the balances."""
        self.writeback.ingest_invoices(records)

    def activate_version(self, new_version: int) -> None:
        """After a complete read: treat invoices that it did not show as deleted."""
        del new_version
        if self.all_were_read():
            self.writeback.invoices_complete()


class IgnoringSink(BatchSink):
    """A stream that is not written to OpsMerge."""

    def __init__(self, target: TargetOpsMerge, stream_name: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(target, stream_name, *args, **kwargs)
        self.logger.info("Stream %s is not written to OpsMerge and is ignored", stream_name)

    def get_validator(self) -> None:
        """Return None: ignored records need no check."""
        return

    def _parse_timestamps_in_record(self, record: dict[str, Any], schema: dict[str, Any], treatment: Any) -> None:
        """Parse nothing."""

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        """Keep nothing."""

    def process_batch(self, context: dict[str, Any]) -> None:
        """Do nothing."""

    def activate_version(self, new_version: int) -> None:
        """Do nothing."""
