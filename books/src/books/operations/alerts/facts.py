"""Gather the facts that `books status` shows and the alerts judge, without a call to the ledger or OpsMerge."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pendulum
from sqlalchemy import Connection, func, select

from books import transport
from books.core.clock import Clock
from books.ledgers.registry import Vendor
from books.operations import runs
from books.operations.alerts import inbox, reconciliation
from books.operations.alerts.inbox import InboxLag
from books.operations.alerts.reconciliation import Reconciliation
from books.operations.runs import JobRun, Run, Streak
from books.operations.settings import WatchSettings
from books.store import Store
from books.store.tables_posting import posting
from books.transport.access import Access
from books.transport.governor import GovernorState
from books.transport.settings import LedgerSettings
from books.transport.tokens import TokenState

REFUSED_MAX = 10_000

NEEDS_A_PERSON = ("rejected", "conflict")

DISK_BYTES_MIN = 500 * 1024 * 1024


@dataclass(frozen=True)
class Sources:
    """Where facts are read from: one company's settings, its store, this machine's warehouse, the jobs."""

    environment: str
    vendor: Vendor
    settings: LedgerSettings
    store: Store
    published: Path
    jobs: Mapping[str, Sequence[str]]
    """Each job's steps, as `books.operations.runs` names them."""
    watch: WatchSettings = field(default_factory=WatchSettings)


@dataclass(frozen=True)
class Refused:
    """A posting that needs a person: rejected, or in conflict."""

    number: str
    outcome: str
    fault_code: str


@dataclass(frozen=True)
class Disk:
    """Free space on the disk of this machine's warehouse."""

    machine: str
    free_bytes: int
    needed_bytes: int
    """What the next reconciliation needs: publishing copies the warehouse."""


@dataclass(frozen=True)
class Facts:
    """All facts about one connection now."""

    now: pendulum.DateTime
    environment: str
    vendor: Vendor
    access: Access
    connection: str
    token: TokenState
    governor: GovernorState
    monthly_reads: int
    quiet_hours: int
    outcomes: Mapping[str, int]
    refused: Sequence[Refused]
    plugins: Sequence[Run]
    steps: Mapping[str, Streak]
    jobs: Mapping[str, Sequence[str]]
    job_runs: Sequence[JobRun]
    disk: Disk
    reconciliation: Reconciliation | None = None
    inbox: InboxLag | None = None
    unnoticed: Sequence[str] | None = None

    @property
    def ledger(self) -> str:
        """Return the ledger's name."""
        return self.vendor.words.ledger


def gather(sources: Sources, clock: Clock) -> Facts:
    """Return all facts, read from the store, the published warehouse and the disk."""
    settings, store = sources.settings, sources.store
    connection, dialect = settings.connection, sources.vendor.webhooks(())
    steps = runs.streaks(store)
    with store.read() as conn:
        now = store.now(conn)
        outcomes, refused = _outcomes(conn, connection), _refused(conn, connection)
    return Facts(
        now=now,
        environment=sources.environment,
        vendor=sources.vendor,
        access=settings.access,
        connection=connection,
        token=transport.tokens_of(settings, store, clock).state(),
        governor=transport.governor_of(settings, store, clock).state(connection),
        monthly_reads=sources.watch.monthly_reads,
        quiet_hours=sources.watch.alert_quiet_hours,
        outcomes=outcomes,
        refused=refused,
        plugins=runs.latest(store),
        steps=steps,
        jobs=sources.jobs,
        job_runs=[runs.last_run(job, of_job, steps) for job, of_job in sources.jobs.items()],
        disk=_disk(sources.published),
        reconciliation=reconciliation.read(sources.published),
        inbox=inbox.lag(store, dialect, connection),
        unnoticed=inbox.unnoticed(store, dialect, connection),
    )


def _outcomes(conn: Connection, connection: str) -> dict[str, int]:
    counted = (
        select(posting.c.outcome, func.count().label("postings"))
        .where(posting.c.connection == connection)
        .group_by(posting.c.outcome)
        .order_by(posting.c.outcome)
    )
    return {row.outcome: row.postings for row in conn.execute(counted)}


def _refused(conn: Connection, connection: str) -> list[Refused]:
    wanted = (
        select(posting.c.number, posting.c.outcome, posting.c.fault_code)
        .where(posting.c.connection == connection, posting.c.outcome.in_(NEEDS_A_PERSON))
        .order_by(posting.c.seq.desc())
        .limit(REFUSED_MAX)
    )
    return [Refused(row.number, row.outcome, row.fault_code or "") for row in conn.execute(wanted)]


def _disk(published: Path) -> Disk:
    folder = next(each for each in published.parents if each.is_dir())
    size = published.stat().st_size if published.is_file() else 0
    return Disk(platform.node(), shutil.disk_usage(folder).free, max(DISK_BYTES_MIN, 2 * size))
