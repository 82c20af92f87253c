"""What the target does with each stream: three are taken into the store, the others are left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk.sinks import BatchSink
from sqlalchemy.exc import StatementError

if TYPE_CHECKING:
    from target_opsmerge.target import TargetOpsMerge


UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, StatementError)
"""What a row raises that is not as its stream promises. Outages are Faults, and end the run."""

KEY_LENGTH_MAX = 255
NAME_LENGTH_SHOWN = 80


class StoredSink(BatchSink):
    """Takes records into the store as they come: no validation that could end the run, no parsed dates."""

    MAX_SIZE_DEFAULT = 2000

    def __init__(self, target: TargetOpsMerge, *args: Any, **kwargs: Any) -> None:
        super().__init__(target, *args, **kwargs)
        self.writeback = target.writeback
        self.rejected = 0
        self._singer_target = target

    def take_in(self, records: list[dict[str, Any]]) -> None:
        """Follow these rows; OpsMerge is told before STATE leaves."""
        raise NotImplementedError

    def process_batch(self, context: dict[str, Any]) -> None:
        """Follow the rows of a batch, those without a usable key left out."""
        self._take([each for each in context.get("records", []) if self._has_key(each)])

    def _has_key(self, record: dict[str, Any]) -> bool:
        for name in self.key_properties:
            value = record.get(name)
            if not isinstance(value, (str, int)) or not 0 < len(str(value).strip()) <= KEY_LENGTH_MAX:
                self._reject(record, f"its {name} is not usable")
                return False
        return True

    def _take(self, records: list[dict[str, Any]]) -> None:
        """All at once; where one of them cannot be read, in halves, so that only that one is left out."""
        if not records:
            return
        try:
            self.take_in(records)
        except UNREADABLE as error:
            if len(records) == 1:
                self._reject(records[0], f"it cannot be read ({type(error).__name__})")
                return
            middle = len(records) // 2
            self._take(records[:middle])
            self._take(records[middle:])

    def _reject(self, record: dict[str, Any], why: str) -> None:
        self.rejected += 1
        key = ", ".join(f"{name}={str(record.get(name))[:NAME_LENGTH_SHOWN]}" for name in self.key_properties)
        self.logger.warning(
            "A row of %s (%s) was rejected: %s. What to do: look at it in the tap's output", self.stream_name, key, why
        )

    def all_were_read(self) -> bool:
        """Whether a complete read counts: a row that was rejected is there, and must not be taken for gone."""
        self._singer_target.drain_one(self)
        if self.rejected:
            self.logger.warning(
                "%d rows of %s were rejected, so that none counts as gone", self.rejected, self.stream_name
            )
        return not self.rejected

    def get_validator(self) -> None:
        """Records are checked one by one when they are read: a wrong one is reported, the others go on."""
        return

    def _singer_validate_message(self, record: dict[str, Any]) -> None:
        """A record without its key is rejected, by `_has_key`."""

    def _parse_timestamps_in_record(self, record: dict[str, Any], schema: dict[str, Any], treatment: Any) -> None:
        """Times stay text, which is what they are compared as."""


class PostingsSink(StoredSink):
    """What came of each invoice's posting."""

    def take_in(self, records: list[dict[str, Any]]) -> None:
        """Follow the postings."""
        self.writeback.take_in_postings(records)

    def activate_version(self, new_version: int) -> None:
        """Nothing: a posting that is not shown is still what happened."""


class PaymentsSink(StoredSink):
    """Which payment settles which invoice."""

    def setup(self) -> None:
        """A run that reads payments also looks at what people did to those in OpsMerge."""
        self.writeback.look_at_payments()

    def take_in(self, records: list[dict[str, Any]]) -> None:
        """Follow the payments."""
        self.writeback.take_in_payments(records)

    def activate_version(self, new_version: int) -> None:
        """The read was complete: payments that this run has not shown are gone."""
        del new_version
        if self.all_were_read():
            self.writeback.payments_complete()


class InvoicesSink(StoredSink):
    """What QuickBooks says is still owed of each invoice: the payments must explain it."""

    def take_in(self, records: list[dict[str, Any]]) -> None:
        """Follow the balances."""
        self.writeback.take_in_invoices(records)

    def activate_version(self, new_version: int) -> None:
        """The read was complete: invoices that this run has not shown are gone."""
        del new_version
        if self.all_were_read():
            self.writeback.invoices_complete()


class IgnoringSink(BatchSink):
    """A stream that OpsMerge has no use for."""

    def __init__(self, target: TargetOpsMerge, stream_name: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(target, stream_name, *args, **kwargs)
        self.logger.info("Stream %s is not for OpsMerge and is left alone", stream_name)

    def get_validator(self) -> None:
        """What is left alone needs no check."""
        return

    def _parse_timestamps_in_record(self, record: dict[str, Any], schema: dict[str, Any], treatment: Any) -> None:
        """Nor any parsing."""

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        """Keep nothing."""

    def process_batch(self, context: dict[str, Any]) -> None:
        """Do nothing."""

    def activate_version(self, new_version: int) -> None:
        """Nor this."""
