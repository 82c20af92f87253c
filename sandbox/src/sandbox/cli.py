"""The `sandbox` command: serve the simulators, and let the demo's bookkeeper do a day's work."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

import click
from starlette.types import ASGIApp

from sandbox.server import CannotServeError, check_loopback, claimed, running

GRACE_SECONDS = 1.0
PORT = click.IntRange(0, 65535)
URLS = {"show_default": True, "metavar": "URL"}


@click.group()
def main() -> None:
    """Simulators of QuickBooks Online and of OpsMerge's billing API."""


@main.command()
@click.option("--opsmerge-port", type=PORT, default=8010, show_default=True, help="0: a free one.")
@click.option("--quickbooks-port", type=PORT, default=8020, show_default=True, help="0: a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address; no other is accepted.")
@click.option("--state", type=click.Path(file_okay=False, path_type=Path), help="Folder to keep the state in.")
@click.option("--demo", is_flag=True, help="Begin with the demo's October 2026, unless the state has it already.")
@click.option("--ready-file", type=click.Path(dir_okay=False, path_type=Path), help="Written when both answer.")
def serve(
    opsmerge_port: int, quickbooks_port: int, host: str, state: Path | None, *, demo: bool, ready_file: Path | None
) -> None:
    """Serve both simulators until Ctrl-C or SIGTERM."""
    from sandbox.control import ControlError

    stop = _stop_signal()
    try:
        check_loopback(host)
        with _both(host, opsmerge_port, quickbooks_port, state) as (opsmerge_url, quickbooks_url):
            if demo:
                _furnish(opsmerge_url, quickbooks_url)
            click.echo(_welcome(opsmerge_url, quickbooks_url))
            with _announced(ready_file, opsmerge_url, quickbooks_url):
                stop.wait()
    except (CannotServeError, ControlError, OSError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("stage", type=click.Choice(["first", "second"]))
@click.option("--opsmerge-url", default="http://127.0.0.1:8010", help="The OpsMerge simulator.", **URLS)  # type: ignore[arg-type] # click's own options
@click.option("--quickbooks-url", default="http://127.0.0.1:8020", help="The QuickBooks simulator.", **URLS)  # type: ignore[arg-type] # click's own options
def deeds(stage: str, opsmerge_url: str, quickbooks_url: str) -> None:
    """Do what the demo's bookkeeper does in QuickBooks; each deed once, however often it is asked for.

    first: after invoices were pushed. second: after payments were brought back once.
    """
    from sandbox.control import Control, ControlError
    from sandbox.demo.deeds import do_stage

    try:
        click.echo(do_stage(stage, Control(opsmerge_url), Control(quickbooks_url)))
    except (ControlError, OSError) as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def _both(host: str, opsmerge_port: int, quickbooks_port: int, folder: Path | None) -> Iterator[tuple[str, str]]:
    """Serve both simulators over HTTP; yield their base URLs."""
    from sandbox import opsmerge, quickbooks

    with ExitStack() as stack:
        if folder:
            stack.enter_context(claimed(folder))
        with _readable(folder):
            opsmerge_state = opsmerge.OpsMergeState(folder / "opsmerge" if folder else None)
            stack.enter_context(closing(opsmerge_state))
            quickbooks_state = quickbooks.QuickBooksState(folder / "quickbooks" if folder else None)
            stack.enter_context(closing(quickbooks_state))
        yield (
            stack.enter_context(_served(opsmerge.create_app(opsmerge_state), host, opsmerge_port)),
            stack.enter_context(_served(quickbooks.create_app(quickbooks_state), host, quickbooks_port)),
        )


@contextmanager
def _readable(folder: Path | None) -> Iterator[None]:
    """Turn a state that cannot be read into one sentence with a remedy, instead of a traceback."""
    try:
        yield
    except (sqlite3.Error, ValueError, TypeError, OSError) as error:
        raise CannotServeError(
            f"The state in {folder} cannot be used: {error}. Name another folder with --state, or delete this one."
        ) from error


def _served(app: ASGIApp, host: str, port: int) -> AbstractContextManager[str]:
    return running(app, host=host, port=port, grace_seconds=GRACE_SECONDS)


def _furnish(opsmerge_url: str, quickbooks_url: str) -> None:
    from sandbox.control import Control
    from sandbox.demo.furnish import furnish

    furnish(Control(opsmerge_url), Control(quickbooks_url))


def _stop_signal() -> threading.Event:
    """Return an event that Ctrl-C and SIGTERM set."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


@contextmanager
def _announced(ready_file: Path | None, opsmerge_url: str, quickbooks_url: str) -> Iterator[None]:
    """Write the ready file atomically; delete it at the end."""
    if ready_file is None:
        yield
        return
    ready = {"opsmerge_url": opsmerge_url, "quickbooks_url": quickbooks_url, "pid": os.getpid()}
    ready_file.parent.mkdir(parents=True, exist_ok=True)
    draft = ready_file.with_name(ready_file.name + ".new")
    draft.write_text(json.dumps(ready) + "\n", encoding="utf-8")
    draft.replace(ready_file)
    try:
        yield
    finally:
        ready_file.unlink(missing_ok=True)


def _welcome(opsmerge_url: str, quickbooks_url: str) -> str:
    from sandbox.opsmerge.state import KEY

    return f"""\
OpsMerge           {opsmerge_url}/api/v1
  API key          {KEY}
QuickBooks Online  {quickbooks_url}
  client id        sandbox-client
  client secret    sandbox-secret
  realm id         9341453000000001
  refresh token    RT-sandbox-0001
  token endpoint   {quickbooks_url}/oauth2/v1/tokens/bearer
  consent page     {quickbooks_url}/connect/oauth2
Both have /_control for tests (clock, faults, deeds, request log). Stop with Ctrl-C."""


if __name__ == "__main__":
    sys.exit(main())
