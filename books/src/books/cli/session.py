"""What the commands share: the company and the store that Meltano's settings name, and how answers are printed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from sqlalchemy.exc import SQLAlchemyError

from books import money, paths, redact, runs
from books.cli import Context
from books.cli.meltano import Configuration
from books.cli.output import say
from books.clock import SystemClock
from books.faults import Exit, Halt
from books.printable import printable, printable_json
from books.runs import Run
from books.settings import QuickBooksSettings, WatchSettings
from books.store import Store

if TYPE_CHECKING:
    from books.watch.facts import Sources

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
        return cls._of(Configuration(context.environment))

    @classmethod
    def _of(cls, configuration: Configuration) -> Session:
        settings = QuickBooksSettings.from_config(configuration.plugin("target-quickbooks"))
        return cls(configuration, settings, Store.open(settings.store_url))

    @classmethod
    @contextmanager
    def opened(cls, configuration: Configuration) -> Iterator[Session]:
        """The same for a configuration that is read already; the store is closed at the end."""
        session = cls._of(configuration)
        with closing(session.store):
            yield session

    def sources(self) -> Sources:
        """What `status` and the alerts look at.

        Raises:
            Halt: MISCONFIGURED; a setting of the utility plugin `books` is wrong.
        """
        from books.watch.facts import Sources

        return Sources(
            environment=self.configuration.environment,
            settings=self.settings,
            store=self.store,
            published=published_of(self.configuration),
            jobs=self.configuration.jobs(),
            watch=WatchSettings.from_config(self.configuration.plugin("books")),
        )

    @property
    def connection(self) -> str:
        """The company's key in the store."""
        return self.settings.connection


def published_of(configuration: Configuration) -> Path:
    """The warehouse that readers open."""
    return paths.resolve(configuration.plugin("target-duckdb")["path"]).with_name("books.duckdb")


def store_of(configuration: Configuration) -> Store:
    """The store that the settings name, whatever else is wrong with them.

    Raises:
        Halt: it cannot be opened.
    """
    return Store.open(configuration.plugin("target-quickbooks").get("store_url", "sqlite:///.books/books.db"))


@contextmanager
def kept_run(configuration: Configuration, store: Store, step: str) -> Iterator[list[int]]:
    """Keep how a command ended that is a step of a job. It puts its exit codes into the list; none is 0."""
    started_at = SystemClock().now()
    codes: list[int] = []
    words = ""
    try:
        yield codes
    except Exception as error:
        codes.append(int(error.exit_code if isinstance(error, Halt) else Exit.FAILED))
        words = f"{error.message}. {error.remedy}" if isinstance(error, Halt) else f"a bug: {type(error).__name__}"
        raise
    finally:
        company, ended_at = _company(configuration), SystemClock().now()
        _keep(store, Run(company, step, started_at, ended_at, runs.worst(codes), redact.mask(words), step))


def _company(configuration: Configuration) -> str:
    settings = configuration.plugin("target-quickbooks")
    realm = settings.get("realm_id")
    return f"{settings.get('environment', 'sandbox')}:{realm}" if realm else ""


def _keep(store: Store, run: Run) -> None:
    """A store that cannot be written is told and changes nothing: the run is over."""
    try:
        runs.record(store, run)
    except (Halt, SQLAlchemyError) as error:
        say(f"how this run ended could not be kept: {redact.mask(str(error))}", err=True)


def plain(value: Any) -> Any:
    """A value as JSON can carry it: moments and dates as ISO 8601, money as exact numbers."""
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
    """Return a value for people: nothing for None, moments to the second in UTC, no hidden characters."""
    if value is None:
        return ""
    if hasattr(value, "to_datetime_string"):
        return f"{value.to_datetime_string()}Z"
    return printable(str(value))
