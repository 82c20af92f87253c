"""target-opsmerge: writes to OpsMerge what the books say of its invoices: ids, errors, payments."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from singer_sdk import Target
from singer_sdk.sinks import Sink

from books.core.clock import Clock, SystemClock
from books.opsmerge import OpsMergeSettings, open_client
from books.opsmerge.settings import IS_TEST_PROPERTY, OPSMERGE_PROPERTIES
from books.singer.endings import TARGET_CAPABILITIES, PluginEndings
from books.singer.lines import LineReader
from books.store import Store
from books.writeback.run import WriteBack
from target_opsmerge.sinks import IgnoringSink, InvoicesSink, PaymentsSink, PostingsSink

SINKS: dict[str, type[Sink]] = {"postings": PostingsSink, "payments": PaymentsSink, "invoices": InvoicesSink}

STORE_URL = "sqlite:///.books/books.db"


class TargetOpsMerge(PluginEndings, Target):
    """Writes to OpsMerge what the books say: ids, errors, and payments."""

    name = "target-opsmerge"
    capabilities = TARGET_CAPABILITIES
    message_reader_class = LineReader
    default_sink_class = IgnoringSink
    config_jsonschema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            **OPSMERGE_PROPERTIES,
            "store_url": {
                "type": ["string", "null"],
                "default": STORE_URL,
                "description": "State shared by all processes: `sqlite:///<path>`, or `postgresql://...` "
                "when several machines work",
            },
            "opsmerge_is_test": IS_TEST_PROPERTY,
        },
        "required": ["api_key"],
    }

    def __init__(self, *args: Any, clock: Clock | None = None, **kwargs: Any) -> None:
        # The clock is for tests; everything else comes from the settings.
        self._clock = clock or SystemClock()
        super().__init__(*args, **kwargs)
        self.max_parallelism = 1  # one after the other: all streams use one store and one client

    def get_sink_class(self, stream_name: str) -> type[Sink]:
        """Return the sink of a stream; all but three are ignored."""
        return SINKS.get(stream_name, IgnoringSink)

    @cached_property
    def writeback(self) -> WriteBack:
        """Return the run's work, created when the first of our streams comes."""
        client = open_client(OpsMergeSettings.from_config(self.config), self._clock)
        store = Store.open(str(self.config.get("store_url") or STORE_URL), self._clock)
        return WriteBack(store, client, self.logger)

    def process_endofpipe(self) -> None:
        """Store what is left, update OpsMerge, and only then emit the last STATE."""
        for sink in list(self._sinks_active.values()):
            self.drain_one(sink)
        self._write_due()
        super().process_endofpipe()

    def _write_state_message(self, state: dict[str, Any]) -> None:
        """Emit STATE, after everything before it was written."""
        self._write_due()
        super()._write_state_message(state)

    def _write_due(self) -> None:
        if "writeback" in vars(self):
            self.writeback.write_due()


if __name__ == "__main__":
    TargetOpsMerge.cli()
