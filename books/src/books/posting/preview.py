"""A journal that believes what is written to it and writes nothing: what a dry run works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from books.posting.journal import Lesson, SqlJournal
from books.posting.postings import Posting


class PreviewJournal(SqlJournal):
    """Reads the store; every write is dropped."""

    def write(self, postings: Sequence[Posting]) -> list[Posting]:
        """Return the rows as if they were written."""
        return list(postings)

    def intend(self, postings: Sequence[Posting]) -> list[Posting]:
        """Return no rows: nothing may be sent by a dry run."""
        del postings
        return []

    def finish(self, postings: Sequence[Posting]) -> list[Posting]:
        """Return the rows as if they were written."""
        return list(postings)

    def learn(self, lessons: Sequence[Lesson]) -> None:
        """Drop it: the next run asks again."""

    def forget(self, kind: str, ledger_ids: Sequence[str]) -> None:
        """Do nothing: nothing was learned."""

    def leave_alone(self, contents: Mapping[str, str]) -> None:
        """Drop it: the next run looks again."""

    def note_ended(self, statuses: Mapping[str, str]) -> None:
        """Drop it: the next run asks again."""

    def record_run(self, run: Mapping[str, Any]) -> None:
        """Drop it: a plan is no run."""
