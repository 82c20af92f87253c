"""The settings of the utility plugin `books`."""

from __future__ import annotations

from dataclasses import dataclass

from books.core.settings import Settings, setting


@dataclass(frozen=True, kw_only=True)
class WatchSettings(Settings):
    """The alert settings: whom to notify, and from when on."""

    alert_urls: str = setting(
        "Where alerts go: Apprise addresses (mailtos://, slack://, ...), separated by spaces", default="", secret=True
    )
    alert_quiet_hours: int = setting(
        "Alert when no job has ended, or a frequent one has not ended well, for so long", default=3, least=1
    )
    monthly_reads: int = setting(
        "Metered reads a month that the Intuit app's tier allows (Builder: 500,000)", default=500_000, least=1
    )
