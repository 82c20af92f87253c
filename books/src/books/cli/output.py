"""Print for all commands: everything except Rich's own colours and frames goes through here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import click

from books.core import money
from books.core.printable import printable, printable_json

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts instead of a table.")


def say(*lines: str, err: bool = False) -> None:
    """Print lines, to standard error where `err` is set. A line break inside a line is printed as a space."""
    click.echo("\n".join(map(printable, lines)), err=err)


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: times and dates as ISO 8601, money as exact numbers."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def print_json(value: Any) -> None:
    """Print one JSON document, with hidden characters as escapes."""
    click.echo(printable_json(money.dumps(plain(value))))


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Collection[str] = ()
) -> None:
    """Print a table; wide texts wrap, nothing is cut. Columns named in `right` hold amounts."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(printable(title), "table.title"), title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column in right else "left")
    for row in rows:
        table.add_row(*(Text(show(each)) for each in row))
    Console().print(table)


def show(value: Any) -> str:
    """Return a value for people: empty for None, times to the second in UTC, no hidden characters."""
    if value is None:
        return ""
    if hasattr(value, "to_datetime_string"):
        return f"{value.to_datetime_string()}Z"
    return printable(str(value))
