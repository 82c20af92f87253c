"""What the commands share: the company and the store that Meltano's settings name, and how answers are printed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from books import money
from books.cli import Context
from books.cli.meltano import Configuration
from books.settings import QuickBooksSettings
from books.store import Store

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts instead of a table.")


@dataclass(frozen=True)
class Session:
    """One environment's configuration, its company and its open store."""

    configuration: Configuration
    settings: QuickBooksSettings
    store: Store

    @classmethod
    def open(cls, context: Context) -> Session:
        """Read Meltano's settings of target-quickbooks and open the store they name.

        Raises:
            Halt: MISCONFIGURED; a setting is missing or wrong, or the store cannot be opened.
        """
        configuration = Configuration(context.environment)
        settings = QuickBooksSettings.from_config(configuration.plugin("target-quickbooks"))
        return cls(configuration, settings, Store.open(settings.store_url))

    @property
    def connection(self) -> str:
        """The company's key in the store."""
        return self.settings.connection


def plain(value: Any) -> Any:
    """A value as JSON can carry it: moments and dates as ISO 8601, money as exact numbers."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def print_json(value: Any) -> None:
    """Print one JSON document."""
    click.echo(money.dumps(plain(value)))


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Collection[str] = ()
) -> None:
    """Print a table; wide texts wrap, nothing is cut. Columns named in `right` hold amounts."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column in right else "left")
    for row in rows:
        table.add_row(*(Text(show(each)) for each in row))
    Console().print(table)


def show(value: Any) -> str:
    """A value for people: nothing for None, moments to the second in UTC."""
    if value is None:
        return ""
    if hasattr(value, "to_datetime_string"):
        return f"{value.to_datetime_string()}Z"
    return str(value)
