"""`books report`: publish the warehouse, write the drift report, print its summary."""

from __future__ import annotations

from pathlib import Path

import click

from books import paths
from books.cli import Context
from books.cli.meltano import Configuration


@click.command("report")
@click.option("--show", "only_show", is_flag=True, help="Print the newest published report; publish and write nothing.")
@click.option("--time-zone", default="Europe/London", show_default=True, help="The zone that people read dates in.")
@click.pass_obj
def command(context: Context, *, only_show: bool, time_zone: str) -> None:
    """Publish the built warehouse whole, write the report beside it, and print its summary."""
    configuration = Configuration(context.environment)
    build = paths.resolve(configuration.plugin("target-duckdb")["path"])
    published = build.with_name("books.duckdb")
    reports = build.with_name("reports")
    if only_show:
        _show(published, reports, configuration.environment, time_zone)
    else:
        _publish(build, published, reports, configuration.environment, time_zone)


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
