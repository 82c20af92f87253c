"""Where the project lies: every path in a setting is relative to it, whatever folder a plugin was started in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from books.core.faults import Exit, Halt

PROJECT_FILE = "meltano.yml"
ROOT_VARIABLE = "MELTANO_PROJECT_ROOT"


def project_root() -> Path:
    """The project's folder: MELTANO_PROJECT_ROOT, else the nearest parent with a `meltano.yml`, else where we are.

    Meltano leaves the variable empty in some places; empty counts as not set.
    """
    named = os.environ.get(ROOT_VARIABLE, "").strip()
    return Path(named).resolve() if named else _nearest_project(Path.cwd())


def _nearest_project(start: Path) -> Path:
    """The first of `start` and its parents that holds a project file; `start` where none does."""
    return next((folder for folder in (start, *start.parents) if (folder / PROJECT_FILE).is_file()), start)


def environment_file(environment: str) -> Path | None:
    """The file of variables that belong to one environment alone, `.env.<environment>`; None where there is none."""
    path = project_root() / f".env.{environment}"
    return path if path.is_file() else None


def resolve(path: str | os.PathLike[str]) -> Path:
    """An absolute path: `~` expanded, relative ones taken from `project_root()`."""
    return (project_root() / Path(path).expanduser()).absolute()


ENVIRONMENTS_OWN = ("QUICKBOOKS_", "XERO_", "OPSMERGE_", "BOOKS_STORE_URL", "BOOKS_TOKEN_KEY")
"""Variables that say which company, which OpsMerge and which store: an environment's file alone says them."""


def check_environment_file(environment: str, environ: Mapping[str, str], *, is_loaded: bool) -> None:
    """Refuse to work with another environment's company, OpsMerge or store than `.env.<environment>` names.

    `is_loaded` says that the process was started with that file: then a variable that is missing is wrong too.

    Raises:
        Halt: MISCONFIGURED, naming the variables and never their values.
    """
    from dotenv import dotenv_values

    path = environment_file(environment) if environment else None
    if path is None:
        return
    named = {name: value for name, value in dotenv_values(path).items() if name.startswith(ENVIRONMENTS_OWN) and value}
    wrong = sorted(name for name, value in named.items() if environ.get(name, None if is_loaded else value) != value)
    if wrong:
        raise Halt(
            f"{path.name} sets {', '.join(wrong)}, and this process has other values: it was started without that "
            "file, or the shell sets them",
            exit_code=Exit.MISCONFIGURED,
            code="other_environment",
            remedy=f"run `meltano --env-file {path.name} --environment={environment} ...`, or unset the variables",
        )
