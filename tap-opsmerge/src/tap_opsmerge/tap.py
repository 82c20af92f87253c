"""tap-opsmerge: invoices, payments, clients, services and tax codes of OpsMerge as Singer streams."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from singer_sdk import Tap

from books.core.clock import Clock, SystemClock
from books.opsmerge import OpsMergeClient, OpsMergeSettings, api, open_client
from books.opsmerge.settings import OPSMERGE_PROPERTIES, refusal
from books.singer.endings import TAP_CAPABILITIES, PluginEndings
from tap_opsmerge.streams import OpsMergeStream


class TapOpsMerge(PluginEndings, Tap):
    """Reads invoices, payments, clients, services and tax codes from OpsMerge."""

    name = "tap-opsmerge"
    capabilities = TAP_CAPABILITIES
    config_jsonschema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            **OPSMERGE_PROPERTIES,
            "start_date": {
                "type": ["string", "null"],
                "format": "date-time",
                "description": "Read invoices and payments changed from this time on, where there is no bookmark yet",
            },
            "page_size": {
                "type": ["integer", "null"],
                "default": api.PAGE_SIZE_MAX,
                "minimum": 1,
                "maximum": api.PAGE_SIZE_MAX,
                "description": f"Rows in one answer, 1 to {api.PAGE_SIZE_MAX}",
            },
            "invoice_status": {
                "type": ["array", "string", "null"],
                "items": {"type": "string", "enum": list(api.STATUSES)},
                "description": "Read only invoices of these statuses, a list or separated by commas. Default: all; "
                "target-quickbooks decides what is posted, so that it also sees voids and opt-outs",
            },
        },
        "required": ["api_key"],
    }

    def __init__(self, *args: Any, clock: Clock | None = None, **kwargs: Any) -> None:
        # The clock is for tests; everything else comes from the settings.
        self._clock = clock or SystemClock()
        super().__init__(*args, **kwargs)

    def discover_streams(self) -> list[OpsMergeStream]:
        """Return the five streams; needs neither key nor network."""
        return [OpsMergeStream(self, listing) for listing in api.LISTINGS]

    @cached_property
    def client(self) -> OpsMergeClient:
        """Return the client of all streams, created when the first one is read."""
        return open_client(OpsMergeSettings.from_config(self.config), self._clock)

    @property
    def page_size(self) -> int:
        """Return the number of rows in one answer."""
        return int(self.config.get("page_size") or api.PAGE_SIZE_MAX)

    @cached_property
    def invoice_status(self) -> tuple[str, ...]:
        """Return the statuses to read; empty means all."""
        asked = self.config.get("invoice_status") or ()
        names = asked.split(",") if isinstance(asked, str) else asked
        statuses = tuple(name.strip().lower() for name in names if name.strip())
        if unknown := sorted(set(statuses) - set(api.STATUSES)):
            raise refusal("invoice_status", f"does not know {', '.join(unknown)}", f"use {', '.join(api.STATUSES)}")
        return statuses


if __name__ == "__main__":
    TapOpsMerge.cli()
