"""`mappings.yml`: what OpsMerge calls a thing, and what the ledger calls it, decided by a person.

    version: 1
    services:   {svc_12: {item: "Managed Support"}, "Backup": {item_id: "20"}}
    tax_codes:  {"VAT Standard 20%": {tax_code: "20.0% S"}}
    clients:    {cl_7: {customer_id: "58"}, cl_9: {customer: "Acme (London)"}}

Left stands OpsMerge's id or, for services and tax codes, its name. An id on the right beats a name.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from books.core.faults import Exit, Halt

VERSION = 1
FILE_BYTES_MAX = 5_000_000


@dataclass(frozen=True)
class Named:
    """What a person chose in the ledger: by id, else by name."""

    id: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class Mappings:
    """The file's three sections; an empty file maps nothing."""

    services: Mapping[str, Named] = field(default_factory=dict)
    tax_codes: Mapping[str, Named] = field(default_factory=dict)
    clients: Mapping[str, Named] = field(default_factory=dict)

    def service(self, service_id: str | None, name: str | None) -> Named | None:
        """Return the item chosen for a service, by the service's id before its name; None where there is none."""
        return _first(self.services, service_id, name)

    def tax_code(self, tax_code_id: str | None, name: str | None) -> Named | None:
        """Return the code chosen for a tax code, by its id before its name; None where there is none."""
        return _first(self.tax_codes, tax_code_id, name)

    def client(self, client_id: str) -> Named | None:
        """Return the customer chosen for a client, by the client's id only: two clients may have one name."""
        return self.clients.get(client_id)


def _first(section: Mapping[str, Named], *keys: str | None) -> Named | None:
    return next((section[key] for key in keys if key is not None and key in section), None)


_SECTIONS = {"services": "item", "tax_codes": "tax_code", "clients": "customer"}
"""Section, and the word for what it maps to: `item`, and `item_id` for its id."""


def load(path: Path) -> Mappings:
    """Read the file; one that does not exist is an empty one.

    Raises:
        Halt: MISCONFIGURED; the message names the file, the section and the key.
    """
    if not path.exists():
        return Mappings()
    if path.stat().st_size > FILE_BYTES_MAX:
        raise _refusal(path, f"is larger than {FILE_BYTES_MAX // 1_000_000} MB")
    try:
        document = yaml.load(path.read_text("utf-8"), Loader=_Loader)  # noqa: S506 -- a SafeLoader that also refuses doubles
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _refusal(path, f"is not YAML: {error}") from error
    return parse(document, path)


def parse(document: Any, path: Path = Path("mappings.yml")) -> Mappings:
    """Return the mappings of a parsed document.

    Raises:
        Halt: MISCONFIGURED, as `load`.
    """
    if document is None:
        return Mappings()
    if not isinstance(document, dict):
        raise _refusal(path, "must start with `version: 1`")
    if document.get("version") != VERSION:
        raise _refusal(path, f"has version {document.get('version')!r}; this program reads version {VERSION}")
    unknown = [key for key in document if key != "version" and key not in _SECTIONS]
    if unknown:
        raise _refusal(path, f"has an unknown key {unknown[0]!r}; known are version, {', '.join(_SECTIONS)}")
    sections = {name: _section(document.get(name), name, word, path) for name, word in _SECTIONS.items()}
    return Mappings(**sections)


def _section(value: Any, name: str, word: str, path: Path) -> dict[str, Named]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _refusal(path, f"{name} must map names or ids to {{{word}: ...}}")
    return {
        _text(key, f"{name}: key", path): _named(entry, f"{name}: {key}", word, path) for key, entry in value.items()
    }


def _named(entry: Any, place: str, word: str, path: Path) -> Named:
    allowed = (word, f"{word}_id")
    if not isinstance(entry, dict) or not entry or any(key not in allowed for key in entry):
        raise _refusal(path, f'{place}: write {{{word}: "name"}} or {{{word}_id: "id"}}')
    texts = {key: _text(value, f"{place}: {key}", path) for key, value in entry.items()}
    return Named(id=texts.get(f"{word}_id"), name=texts.get(word))


def _text(value: Any, place: str, path: Path) -> str:
    if not isinstance(value, str):
        raise _refusal(path, f'{place}: put {value!r} in quotes: "{value}"')
    if not value.strip():
        raise _refusal(path, f"{place}: is empty")
    return value.strip()


class _Loader(yaml.SafeLoader):
    """YAML without double keys: of two entries for one service, the last would win silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a mapping; raise where a key is there twice."""
        keys = [key.value for key, _ in node.value]
        double = next((key for key in keys if keys.count(key) > 1), None)
        if double is not None:
            raise yaml.constructor.ConstructorError(None, None, f"the key {double!r} is there twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


def _refusal(path: Path, problem: str) -> Halt:
    return Halt(
        f"{path.name} {problem}",
        exit_code=Exit.MISCONFIGURED,
        code="mapping_file",
        remedy=f"Correct {path}.",
    )
