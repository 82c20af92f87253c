"""Read the contents of the report from the published warehouse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from books.core.faults import Exit, Halt
from books.core.printable import printable
from books.report import words

Row = dict[str, Any]
TREND_RUNS = 30
NO_ADVICE = "Do not act: this run is not trusted."
GONE = "I09"  # deleted in QuickBooks: there is nothing to open
BUCKETS = {"by_design": "By design", "timing": "In flight", "tolerated": "Tolerated", "information": "Worth knowing"}


@dataclass(frozen=True)
class Break:
    """One break, with what a person needs to act on it: its row of `recon.drift`, with title, story and link."""

    row: Row

    def __getattr__(self, name: str) -> Any:
        """Return a column."""
        try:
            return self.row[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(frozen=True)
class Document:
    """The open breaks of one invoice, payment or customer: the first is to be acted on, the others follow."""

    first: Break
    others: list[Break]


@dataclass(frozen=True)
class Report:
    """The contents of the report. Money is Decimal; sums are per currency, never across."""

    environment: str
    time_zone: ZoneInfo
    run: Row
    checks: list[Row]
    totals: list[Row]
    cells: list[Row]
    classes: list[Row]
    breaks: list[Break]
    acceptances: list[Row]
    ageing: list[Row]
    trend: list[Row]
    movement: Row
    effects: list[Row]
    vat: list[Row]

    @property
    def day(self) -> date:
        """Return the day of the run in the readers' time zone."""
        at: datetime = self.run["run_at"]
        return at.replace(tzinfo=ZoneInfo("UTC")).astimezone(self.time_zone).date()

    @property
    def failed_gates(self) -> list[Row]:
        """Return the failed checks that forbid acting on this run."""
        return [check for check in self.checks if check["is_gate"] and not check["ok"]]

    @property
    def trusted(self) -> bool:
        """Return whether this run may be acted on."""
        return not self.failed_gates

    @property
    def unexplained(self) -> Decimal:
        """Return the largest remainder of any measure, currency and month; 0.00 when every penny is classified."""
        return max((abs(cell["unexplained"]) for cell in self.cells), default=Decimal("0.00"))

    @cached_property
    def open_breaks(self) -> list[Break]:
        """Return the breaks that nobody has accepted."""
        return [one for one in self.breaks if not one.accepted]

    @cached_property
    def documents(self) -> list[Document]:
        """Return the open breaks by document, worst first; within a document the root cause comes first."""
        grouped: dict[str, list[Break]] = {}
        for one in self.open_breaks:
            grouped.setdefault(one.opsmerge_invoice_id or one.external_id or one.payment_id or "", []).append(one)
        ordered = [sorted(breaks, key=lambda one: one.root_class != one.row["class"]) for breaks in grouped.values()]
        return [Document(first=breaks[0], others=breaks[1:]) for breaks in ordered]

    def acceptance(self, one: Break) -> Row | None:
        """Return who accepted a break, why and until when; None where nobody has."""
        return next((row for row in self.acceptances if _accepts(row, one)), None)

    def of(self, bucket: str) -> list[Row]:
        """Return the classes of a bucket in this run."""
        return [row for row in self.classes if row["bucket"] == bucket]


def read(database: Path, *, environment: str = "demo", time_zone: str = "Europe/London") -> Report:
    """Read the newest run in `database`.

    Raises:
        Halt: the database is missing, or no reconciliation has been built in it.
    """
    if not database.is_file():
        raise nothing_built(database)
    zone = ZoneInfo(time_zone)
    with duckdb.connect(str(database), read_only=True) as connection:
        try:
            [run] = rows(connection, "select * from statement.run")
            report = _read(connection, run, environment, zone)
        except duckdb.CatalogException as error:
            raise incomplete(database, error) from error
    return report if report.trusted else _without_advice(report)


def nothing_built(database: Path) -> Halt:
    """Return the fault for a missing database."""
    return Halt(
        f"no reconciliation has been built in {database}",
        exit_code=Exit.MISCONFIGURED,
        code="nothing_built",
        remedy="run `meltano run reconcile` first",
    )


def incomplete(database: Path, error: duckdb.CatalogException) -> Halt:
    """Return the fault for a table that was never built, or built by another version of the models."""
    return Halt(
        f"{database} has no complete reconciliation: {str(error).splitlines()[0]}",
        exit_code=Exit.MISCONFIGURED,
        code="nothing_built",
        remedy="run `meltano run reconcile`: the models and the report must be of the same version",
    )


def _without_advice(report: Report) -> Report:
    """Return the report without remedies: nobody should act on a run that is not trusted."""
    classes = [{**row, "remedy": NO_ADVICE} for row in report.classes]
    breaks = [Break({**one.row, "remedy": NO_ADVICE}) for one in report.breaks]
    return replace(report, classes=classes, breaks=breaks)


def _read(connection: duckdb.DuckDBPyConnection, run: Row, environment: str, zone: ZoneInfo) -> Report:
    return Report(
        environment=environment,
        time_zone=zone,
        run=run,
        checks=[{"remedy": None, **row} for row in rows(connection, CHECKS)],
        totals=rows(connection, TOTALS),
        cells=rows(connection, "select * from recon.control_totals order by measure, currency, period"),
        classes=rows(connection, CLASSES),
        breaks=[_break(row, environment, zone) for row in rows(connection, BREAKS)],
        acceptances=rows(connection, "select * from recon.accepted"),
        ageing=rows(connection, AGEING),
        trend=rows(connection, TREND),
        movement=rows(connection, MOVEMENT, [run["run_id"]])[0],
        effects=rows(connection, EFFECTS),
        vat=rows(connection, VAT),
    )


def rows(connection: duckdb.DuckDBPyConnection, sql: str, values: list[Any] | None = None) -> list[Row]:
    """Return the rows of a query, as columns by name."""
    found = connection.execute(sql, values or [])
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _break(row: Row, environment: str, zone: ZoneInfo) -> Break:
    row["story"] = words.story(row.pop("posting"), zone) if row["opsmerge_invoice_id"] else ""
    row["link"] = None if row["class"] == GONE else words.link(environment, row["external_id"], row["payment_id"])
    return Break({name: printable(value) if isinstance(value, str) else value for name, value in row.items()})


def _accepts(row: Row, one: Break) -> bool:
    same = all(row[name] == one.row[name] for name in ("class", "opsmerge_value", "ledger_value"))
    return same and any(row[name] and row[name] == one.row[name] for name in ("number", "payment_id"))


CHECKS = "select * from recon.checks order by is_gate desc, check_name"

TOTALS = """
select measure, currency,
    sum(opsmerge_total) as opsmerge_total, sum(ledger_total) as ledger_total, sum(difference) as difference,
    sum(by_design) as by_design, sum(timing) as timing, sum(tolerated) as tolerated, sum(breaks) as breaks,
    sum(unexplained) as unexplained,
    sum(case when unexplained <> 0 then 1 else 0 end) as cells_unexplained
from recon.control_totals
group by measure, currency
order by currency <> 'GBP', currency, list_position(['gross', 'net', 'tax', 'balance', 'payments'], measure)
"""

CLASSES = """
select drift_summary.*, drift_class.remedy
from recon.drift_summary
join recon.drift_class on drift_class.class = drift_summary.class
order by worst_grade desc, exposure desc, drift_summary.class, drift_summary.currency
"""

BREAKS = """
select drift.*, drift_class.title,
    case when posting.opsmerge_invoice_id is not null then struct_pack(
        outcome := posting.outcome, external_id := posting.external_id, fault_code := posting.fault_code,
        fault_message := posting.fault_message, attempts := posting.attempts, attempted_at := posting.attempted_at,
        finished_at := posting.finished_at) end as posting
from recon.drift
join recon.drift_class on drift_class.class = drift.class
left join staging.stg_bridge__postings as posting
    on posting.opsmerge_invoice_id = drift.opsmerge_invoice_id and posting.connection = drift.connection
where drift.bucket = 'break'
order by drift.accepted, list_position(['critical', 'high', 'medium', 'low', 'info'], drift.severity),
    drift.exposure desc, drift.number, drift.class
"""

AGEING = """
select band, currency, sum(items) as items, sum(exposure) as exposure
from recon.drift_ageing group by band, band_number, currency order by currency <> 'GBP', currency, band_number
"""

TREND = f"""
select run_at, run_id, trusted, breaks from recon.run_history order by run_at desc limit {TREND_RUNS}
"""

MOVEMENT = """
select coalesce(sum(opening_items), 0) as opening, coalesce(sum(new_items), 0) as new,
    coalesce(sum(resolved_items), 0) as resolved, coalesce(sum(closing_items), 0) as closing, count(*) > 0 as known
from recon.drift_rollforward where run_id = ?
"""

EFFECTS = """
select bridge.currency, bridge.measure, bridge.class, drift_class.title, drift_class.bucket,
    sum(bridge.amount) as effect
from statement.bridge
join recon.drift_class on drift_class.class = bridge.class
where drift_class.bucket <> 'by_design'
group by bridge.currency, bridge.measure, bridge.class, drift_class.title, drift_class.bucket
having sum(bridge.amount) <> 0
order by bridge.currency <> 'GBP', bridge.currency, bridge.measure, abs(sum(bridge.amount)) desc
"""

VAT = "select * from recon.vat_periods where vat_effect <> 0 order by currency <> 'GBP', currency, quarter_ending"
