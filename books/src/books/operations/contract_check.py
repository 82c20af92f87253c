"""Compare the OpsMerge API that this version assumes with OpsMerge's own description of it, and with real pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from books.core.clock import SystemClock
from books.core.faults import Exit, Halt
from books.opsmerge import api, contract
from books.opsmerge.client import fetch_description, open_client
from books.opsmerge.contract import Difference
from books.opsmerge.description import Description
from books.opsmerge.settings import OpsMergeSettings, read_url

DESCRIPTION_PATH = "/api/docs/openapi.yaml"
BYTES_MAX = 64 * 1024 * 1024


@dataclass(frozen=True)
class ContractCheck:
    """The result of a comparison."""

    place: str
    """Where the description was read from."""
    title: str
    differences: Sequence[Difference]
    pages_read: bool
    """Whether one real page of each list was read."""

    @property
    def breaks(self) -> int:
        """Return how many differences break something."""
        return sum(each.breaks for each in self.differences)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "description": self.place,
            "title": self.title,
            "breaks": self.breaks,
            "stays_empty": len(self.differences) - self.breaks,
            "calls": len(api.OPERATIONS),
            "pages_read": self.pages_read,
            "differences": [asdict(each) for each in self.differences],
        }


def check_contract(config: Mapping[str, Any], *, file: Path | None, url: str | None) -> ContractCheck:
    """Compare with the description in `file` or at `url`, by default on OpsMerge's host; read one page of each list.

    `config` holds the settings of tap-opsmerge. With `file` nothing is called; without an API key no page is read.

    Raises:
        Halt: the description or OpsMerge cannot be read.
    """
    api_url = read_url(config)
    host = urlsplit(api_url)
    place = str(file or url or f"{host.scheme}://{host.netloc}{DESCRIPTION_PATH}")
    settings = OpsMergeSettings.from_config(config) if file is None and config.get("api_key") else None
    key = settings.api_key if settings else None
    text = _read(file) if file is not None else fetch_description(place, api_url, key, SystemClock())
    description = Description.read(text, place)
    differences = list(contract.compare(description, host.path))
    if settings is not None:
        differences = [*contract.read_pages(open_client(settings, SystemClock())), *differences]
    return ContractCheck(place, description.title, differences, pages_read=settings is not None)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            text = opened.read(BYTES_MAX + 1)
    except OSError as error:
        raise Halt(
            f"{file} cannot be read: {error.strerror}",
            exit_code=Exit.FAILED,
            code="file_unreadable",
            remedy="name a readable OpenAPI document: `books contract-check --file openapi.yaml`",
        ) from error
    if len(text) > BYTES_MAX:
        raise Halt(
            f"{file} is larger than {BYTES_MAX} bytes",
            exit_code=Exit.MISCONFIGURED,
            remedy="name the OpenAPI document: `books contract-check --file openapi.yaml`",
        )
    return text
