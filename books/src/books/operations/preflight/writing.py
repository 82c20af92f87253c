"""Puts suggestions into mappings.yml: its comments and order stay, an entry that is there is never touched."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from books.core.files import replacing
from books.operations.preflight.findings import ID_WORDS, Suggestion
from books.posting import mappings

LINE_CHARS_MAX = 4096


def write(path: Path, suggestions: Sequence[Suggestion]) -> list[Suggestion]:
    """Write suggestions into the file, and return those that were entered. The file is replaced whole, or not at all.

    Two that name different things for one key are both left to a person.

    Raises:
        Halt: MISCONFIGURED; the file that is there cannot be read, or would not be readable afterwards.
    """
    before = mappings.load(path)
    yaml = _yaml()
    document = (yaml.load(path.read_text("utf-8")) if path.exists() else None) or CommentedMap(version=mappings.VERSION)
    ids: dict[tuple[str, str], set[str]] = {}
    for each in suggestions:
        ids.setdefault((each.section, each.key), set()).add(each.ledger_id)
    once = {(each.section, each.key): each for each in suggestions if len(ids[each.section, each.key]) == 1}
    entered = [each for each in once.values() if not _is_there(before, each)]
    for each in entered:
        _enter(document, each)
    if entered:
        _replace(path, yaml, document)
    return entered


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = LINE_CHARS_MAX
    return yaml


def _is_there(before: mappings.Mappings, suggestion: Suggestion) -> bool:
    section = getattr(before, suggestion.section)
    by_name = suggestion.section != "clients" and suggestion.label in section
    return suggestion.key in section or by_name


def _enter(document: Any, suggestion: Suggestion) -> None:
    section = document.get(suggestion.section)
    if section is None:
        section = document[suggestion.section] = CommentedMap()
    entry = CommentedMap({ID_WORDS[suggestion.section]: DoubleQuotedScalarString(suggestion.ledger_id)})
    entry.fa.set_flow_style()
    section[suggestion.key] = entry
    if not section.fa.flow_style():  # a section on one line has no room for a comment
        section.yaml_add_eol_comment(" ".join(suggestion.words.split()), suggestion.key)


def _replace(path: Path, yaml: YAML, document: Any) -> None:
    text = io.StringIO()
    yaml.dump(document, text)
    with replacing(path) as new:
        new.write_text(text.getvalue(), "utf-8")
        mappings.load(new)
        if path.exists():
            shutil.copymode(path, new)
