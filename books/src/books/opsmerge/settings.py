"""The settings that tap-opsmerge and target-opsmerge share: address and API key of OpsMerge."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from books.core import redact
from books.core.faults import Exit, Halt
from books.core.settings import is_loopback
from books.opsmerge.api import BASE_URL

OPSMERGE_PROPERTIES: dict[str, dict[str, Any]] = {
    "api_url": {
        "type": ["string", "null"],
        "default": BASE_URL,
        "description": "Base URL of the OpsMerge API: https, or http on this machine (simulators, tests)",
    },
    "api_key": {
        "type": ["string", "null"],
        "secret": True,
        "writeOnly": True,
        "description": "API key made in OpsMerge under API access, `om_...`",
    },
}
"""The shared settings as JSON schema properties. `api_key` is required; its absence is reported by `from_config`."""

IS_TEST_PROPERTY: dict[str, Any] = {
    "type": ["boolean", "string", "null"],  # also as text, so that a mistyped word can be refused
    "description": "Whether OpsMerge itself holds nothing but test data: only then a connection that is not a "
    "production one writes to it. Default: true where api_url names this machine, false anywhere else",
}
"""The setting `opsmerge_is_test` of target-opsmerge."""


@dataclass(frozen=True)
class OpsMergeSettings:
    """Base URL without a trailing slash, and the API key, which is left out of the repr."""

    api_key: str = field(repr=False)
    api_url: str = BASE_URL
    is_test: bool = False
    """Whether non-production connections may write to this OpsMerge."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> OpsMergeSettings:
        """Read a plugin's configuration; other settings are ignored.

        Raises:
            Halt: MISCONFIGURED; the message names the setting and what it should be, never the key.
        """
        settings = cls(
            api_key=_key(str(config.get("api_key") or "").strip()),
            api_url=read_url(config),
            is_test=is_test(config),
        )
        redact.register((settings.api_key,))
        return settings

    @property
    def host(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self.api_url).netloc


_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def is_test(config: Mapping[str, Any]) -> bool:
    """Return whether non-production connections may write to this OpsMerge.

    Raises:
        Halt: MISCONFIGURED; opsmerge_is_test or api_url is wrong.
    """
    value = config.get("opsmerge_is_test")
    word = "" if value is None else str(value).strip().lower()
    if not word:
        return is_loopback(read_url(config))
    if word not in _FLAGS:
        raise refusal("opsmerge_is_test", "must be true or false", "correct it, or leave it out")
    return _FLAGS[word]


def _key(key: str) -> str:
    if not key:
        raise refusal("api_key", "is required", "create a key in OpsMerge under API access and set it")
    if not re.fullmatch(r"[!-~]{1,512}", key):
        raise refusal("api_key", "has spaces or other characters that no key has", "copy the whole key again")
    return key


def read_url(config: Mapping[str, Any]) -> str:
    """Return the setting api_url, without a trailing slash.

    Raises:
        Halt: MISCONFIGURED; the key would be sent unencrypted.
    """
    url = str(config.get("api_url") or BASE_URL).strip().rstrip("/")
    secure = re.fullmatch(r"https://[^/@?#\s]+(/[^@?#\s]*)?", url) is not None
    if not secure and not is_loopback(url):
        raise refusal(
            "api_url",
            "must be an https address without user, query or fragment; http is accepted only for this machine",
            f"correct it, or leave it out for {BASE_URL}",
        )
    return url


def refusal(name: str, problem: str, remedy: str) -> Halt:
    """Return the fault for a setting that cannot be used."""
    return Halt(f"setting {name} {problem}", exit_code=Exit.MISCONFIGURED, code="setting_refused", remedy=remedy)
