"""How commands speak: everything that they print, but for Rich's own colours and frames, goes through here."""

from __future__ import annotations

import click

from books.printable import printable


def say(*lines: str, err: bool = False) -> None:
    """Print lines, to standard error where `err` is set. A line break inside a line is printed as a space."""
    click.echo("\n".join(map(printable, lines)), err=err)
