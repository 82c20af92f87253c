"""A journal in memory, for seeded simulations: each method commits at once or not at all, as the store does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pendulum

from books.core.clock import Clock
from books.posting.journal import UNFINISHED, Lesson
from books.posting.postings import RECALLED, Outcome, Posting


@dataclass
class MemoryJournal:
    """A journal in memory: each method commits at once, or did not run."""

    clock: Clock
    postings: dict[str, Posting] = field(default_factory=dict)
    learned: dict[tuple[str, str], Lesson] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    runs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    seq: int = 0

    def load(self, invoice_ids: Sequence[str]) -> dict[str, Posting]:
        """See `Journal`."""
        return {each: self.postings[each] for each in invoice_ids if each in self.postings}

    def unfinished(self) -> Sequence[Posting]:
        """See `Journal`."""
        return [each for each in self.postings.values() if each.retry or _waits(each)]

    def in_flight(self) -> dict[str, str]:
        """See `Journal`."""
        sent = [each for each in self.postings.values() if each.outcome is Outcome.UNKNOWN and each.attempts]
        return {each.number: each.opsmerge_invoice_id for each in sent}

    def write(self, postings: Sequence[Posting]) -> list[Posting]:
        """See `Journal`."""
        written = []
        for each in postings:
            current = self.postings.get(each.opsmerge_invoice_id)
            if (current.seq if current else None) == each.seq:
                self.seq += 1
                written.append(replace(each, seq=self.seq))
        self.postings.update((each.opsmerge_invoice_id, each) for each in written)
        return written

    intend = write
    finish = write

    def lessons(self, kind: str) -> dict[str, Lesson]:
        """See `Journal`."""
        return {key: lesson for (of, key), lesson in self.learned.items() if of == kind}

    def learn(self, lessons: Sequence[Lesson]) -> None:
        """See `Journal`."""
        now = self.clock.now()
        self.learned.update(((each.kind, each.key), replace(each, learned_at=now)) for each in lessons)

    def forget(self, kind: str, ledger_ids: Sequence[str]) -> None:
        """See `Journal`."""
        gone = [at for at, each in self.learned.items() if at[0] == kind and each.ledger_id in ledger_ids]
        for at in gone:
            del self.learned[at]

    def is_left_alone(self, invoice_ids: Sequence[str]) -> dict[str, str]:
        """See `Journal`."""
        return {each: self.left[each] for each in invoice_ids if each in self.left}

    def leave_alone(self, contents: Mapping[str, str]) -> None:
        """See `Journal`."""
        self.left.update(contents)

    def ended_documents(self, external_ids: Sequence[str]) -> dict[str, str]:
        """See `Journal`."""
        return {each: self.ended[each] for each in external_ids if each in self.ended}

    def note_ended(self, statuses: Mapping[str, str]) -> None:
        """See `Journal`."""
        self.ended.update(statuses)

    def record_run(self, run: Mapping[str, Any]) -> None:
        """See `Journal`."""
        self.runs[str(run["id"])] = run

    def now(self) -> pendulum.DateTime:
        """See `Journal`."""
        return self.clock.now()


def _waits(each: Posting) -> bool:
    is_open = each.external_id is None or each.outcome is Outcome.UNKNOWN or each.fault_code in RECALLED
    return each.outcome in UNFINISHED and is_open
