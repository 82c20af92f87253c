"""One environment's configuration, company and open store; and how a command that is a step of a job ended."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from books.core import paths, redact
from books.core.clock import Clock, SystemClock
from books.core.faults import Exit, Halt
from books.ledgers.contract import Ledger
from books.ledgers.registry import Vendor
from books.ledgers.settings import PushSettings
from books.operations import runs
from books.operations.configuration import Configuration
from books.operations.runs import Run
from books.operations.settings import WatchSettings
from books.store import Store
from books.transport.settings import STORE_URL, LedgerSettings

if TYPE_CHECKING:
    from books.operations.alerts.facts import Sources

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Session:
    """One environment's configuration, its company and its open store."""

    configuration: Configuration
    settings: LedgerSettings
    store: Store

    @classmethod
    def open(cls, environment: str | None) -> Session:
        """Read Meltano's settings of the ledger's target and open the store they name.

        Raises:
            Halt: MISCONFIGURED; a setting is missing or wrong, or the store cannot be opened.
        """
        return cls._of(Configuration(environment))

    @classmethod
    def _of(cls, configuration: Configuration) -> Session:
        vendor = configuration.vendor()
        settings = vendor.settings.from_config(configuration.plugin(vendor.target))
        return cls(configuration, settings, Store.open(settings.store_url))

    @classmethod
    @contextmanager
    def opened(cls, configuration: Configuration) -> Iterator[Session]:
        """Open the store for a configuration that was read already, and close it at the end."""
        session = cls._of(configuration)
        with closing(session.store):
            yield session

    def sources(self) -> Sources:
        """Return what `books status` and the alerts read their facts from.

        Raises:
            Halt: MISCONFIGURED; a setting of the utility plugin `books` is wrong.
        """
        from books.operations.alerts.facts import Sources

        return Sources(
            environment=self.configuration.environment,
            vendor=self.vendor,
            settings=self.settings,
            store=self.store,
            published=published_of(self.configuration),
            jobs=self.configuration.jobs(),
            watch=WatchSettings.from_config(self.configuration.plugin("books")),
        )

    def push_settings(self) -> PushSettings:
        """Return the settings of the ledger's target.

        Raises:
            Halt: MISCONFIGURED; the message names the setting and what it should be.
        """
        return self.vendor.push_settings.from_config(self.configuration.plugin(self.vendor.target))

    def open_ledger(self, clock: Clock) -> Ledger:
        """Return the company's books."""
        return self.vendor.open_ledger(self.settings, self.store, clock)

    @property
    def vendor(self) -> Vendor:
        """Return the vendor of the company's ledger."""
        return self.configuration.vendor()

    @property
    def connection(self) -> str:
        """Return the company's key in the store."""
        return self.settings.connection


def published_of(configuration: Configuration) -> Path:
    """Return the path of the published warehouse."""
    return paths.resolve(configuration.plugin("target-duckdb")["path"]).with_name("books.duckdb")


def store_of(configuration: Configuration) -> Store:
    """Open the store that the settings name, even where other settings are wrong.

    Raises:
        Halt: the store cannot be opened.
    """
    return Store.open(configuration.plugin(configuration.vendor().target).get("store_url", STORE_URL))


@contextmanager
def recorded_run(configuration: Configuration, store: Store, step: str) -> Iterator[list[int]]:
    """Record how a command ended that is a step of a job. It appends its exit codes to the list; an empty list is 0."""
    started_at = SystemClock().now()
    codes: list[int] = []
    message = ""
    try:
        yield codes
    except Exception as error:
        codes.append(int(error.exit_code if isinstance(error, Halt) else Exit.FAILED))
        message = f"{error.message}. {error.remedy}" if isinstance(error, Halt) else f"a bug: {type(error).__name__}"
        raise
    finally:
        vendor, ended_at = configuration.vendor(), SystemClock().now()
        connection = vendor.connection_of(configuration.plugin(vendor.target))
        run = Run(connection, step, started_at, ended_at, runs.worst(codes), redact.mask(message), step)
        try:
            runs.record(store, run)
        except (Halt, SQLAlchemyError) as error:  # the command is over: its exit code stays
            logger.warning("how this run ended could not be recorded in the state store: %s", redact.mask(str(error)))
