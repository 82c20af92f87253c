"""What a run came to: one screen for people, one row for the store."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from books.posting.gate import MAKE_A_PLAN
from books.posting.postings import Outcome, Posting

WORDS = {
    Outcome.CREATED: "created",
    Outcome.ADOPTED: "adopted (already in {ledger})",
    Outcome.REJECTED: "rejected",
    Outcome.CONFLICT: "conflicts",
    Outcome.HELD: "held",
    Outcome.UNKNOWN: "unknown (settled by a later run)",
}


@dataclass
class Summary:
    """Counts of one run. `outcomes` holds the last outcome of each invoice that this run touched."""

    ledger: str = ""
    """The ledger's name."""
    seen: int = 0
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    existing: int = 0
    known: Counter[str] = field(default_factory=Counter)
    """Refused, held, in conflict or unknown before, and still so."""
    left: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    calls: int = 0
    metered: int = 0
    seconds: float = 0.0
    halted: str = ""
    shut: str = ""
    """Why nothing may be created without a plan."""
    kept_back: int = 0
    """Due, and held by a plan or for want of one; those of earlier runs too."""

    def note(self, posting: Posting) -> None:
        """Count an invoice's outcome; the last one counts."""
        self.outcomes[posting.opsmerge_invoice_id] = posting.outcome

    def count(self, outcome: Outcome) -> int:
        """Return how many invoices ended with an outcome in this run."""
        return sum(each is outcome for each in self.outcomes.values())

    @property
    def rejected(self) -> int:
        """How many records are wrong: refused now, refused before and read again unchanged, or without an id."""
        return self.count(Outcome.REJECTED) + self.known[Outcome.REJECTED.value] + self.unreadable

    def lines(self) -> list[str]:
        """Return the summary, a line per fact; what did not happen is left out."""
        lines = [f"{self.seen} invoices read"]
        lines += [
            f"{self.count(outcome)} {words.format(ledger=self.ledger)}"
            for outcome, words in WORDS.items()
            if self.count(outcome)
        ]
        if self.existing:
            lines.append(f"{self.existing} already posted and unchanged")
        lines += [f"{count} still {outcome}" for outcome, count in sorted(self.known.items())]
        lines += [f"{count} left: {reason.replace('_', ' ')}" for reason, count in sorted(self.left.items())]
        if self.shut and self.kept_back:
            lines.append(f"{self.kept_back} wait for a plan: {self.shut}. What to do: {MAKE_A_PLAN.rstrip('.')}")
        if self.unreadable:
            lines.append(f"{self.unreadable} records without an id, not kept")
        calls = f"{self.calls} calls to {self.ledger}, {self.metered} of them metered reads"
        lines.append(f"{calls if self.calls else f'no call to {self.ledger}'}; {self.seconds:.1f} s")
        if self.halted:
            lines.append(f"stopped before the end: {self.halted}")
        return lines
