"""The report in the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from books.report import words
from books.report.read import BUCKETS, Break, Report

BREAKS_SHOWN = 40
COLOURS = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "info": "dim"}


def show(report: Report, console: Console, *, page: Path | None = None) -> None:
    """Trust, totals, breaks, the rest; then where the page is."""
    console.print(f"[bold]OpsMerge and QuickBooks, {words.day(report.day)}[/bold]  [dim]{escape(report.run['connection'])}[/dim]")
    _trust(report, console)
    _totals(report, console)
    _breaks(report, console)
    _others(report, console)
    if page is not None:
        console.print(f"Report: {page}", soft_wrap=True, highlight=False)


def _trust(report: Report, console: Console) -> None:
    if report.trusted:
        gates = [check for check in report.checks if check["is_gate"]]
        console.print(f"[green]Complete: {len(gates)} of {len(gates)} checks pass, and every penny is classified.[/green]")
        return
    console.print("[bold red]Do not act on this run:[/bold red] it could not be shown that")
    for check in report.failed_gates:
        console.print(f"  [red]{escape(check['promise'])}[/red] ({words.count(check['failures'], 'failure')})")


def _totals(report: Report, console: Console) -> None:
    table = Table("measure", "currency", title="Does it tie?", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    names = ("opsmerge_total", "ledger_total", "difference", "by_design", "timing", "tolerated", "breaks", "unexplained")
    for title in ("OpsMerge", "QuickBooks", "difference", "by design", "in flight", "tolerated", "breaks", "unexplained"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in report.totals:
        table.add_row(row["measure"], row["currency"], *(words.money(row[name]) for name in names))
    console.print()
    console.print(table)


def _breaks(report: Report, console: Console) -> None:
    opened = report.open_breaks
    console.print()
    if not opened:
        console.print("[green]No open breaks.[/green]")
    else:
        moved = f"{report.movement['new']} new, {report.movement['resolved']} resolved"
        console.print(f"[bold]{words.count(len(opened), 'break')} on {words.count(report.documents, 'document')}[/bold] ({moved})")
    for one in opened[:BREAKS_SHOWN]:
        _break(one, console)
    if len(opened) > BREAKS_SHOWN:
        console.print(f"  and {words.count(len(opened) - BREAKS_SHOWN, 'more')}: see the report")


def _break(one: Break, console: Console) -> None:
    colour = COLOURS[one.severity]
    what = one.number or (f"payment {one.payment_id}" if one.payment_id else f"QuickBooks {one.external_id}")
    console.print(
        f"  [{colour}]{one.severity:<8}[/{colour}] [bold]{one.row['class']} {one.title}[/bold]  {escape(what)}"
        f"  {one.currency} {words.money(one.exposure)}",
        highlight=False,
    )
    values = f"OpsMerge: {one.opsmerge_value or 'nothing'} · QuickBooks: {one.ledger_value or 'nothing'}"
    console.print(f"           {escape(values)}", style="dim", highlight=False)
    console.print(f"           {escape(one.cause)} {escape(one.remedy)}", style="dim", highlight=False)


def _others(report: Report, console: Console) -> None:
    console.print()
    for bucket, title in BUCKETS.items():
        rows = report.of(bucket)
        if rows:
            told = ", ".join(f"{row['items']:,} {row['class']} {row['title'].lower()} ({row['currency']})" for row in rows)
            console.print(f"[bold]{title}[/bold]: {escape(told)}", highlight=False)
