"""Print the report in the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from books.report import words
from books.report.read import BUCKETS, Document, Report

DOCUMENTS_SHOWN = 40
WIDE_COLUMNS = 120
WIDE = {
    "OpsMerge": "opsmerge_total", "QuickBooks": "ledger_total", "difference": "difference", "by design": "by_design",
    "in flight": "timing", "tolerated": "tolerated", "breaks": "breaks", "unexplained": "unexplained",
}  # fmt: skip
NARROW = {
    "OpsMerge": "opsmerge_total", "QuickBooks": "ledger_total", "explained": "explained", "breaks": "breaks",
    "unexplained": "unexplained",
}  # fmt: skip
COLOURS = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "info": "dim"}


def show(report: Report, console: Console, *, page: Path | None = None) -> None:
    """Print whether it may be acted on, the totals, the breaks, the other classes, and the path of the page."""
    console.print(
        f"[bold]OpsMerge and QuickBooks, {words.day(report.day)}[/bold]  [dim]{escape(report.run['connection'])}[/dim]"
    )
    _trust(report, console)
    _totals(report, console)
    _breaks(report, console)
    _others(report, console)
    if page is not None:
        console.print(f"Report: {page}", soft_wrap=True, highlight=False)


def _trust(report: Report, console: Console) -> None:
    if report.trusted:
        gates = [check for check in report.checks if check["is_gate"]]
        console.print(
            f"[green]Complete: {len(gates)} of {len(gates)} checks pass, and every penny is classified.[/green]"
        )
        return
    console.print("[bold red]Do not act on this run.[/bold red] These checks failed:")
    for check in report.failed_gates:
        console.print(f"  [red]{escape(check['promise'])}[/red] ({words.count(check['failures'], 'failure')})")
        if check["remedy"]:
            console.print(f"    {escape(words.sentence(check['remedy']))}", soft_wrap=True, highlight=False)


def _totals(report: Report, console: Console) -> None:
    """Print the totals; on a narrow terminal all differences that are no breaks are in one column."""
    columns = WIDE if console.width >= WIDE_COLUMNS else NARROW
    table = Table(
        "measure", "", title="Does it tie?", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for title in columns:
        table.add_column(title, justify="right", overflow="fold")
    for row in report.totals:
        cells = {**row, "explained": row["by_design"] + row["timing"] + row["tolerated"]}
        table.add_row(row["measure"], row["currency"], *(words.money(cells[name]) for name in columns.values()))
    console.print()
    console.print(table)


def _breaks(report: Report, console: Console) -> None:
    opened, documents = report.open_breaks, report.documents
    console.print()
    if not opened:
        console.print("[green]No open breaks.[/green]")
        return
    moved = f"{report.movement['new']} new, {report.movement['resolved']} resolved"
    console.print(
        f"[bold]{words.count(len(opened), 'break')} on {words.count(len(documents), 'document')}[/bold] ({moved})"
    )
    for document in documents[:DOCUMENTS_SHOWN]:
        console.print(_document(document))
    if len(documents) > DOCUMENTS_SHOWN:
        console.print(f"  and {words.count(len(documents) - DOCUMENTS_SHOWN, 'more document')}: see the page")


def _document(document: Document) -> Table:
    """Return a grid: severity on the left; on the right the class, both values, what to do, and the other breaks."""
    one = document.first
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=10)
    grid.add_column()
    worth = f"  {one.currency} {words.money(one.exposure)}" if one.exposure else ""
    title = Text.assemble((f"{one.row['class']} {one.title}", "bold"), f"  {words.name_of(one.row)}{worth}")
    grid.add_row(Text("  " + one.severity, COLOURS[one.severity]), title)
    grid.add_row("", Text(words.sides(one.row), "dim"))
    grid.add_row("", Text(f"{words.sentence(one.cause)} {one.remedy}", "dim"))
    for other in document.others:
        grid.add_row("", Text(f"also: {other.row['class']} {other.title} ({words.sides(other.row)})", "dim"))
    return grid


def _others(report: Report, console: Console) -> None:
    console.print()
    for bucket, title in BUCKETS.items():
        rows = report.of(bucket)
        if rows:
            classes = ", ".join(
                f"{row['items']:,} {row['class']} {_lowered(row['title'])} ({row['currency']})" for row in rows
            )
            console.print(f"[bold]{title}[/bold]: {escape(classes)}", highlight=False)


def _lowered(title: str) -> str:
    return title if title.startswith("VAT") else title[0].lower() + title[1:]
