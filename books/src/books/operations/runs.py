"""Record how each plugin's run ended: `meltano run` turns every failure into 1, the store keeps the real code.

A run is one step of a job: `tap-opsmerge`, `tap-opsmerge target-quickbooks`, `books:report`. This distinguishes a
plugin's runs in two jobs, and a job's last run can be assembled from the runs of its steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import pendulum
from sqlalchemy import Connection, Select, func, select

from books.core.faults import Exit
from books.store import Store
from books.store.tables_jobs import job_run

KEPT_RUNS = 2_000
"""Rows kept of each step: a push every minute writes 1,440 a day, a reconciliation one."""

STREAK_MAX = 500
"""How many runs of a step are searched for its last good one."""

WORST_FIRST = (Exit.FAILED, Exit.MISCONFIGURED, Exit.DEAD_CONNECTION, Exit.TRY_LATER, Exit.REJECTED, Exit.DONE)
"""Exit codes by how soon a person is needed."""

REFUSED = ""
"""The step of a run that was refused because another was running: it did nothing and counts for no step or job."""

REFUSED_HOURS = 24
"""How long `books status` shows a refused run."""

GOOD = frozenset({Exit.DONE, Exit.REJECTED})
"""Exit codes of runs that did all they could; rejected records are reported elsewhere."""


@dataclass(frozen=True)
class Run:
    """One plugin's process, from start to end."""

    connection: str
    plugin: str
    started_at: pendulum.DateTime
    finished_at: pendulum.DateTime
    exit_code: int
    message: str
    step: str = ""


@dataclass(frozen=True)
class Streak:
    """The newest run of a step, and how long the step has been failing."""

    last: Run
    failures: int
    """Failed runs in a row, up to the newest; 0 where that was good."""
    failing_since: pendulum.DateTime | None
    codes: frozenset[int]
    """The exit codes of those failures."""
    good_at: pendulum.DateTime | None
    """When the last good run ended, as far as runs are kept."""


@dataclass(frozen=True)
class JobRun:
    """The last run of a whole job, assembled from the runs of its steps."""

    job: str
    started_at: pendulum.DateTime | None
    finished_at: pendulum.DateTime | None
    """None where a step has not ended: it is still running, or was killed."""
    exit_code: int | None
    """The worst of its steps; None where a step has not ended, unless another failed."""
    step: str
    """The step that decided the code: the failed one, or the last that ended."""
    message: str
    """The message of the step that failed, or all summaries where none did."""


def record(store: Store, run: Run) -> None:
    """Write a run; delete the oldest of its step beyond `KEPT_RUNS`."""
    with store.begin() as conn:
        conn.execute(job_run.insert().values(**run.__dict__))
        ours = job_run.c.step == run.step
        kept = select(job_run.c.id).where(ours).order_by(job_run.c.id.desc()).offset(KEPT_RUNS).limit(1)
        conn.execute(job_run.delete().where(ours, job_run.c.id <= kept.scalar_subquery()))


def since(store: Store, moment: pendulum.DateTime) -> list[Run]:
    """Return the runs that started at a time or later, oldest first."""
    with store.read() as conn:
        return _runs(conn, _all().where(job_run.c.started_at >= moment).order_by(job_run.c.id))


def latest(store: Store) -> list[Run]:
    """Return the last run of each plugin."""
    return _newest(store, job_run.c.step != REFUSED)


def refused(store: Store, now: pendulum.DateTime) -> list[Run]:
    """Return the last run of each plugin that was refused in the last `REFUSED_HOURS`."""
    return _newest(store, job_run.c.step == REFUSED, job_run.c.finished_at >= now.subtract(hours=REFUSED_HOURS))


def _newest(store: Store, *conditions: Any) -> list[Run]:
    newest = select(func.max(job_run.c.id)).where(*conditions).group_by(job_run.c.plugin)
    with store.read() as conn:
        return _runs(conn, _all().where(job_run.c.id.in_(newest)).order_by(job_run.c.plugin))


def streaks(store: Store) -> dict[str, Streak]:
    """Return each step's newest run and how long it has been failing, by step."""
    with store.read() as conn:
        steps = list(conn.execute(select(job_run.c.step).where(job_run.c.step != REFUSED).distinct()).scalars())
        of_step = {step: _all().where(job_run.c.step == step).order_by(job_run.c.id.desc()) for step in steps}
        return {step: streak(_runs(conn, query.limit(STREAK_MAX))) for step, query in of_step.items()}


def streak(newest_first: Sequence[Run]) -> Streak:
    """Return the streak of one step's runs, of which there is at least one."""
    failed = list(takewhile(lambda run: run.exit_code not in GOOD, newest_first))
    good = next((run for run in newest_first if run.exit_code in GOOD), None)
    return Streak(
        last=newest_first[0],
        failures=len(failed),
        failing_since=failed[-1].finished_at if failed else None,
        codes=frozenset(run.exit_code for run in failed),
        good_at=good.finished_at if good else None,
    )


def last_run(job: str, steps: Sequence[str], known: Mapping[str, Streak]) -> JobRun:
    """Return a job's last run: it began with its first step, and every step that ended after that belongs to it."""
    first = known.get(steps[0]) if steps else None
    if first is None:
        return JobRun(job, None, None, None, "", "")
    began = first.last.started_at
    ended = [known[step].last for step in steps if step in known and known[step].last.finished_at >= began]
    stopped = [run for run in ended if run.exit_code != Exit.DONE]
    has_ended = bool(stopped) or len(ended) == len(steps)
    code = worst([run.exit_code for run in ended])
    deciding = next((run for run in stopped if worst([run.exit_code]) == code), ended[-1])
    finished_at = max(run.finished_at for run in ended)
    message = deciding.message if stopped else "; ".join(run.message for run in ended if run.message)
    return JobRun(job, began, finished_at if has_ended else None, code if has_ended else None, deciding.step, message)


def worst(codes: Sequence[int]) -> int:
    """Return the exit code that needs a person soonest; an unknown code counts as a bug."""
    known = [code if code in set(WORST_FIRST) else Exit.FAILED for code in codes]
    return min(known, key=lambda code: WORST_FIRST.index(Exit(code)), default=Exit.DONE)


def _all() -> Select[tuple[object, ...]]:
    return select(*(column for column in job_run.c if column.name != "id"))


def _runs(conn: Connection, query: Select[tuple[object, ...]]) -> list[Run]:
    return [Run(**row) for row in conn.execute(query).mappings()]
