"""Publish the warehouse, write its report, and accept once that documents have vanished."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from books.core import paths
from books.core.clock import SystemClock
from books.core.faults import Exit, Halt
from books.operations.configuration import Configuration, meltano_command
from books.operations.session import published_of, recorded_run, store_of

if TYPE_CHECKING:
    from books.report import Paths, Report


@dataclass(frozen=True)
class Warehouse:
    """Where one environment's warehouse is built and published, and where its reports are."""

    configuration: Configuration
    build: Path
    published: Path

    @classmethod
    def of(cls, configuration: Configuration) -> Warehouse:
        """Return the warehouse that the settings of target-duckdb name."""
        return cls(
            configuration,
            paths.resolve(configuration.plugin("target-duckdb")["path"]),
            published_of(configuration),
        )

    @property
    def reports(self) -> Path:
        """Return the folder of the reports."""
        return self.build.with_name("reports")

    def publish(self, time_zone: str) -> tuple[Report, Paths]:
        """Publish what was built, write its report, and return the report and its files."""
        from books.report import read, write
        from books.report.publish import publish

        publish(self.build, self.published)
        report = read(self.published, environment=self.configuration.environment, time_zone=time_zone)
        return report, write(report, self.reports)

    def newest(self, time_zone: str) -> tuple[Report, Paths]:
        """Return the published report and where its files are; publish and write nothing."""
        from books.report import paths_of, read

        report = read(self.published, environment=self.configuration.environment, time_zone=time_zone)
        return report, paths_of(self.published, self.reports, time_zone=time_zone)

    def accept_fall(self, by: str) -> list[str]:
        """Accept that documents have vanished, as the published report says; return each fall as a sentence."""
        from books.report import falls

        found = falls.read(self.published)
        falls.accept(self.build, found, by=by, at=SystemClock().now())
        return [falls.in_words(each) for each in found]

    def rebuild(self) -> None:
        """Build the models again on the same rows: a trusted run, if no other check fails.

        Raises:
            Halt: FAILED; the build failed.
        """
        call = meltano_command(self.configuration, "dbt-duckdb:build")
        if subprocess.run(call, cwd=self.configuration.root, check=False).returncode:  # noqa: S603 -- our own command
            raise Halt(
                "the fall is accepted, but the reconciliation could not be built again",
                exit_code=Exit.FAILED,
                code="build_failed",
                remedy=f"fix what dbt reports above, then run `meltano {' '.join(call[1:])} books:report`",
            )


@contextmanager
def recorded_report(configuration: Configuration) -> Iterator[None]:
    """Record how the report ended, as the last step of `reconcile`; without a usable store it is made all the same."""
    with ExitStack() as held:
        with suppress(Halt):
            store = held.enter_context(closing(store_of(configuration)))
            held.enter_context(recorded_run(configuration, store, "books:report"))
        yield
