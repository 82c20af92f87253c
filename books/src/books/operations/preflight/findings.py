"""What a preflight says: one finding per thing, with its state, where it was met and what to do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

NUMBERS_SHOWN = 5


class State(StrEnum):
    """How bad a finding is."""

    BLOCKS = "blocks"
    """Invoices would be refused."""
    WARNING = "warning"
    """Nothing is refused; a person should look."""
    OK = "ok"


ORDER = (State.BLOCKS, State.WARNING, State.OK)


ID_WORDS = {"services": "item_id", "tax_codes": "tax_code_id", "clients": "customer_id"}
"""Sections of mappings.yml, and the key that names an id of the ledger in each."""


@dataclass(frozen=True)
class Suggestion:
    """A possible entry for mappings.yml; `score` goes from 0 to 1."""

    section: str
    key: str
    label: str
    """What OpsMerge calls it."""
    ledger_id: str
    ledger_name: str
    score: float

    @property
    def words(self) -> str:
        """Both names in words."""
        return f"{self.label} -> {self.ledger_name} (id {self.ledger_id})"

    @property
    def entry(self) -> str:
        """The line of its section in mappings.yml, to be pasted."""
        return f"  {json.dumps(self.key)}: {{{ID_WORDS[self.section]}: {json.dumps(self.ledger_id)}}}  # {self.words}"

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "section": self.section,
            "key": self.key,
            "name": self.label,
            "id": self.ledger_id,
            "ledger_name": self.ledger_name,
            "likeness": round(self.score, 2),
        }


@dataclass(frozen=True)
class Finding:
    """One row of the table."""

    area: str
    what: str
    state: State
    says: str
    remedy: str = ""
    numbers: tuple[str, ...] = ()
    """Of the invoices that it concerns."""
    suggestion: Suggestion | None = None
    """The entry that `--write` makes: both names are equal but for their spelling, and nothing else has that name."""
    candidates: tuple[Suggestion, ...] = ()
    """What a person may choose from, best first."""

    @property
    def where(self) -> str:
        """The invoices, the first few by number."""
        shown = ", ".join(self.numbers[:NUMBERS_SHOWN])
        more = len(self.numbers) - NUMBERS_SHOWN
        return f"{shown} and {more} more" if more > 0 else shown

    @property
    def to_do(self) -> str:
        """The remedy, and what may be meant."""
        return " ".join(filter(None, (self.remedy, self._proposal())))

    def _proposal(self) -> str:
        if self.suggestion is not None:
            return f"The same name: {self.suggestion.words}; `books preflight --write` enters it."
        if not self.candidates:
            return ""
        names = "; ".join(f"{each.ledger_name} (id {each.ledger_id})" for each in self.candidates)
        return f"Alike, not the same name: {names}."

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "state": self.state.value,
            "area": self.area,
            "what": self.what,
            "says": self.says,
            "invoices": len(self.numbers),
            "numbers": list(self.numbers),
            "remedy": self.remedy,
            "suggestion": self.suggestion.document() if self.suggestion else None,
            "candidates": [each.document() for each in self.candidates],
        }


def worst_first(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings by state, then by how many invoices they concern; else in the order given."""
    return sorted(findings, key=lambda each: (ORDER.index(each.state), -len(each.numbers)))
