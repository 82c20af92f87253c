"""Where the project lies: every path in a setting is relative to it, whatever folder a plugin was started in."""

from __future__ import annotations

import os
from pathlib import Path

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


def resolve(path: str | os.PathLike[str]) -> Path:
    """An absolute path: `~` expanded, relative ones taken from `project_root()`."""
    return (project_root() / Path(path).expanduser()).absolute()
