"""Finance can read where every penny is: a page, a workbook, CSV, Markdown and the terminal.

Everything is read from the published warehouse (`publish`); nothing is calculated here. May import core only. Start
with `read`: the contents of a report.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from books.report.read import Report, read

__all__ = ["Paths", "Report", "build_report", "paths_of", "print_summary", "read", "show", "write"]


@dataclass(frozen=True)
class Paths:
    """The files of a report."""

    html: Path
    workbook: Path
    csv: Path
    markdown: Path


def build_report(
    database: Path, out_dir: Path, *, environment: str = "demo", time_zone: str = "Europe/London"
) -> Paths:
    """Write the report of the newest run in `database` into `out_dir`; a second report of one day replaces the first.

    `environment` is Meltano's (demo, sandbox, production) and decides where links to QuickBooks point. Dates are shown
    in `time_zone`.

    Raises:
        Halt: the database is missing, or no reconciliation has been built in it (misconfigured).
    """
    return write(read(database, environment=environment, time_zone=time_zone), out_dir)


def write(report: Report, out_dir: Path) -> Paths:
    """Write the report in all formats into `out_dir`; return the files."""
    from books.report import html, markdown, sheet, workbook

    out_dir.mkdir(parents=True, exist_ok=True)
    paths = _paths(report, out_dir)
    html.write(report, paths.html)
    workbook.write(report, paths.workbook)
    sheet.write(report, paths.csv)
    markdown.write(report, paths.markdown)
    return paths


def paths_of(database: Path, out_dir: Path, *, time_zone: str = "Europe/London") -> Paths:
    """Return the files of the newest run's report, whether or not they exist.

    Raises:
        Halt: the database is missing, or no reconciliation has been built in it (misconfigured).
    """
    return _paths(read(database, environment="demo", time_zone=time_zone), out_dir)


def _paths(report: Report, out_dir: Path) -> Paths:
    stem = out_dir / f"drift-{report.day:%Y-%m-%d}"
    return Paths(
        html=stem.with_suffix(".html"),
        workbook=stem.with_suffix(".xlsx"),
        csv=stem.with_suffix(".csv"),
        markdown=stem.with_suffix(".md"),
    )


def print_summary(
    database: Path,
    *,
    environment: str = "demo",
    time_zone: str = "Europe/London",
    paths: Paths | None = None,
    console: Console | None = None,
) -> None:
    """Print the newest run's report and the path of its page in the terminal."""
    show(read(database, environment=environment, time_zone=time_zone), paths=paths, console=console)


def show(report: Report, *, paths: Paths | None = None, console: Console | None = None) -> None:
    """Print a report and the path of its page in the terminal."""
    from books.report import terminal

    terminal.show(report, console or Console(), page=paths.html if paths else None)
