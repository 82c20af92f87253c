"""Find the project's folder: every path in a setting is relative to it, wherever a plugin is started."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from books.core.faults import Exit, Halt

PROJECT_FILE = "meltano.yml"
ROOT_VARIABLE = "MELTANO_PROJECT_ROOT"


def project_root() -> Path:
    """Return MELTANO_PROJECT_ROOT, else the nearest parent with a `meltano.yml`, else the working folder.

    Meltano leaves the variable empty in some places; empty counts as not set.
    """
    named = os.environ.get(ROOT_VARIABLE, "").strip()
    return Path(named).resolve() if named else _nearest_project(Path.cwd())


def _nearest_project(start: Path) -> Path:
    """Return the first of `start` and its parents that has a project file; `start` if none has."""
    return next((folder for folder in (start, *start.parents) if (folder / PROJECT_FILE).is_file()), start)


def environment_file(environment: str) -> Path | None:
    """Return the environment's own file of variables, `.env.<environment>`; None if there is none."""
    path = project_root() / f".env.{environment}"
    return path if path.is_file() else None


def resolve(path: str | os.PathLike[str]) -> Path:
    """Return an absolute path: `~` is expanded, relative paths start at `project_root()`."""
    return (project_root() / Path(path).expanduser()).absolute()


ENVIRONMENT_VARIABLES = ("QUICKBOOKS_", "XERO_", "OPSMERGE_", "BOOKS_STORE_URL", "BOOKS_TOKEN_KEY")
"""Prefixes of the variables that choose company, OpsMerge and store. Only the environment's file may set them."""


def check_environment_file(environment: str, environ: Mapping[str, str], *, is_loaded: bool) -> None:
    """Refuse to work with a company, OpsMerge or store other than those in `.env.<environment>`.

    `is_loaded`: the process was started with that file, so a missing variable is wrong too.

    Raises:
        Halt: MISCONFIGURED, naming the variables and never their values.
    """
    from dotenv import dotenv_values

    path = environment_file(environment) if environment else None
    if path is None:
        return
    named = {
        name: value for name, value in dotenv_values(path).items() if name.startswith(ENVIRONMENT_VARIABLES) and value
    }
    wrong = sorted(name for name, value in named.items() if environ.get(name, None if is_loaded else value) != value)
    if wrong:
        raise Halt(
            f"{path.name} sets {', '.join(wrong)}, but this process has other values: it was started without that "
            "file, or the shell sets them",
            exit_code=Exit.MISCONFIGURED,
            code="other_environment",
            remedy=f"run `meltano --env-file {path.name} --environment={environment} ...`, or unset the variables",
        )
