"""Read from the published reconciliation whether it may be acted on, and its critical breaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb
import pendulum

BREAKS_MAX = 1_000


@dataclass(frozen=True)
class Reconciliation:
    """The newest published run."""

    run_id: str
    run_at: pendulum.DateTime
    connection: str
    failed_gates: Mapping[str, str]
    """The promises of the failed checks, by the check's name. Empty: the run may be acted on."""
    breaks: int
    """Open breaks, without the accepted ones."""
    critical: Mapping[str, str]
    """The critical ones as text (class, title and number, no names), by drift key."""

    @property
    def trusted(self) -> bool:
        """Return whether this run may be acted on."""
        return not self.failed_gates


def read(database: Path) -> Reconciliation | None:
    """Return the newest published run; None where none is published here, or it cannot be read now."""
    if not database.is_file():
        return None
    try:
        with duckdb.connect(str(database), read_only=True) as connection:
            return _read(connection)
    except duckdb.Error:
        return None


def _read(connection: duckdb.DuckDBPyConnection) -> Reconciliation | None:
    runs = connection.execute("select run_id, run_at, connection from statement.run").fetchall()
    if not runs:
        return None
    run_id, run_at, company = runs[0]
    gates = connection.execute("select check_name, promise from recon.checks where is_gate and not ok order by all")
    failed = dict(gates.fetchall())
    [(breaks,)] = connection.execute(
        "select count(*) from recon.drift where bucket = 'break' and not accepted"
    ).fetchall()
    return Reconciliation(
        run_id=run_id,
        run_at=pendulum.instance(run_at, tz="UTC"),
        connection=company,
        failed_gates=failed,
        breaks=breaks,
        critical={key: _critical_text(*row) for key, *row in connection.execute(CRITICAL, [BREAKS_MAX]).fetchall()},
    )


def _critical_text(
    drift_class: str, title: str, number: str | None, external_id: str | None, currency: str, exposure: Decimal | None
) -> str:
    """Return for example `INV-2026-0057: I03 Duplicate in QuickBooks, GBP 556.32`."""
    which = number or (f"QuickBooks id {external_id}" if external_id else "no number")
    money = f", {currency} {exposure:,.2f}" if exposure else ""
    return f"{which}: {drift_class} {title}{money}"


CRITICAL = """
select drift.drift_key, drift.class, drift_class.title, drift.number, drift.external_id, drift.currency, drift.exposure
from recon.drift join recon.drift_class on drift_class.class = drift.class
where drift.bucket = 'break' and drift.severity = 'critical' and not drift.accepted
order by drift.exposure desc, drift.number, drift.drift_key
limit ?
"""
