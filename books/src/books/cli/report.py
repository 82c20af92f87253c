"""`books report`: publish the warehouse, write the drift report, print its summary."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import click

from books.cli import Context
from books.core import paths
from books.core.clock import SystemClock
from books.core.faults import Exit, Halt
from books.operations.configuration import Configuration, meltano_command
from books.operations.session import kept_run, published_of, store_of

ACCEPT_FALL = "Accept, once, that documents have vanished as the published report says; build again, then report."


@click.command("report")
@click.option("--show", "only_show", is_flag=True, help="Print the newest published report; publish and write nothing.")
@click.option("--accept-fall", is_flag=True, help=ACCEPT_FALL)
@click.option("--by", help="Who accepts the fall. Default: the login name.")
@click.option("--time-zone", default="Europe/London", show_default=True, help="The zone that people read dates in.")
@click.pass_obj
def command(context: Context, *, only_show: bool, accept_fall: bool, by: str | None, time_zone: str) -> None:
    """Publish the built warehouse whole, write the report beside it, and print its summary."""
    if only_show and accept_fall:
        raise click.UsageError("--show writes nothing, so it accepts nothing: leave out --show or --accept-fall")
    configuration = Configuration(context.environment)
    build = paths.resolve(configuration.plugin("target-duckdb")["path"])
    published = published_of(configuration)
    reports = build.with_name("reports")
    if only_show:
        _show(published, reports, configuration.environment, time_zone)
    else:
        with _kept(configuration):
            if accept_fall:
                _accept_fall(configuration, build, published, by or _login())
            _publish(build, published, reports, configuration.environment, time_zone)


@contextmanager
def _kept(configuration: Configuration) -> Iterator[None]:
    """Keep how it ended, as the last step of `reconcile`. A report needs no store, and is made without one too."""
    with ExitStack() as held:
        with suppress(Halt):
            store = held.enter_context(closing(store_of(configuration)))
            held.enter_context(kept_run(configuration, store, "books:report"))
        yield


def _login() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container without users
        raise click.UsageError("say who accepts the fall: --by NAME") from None


def _accept_fall(configuration: Configuration, build: Path, published: Path, by: str) -> None:
    """Say what is accepted, write it down, and build again on the same rows: a trusted run, if no other gate fails."""
    from books.report import falls

    found = falls.read(published)
    falls.accept(build, found, by=by, at=SystemClock().now())
    for each in found:
        click.echo(f"Accepted by {by}: {falls.in_words(each)}")
    call = meltano_command(configuration, "dbt-duckdb:build")
    if subprocess.run(call, cwd=configuration.root, check=False).returncode:  # noqa: S603 -- our own command
        raise Halt(
            "the fall is accepted, but the reconciliation could not be built again",
            exit_code=Exit.FAILED,
            code="build_failed",
            remedy=f"mend what dbt says above, then run `meltano {' '.join(call[1:])} books:report`",
        )


def _publish(build: Path, published: Path, reports: Path, environment: str, time_zone: str) -> None:
    from books.report import read, show, write
    from books.report.publish import publish

    publish(build, published)
    report = read(published, environment=environment, time_zone=time_zone)
    show(report, paths=write(report, reports))


def _show(published: Path, reports: Path, environment: str, time_zone: str) -> None:
    from books.report import paths_of, print_summary

    print_summary(
        published, environment=environment, time_zone=time_zone, paths=paths_of(published, reports, time_zone=time_zone)
    )
