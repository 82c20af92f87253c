"""`books report`: publish the warehouse, write the drift report, print its summary."""

from __future__ import annotations

import getpass

import click

from books.cli import Context
from books.operations.configuration import Configuration
from books.operations.reporting import Warehouse, recorded_report

ACCEPT_FALL = "Accept, once, that documents have vanished as the published report says; build again, then report."


@click.command("report")
@click.option("--show", "only_show", is_flag=True, help="Print the newest published report; publish and write nothing.")
@click.option("--accept-fall", is_flag=True, help=ACCEPT_FALL)
@click.option("--by", help="Who accepts the fall. Default: the login name.")
@click.option("--time-zone", default="Europe/London", show_default=True, help="The time zone of the report's dates.")
@click.pass_obj
def command(context: Context, *, only_show: bool, accept_fall: bool, by: str | None, time_zone: str) -> None:
    """Publish the built warehouse, write the report beside it, and print its summary."""
    from books.report import show

    if only_show and accept_fall:
        raise click.UsageError("--show writes nothing, so it accepts nothing: leave out --show or --accept-fall")
    configuration = Configuration(context.environment)
    warehouse = Warehouse.of(configuration)
    if only_show:
        report, files = warehouse.newest(time_zone)
        show(report, paths=files)
        return
    with recorded_report(configuration):
        if accept_fall:
            name = by or _login()
            for fall in warehouse.accept_fall(name):
                click.echo(f"Accepted by {name}: {fall}")
            warehouse.rebuild()
        report, files = warehouse.publish(time_zone)
        show(report, paths=files)


def _login() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container without users
        raise click.UsageError("say who accepts the fall: --by NAME") from None
