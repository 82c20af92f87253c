"""Read Meltano's own configuration, so that settings stand in one place only."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from books.core.faults import Exit, Halt
from books.core.paths import check_environment_file, environment_file, project_root
from books.ledgers import registry

if TYPE_CHECKING:
    from meltano.core.plugin.settings_service import PluginSettingsService
    from meltano.core.project import Project


class Configuration:
    """The plugins' settings as Meltano passes them in one environment."""

    def __init__(self, environment: str | None = None) -> None:
        """Open the project.

        Raises:
            Halt: there is no Meltano project here, or the environment is unknown (exit 78).
        """
        self.root = project_root()
        self._project = _open_project(self.root, environment)
        active = self._project.environment
        if active is None:
            raise Halt(
                "no Meltano environment is active",
                exit_code=Exit.MISCONFIGURED,
                remedy="name one with --environment, or set default_environment in meltano.yml",
            )
        self.environment: str = active.name
        self.file = environment_file(self.environment)
        """The environment's own variables; without it Meltano reads `.env`."""
        if self.file is not None:
            check_environment_file(self.environment, os.environ, is_loaded=False)
            self._project.refresh(dotenv_file=self.file)

    def vendor(self) -> registry.Vendor:
        """Return the vendor of the ledger that this environment posts to: the setting `ledger` of `books`.

        Raises:
            Halt: MISCONFIGURED; there is none of that name.
        """
        return registry.vendor(str(self.plugin("books").get("ledger") or registry.DEFAULT))

    def plugin(self, name: str) -> dict[str, Any]:
        """Return the settings of one plugin that are set.

        Raises:
            Halt: meltano.yml has no such plugin, or a setting has the wrong type (exit 78).
        """
        from meltano.core.plugin.error import PluginNotFoundError
        from meltano.core.plugin.settings_service import PluginSettingsService

        try:
            plugin = self._project.plugins.find_plugin(name)
        except PluginNotFoundError:
            raise Halt(
                f"meltano.yml has no plugin {name}",
                exit_code=Exit.MISCONFIGURED,
                remedy="restore it from the repository's meltano.yml",
            ) from None
        service = PluginSettingsService(self._project, plugin)
        try:
            settings = service.as_dict(redacted=False)
        except ValueError:
            raise _wrong_type(name, service) from None
        return {key: value for key, value in settings.items() if value not in (None, "") and not key.startswith("_")}

    def jobs(self) -> dict[str, list[str]]:
        """Return each job's steps, as a plugin's run names them: `tap-x`, `tap-x target-y`, `books:report`.

        Left out is what records no run in the store: dbt, and a loader without `store_url`.
        """
        from meltano.core.task_sets_service import TaskSetsService

        found = TaskSetsService(self._project).list_task_sets()
        return {job.name: list(self._steps(words_of(job.tasks))) for job in found}

    def _steps(self, words: Iterable[str]) -> Iterator[str]:
        extractor = ""
        for word in words:
            plugin = self._project.plugins.find_plugin(word.partition(":")[0])
            if plugin.type == "extractors":
                extractor = word
                yield word
            elif plugin.type == "loaders" and any(setting.name == "store_url" for setting in plugin.all_settings):
                yield f"{extractor} {word}"
            elif word.startswith("books:"):
                yield word


def _wrong_type(plugin: str, service: PluginSettingsService) -> Halt:
    """Return the fault that names the setting: Meltano names only the value, which may be a secret."""
    names = [setting.name for setting in service.definitions() if not _readable(service, setting.name)]
    return Halt(
        f"setting {' and '.join(names) or 'of unknown name'} of {plugin} has the wrong type",
        exit_code=Exit.MISCONFIGURED,
        code="setting_refused",
        remedy="correct it in meltano.yml, the .env file of the environment or the shell",
    )


def _readable(service: PluginSettingsService, name: str) -> bool:
    try:
        service.get(name)
    except ValueError:
        return False
    return True


def words_of(tasks: Iterable[str | Iterable[str]]) -> Iterator[str]:
    """Yield the words of a job's tasks, each of which is a string or a list of strings."""
    for task in tasks:
        yield from task.split() if isinstance(task, str) else words_of(task)


def meltano_command(configuration: Configuration, *words: str) -> list[str]:
    """Return the command line of `meltano run WORDS`, with this virtual environment's Meltano."""
    meltano = Path(sys.executable).with_name("meltano")
    own = ["--env-file", str(configuration.file)] if configuration.file is not None else []
    return [str(meltano), *own, "--environment", configuration.environment, "run", *words]


def _open_project(root: Path, environment: str | None) -> Project:
    _quieten()
    from meltano.core.environment import NoActiveEnvironment
    from meltano.core.project import Project

    if not (root / "meltano.yml").exists():
        raise Halt(
            f"there is no meltano.yml in {root} or above it",
            exit_code=Exit.MISCONFIGURED,
            remedy="run the command inside the project's folder",
        )
    project: Project = Project.find(str(root))
    try:
        project.activate_environment(environment or str(project.settings.get("default_environment")))
    except NoActiveEnvironment:
        raise
    except Exception as error:
        raise Halt(
            f"meltano.yml has no environment {environment}",
            exit_code=Exit.MISCONFIGURED,
            remedy="use --environment demo, sandbox or production",
        ) from error
    return project


def _quieten() -> None:
    """Keep Meltano's own log lines out of a command's output."""
    import structlog

    os.environ.setdefault("MELTANO_SEND_ANONYMOUS_USAGE_STATS", "false")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
