"""`books report`: publish the warehouse, write the drift report, print its summary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import click

from books import paths
from books.cli import Context
from books.cli.meltano import Configuration
from books.cli.session import kept_run, published_of, store_of
from books.faults import Halt


@click.command("report")
@click.option("--show", "only_show", is_flag=True, help="Print the newest published report; publish and write nothing.")
@click.option("--time-zone", default="Europe/London", show_default=True, help="The zone that people read dates in.")
@click.pass_obj
def command(context: Context, *, only_show: bool, time_zone: str) -> None:
    """Publish the built warehouse whole, write the report beside it, and print its summary."""
    configuration = Configuration(context.environment)
    build = paths.resolve(configuration.plugin("target-duckdb")["path"])
    published = published_of(configuration)
    reports = build.with_name("reports")
    if only_show:
        _show(published, reports, configuration.environment, time_zone)
    else:
        with _kept(configuration):
            _publish(build, published, reports, configuration.environment, time_zone)


@contextmanager
def _kept(configuration: Configuration) -> Iterator[None]:
    """Keep how it ended, as the last step of `reconcile`. A report needs no store, and is made without one too."""
    with ExitStack() as held:
        with suppress(Halt):
            store = held.enter_context(closing(store_of(configuration)))
            held.enter_context(kept_run(configuration, store, "books:report"))
        yield


def _publish(build: Path, published: Path, reports: Path, environment: str, time_zone: str) -> None:
    from books.publish import publish
    from books.report import read, show, write

    publish(build, published)
    report = read(published, environment=environment, time_zone=time_zone)
    show(report, paths=write(report, reports))


def _show(published: Path, reports: Path, environment: str, time_zone: str) -> None:
    from books.report import paths_of, print_summary

    print_summary(
        published, environment=environment, time_zone=time_zone, paths=paths_of(published, reports, time_zone=time_zone)
    )
