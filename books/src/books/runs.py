"""Keeps what each plugin's run came to: `meltano run` makes every failure a 1, the store keeps the finer code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pendulum
from sqlalchemy import func, select

from books.faults import Exit
from books.store import Store
from books.store.tables_jobs import job_run

KEPT_RUNS = 10_000
"""Rows kept; a push every minute writes 1,440 a day for each plugin."""

WORST_FIRST = (Exit.FAILED, Exit.MISCONFIGURED, Exit.DEAD_CONNECTION, Exit.TRY_LATER, Exit.REJECTED, Exit.DONE)
"""What needs a person soonest comes first."""


@dataclass(frozen=True)
class Run:
    """One plugin's process, from start to end."""

    connection: str
    plugin: str
    started_at: pendulum.DateTime
    finished_at: pendulum.DateTime
    exit_code: int
    message: str


def record(store: Store, run: Run) -> None:
    """Keep a run; forget the oldest beyond `KEPT_RUNS`."""
    with store.begin() as conn:
        conn.execute(job_run.insert().values(**run.__dict__))
        newest = conn.execute(select(func.max(job_run.c.id))).scalar_one()
        conn.execute(job_run.delete().where(job_run.c.id <= newest - KEPT_RUNS))


def since(store: Store, moment: pendulum.DateTime) -> list[Run]:
    """The runs that started at a moment or later, oldest first."""
    columns = [column for column in job_run.c if column.name != "id"]
    with store.read() as conn:
        rows = conn.execute(select(*columns).where(job_run.c.started_at >= moment).order_by(job_run.c.id))
        return [Run(**row._mapping) for row in rows]  # noqa: SLF001 -- SQLAlchemy's public name for a row as a mapping


def latest(store: Store) -> list[Run]:
    """The last run of each plugin."""
    columns = [column for column in job_run.c if column.name != "id"]
    newest = select(func.max(job_run.c.id)).group_by(job_run.c.plugin)
    with store.read() as conn:
        rows = conn.execute(select(*columns).where(job_run.c.id.in_(newest)).order_by(job_run.c.plugin))
        return [Run(**row._mapping) for row in rows]  # noqa: SLF001 -- as above


def worst(codes: Sequence[int]) -> int:
    """The code that needs a person soonest; an unknown code counts as a bug."""
    known = [code if code in set(WORST_FIRST) else Exit.FAILED for code in codes]
    return min(known, key=lambda code: WORST_FIRST.index(Exit(code)), default=Exit.DONE)
