"""Our commands as real processes that need no second to start: one process imports them, and forks for each.

For tests of what a command does; how Meltano or a shell starts it is tested with the real one. Run as a script, this is
that process: each line of its input is an order {"words", "folder", "environment", "input", "output", "error"}, and the
answer is the wait status of the child. Besides the commands there is `settings PLUGIN...`.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

IMPORTED_LATE = (
    "alembic.command",
    "books.transport.authorised",
    "books.transport.governed",
    "meltano.core.logging",
    "meltano.core.meltano_file",
    "meltano.core.plugin.settings_service",
    "meltano.core.plugin.singer",
    "meltano.core.plugin.utility",
    "meltano.core.schedule",
    "meltano.core.task_sets_service",
)
"""Modules that commands import when they need them, and each would import again."""

COMMANDS = ("books", "tap-opsmerge", "tap-quickbooks-payments", "target-duckdb", "target-opsmerge", "target-quickbooks")


class Forks:
    """The process that forks, and a folder for what its children read and print."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, words: Sequence[str], folder: Path, environment: Mapping[str, str], given: str = "") -> Any:
        """Run a command to its end, as `subprocess.run` does."""
        paths = {name: os.path.join(self._folder.name, name) for name in ("input", "output", "error")}  # noqa: PTH118
        Path(paths["input"]).write_text(given)
        order = {"words": list(words), "folder": str(folder), "environment": dict(environment), **paths}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        code = os.waitstatus_to_exitcode(int(self._process.stdout.readline()))
        out, err = (Path(paths[name]).read_text() for name in ("output", "error"))
        return subprocess.CompletedProcess(words, code, out, err)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()


@cache
def forks() -> Forks:
    """The one of this test process, started when it is first asked for."""
    started = Forks()
    atexit.register(started.close)
    return started


def _entry_points() -> dict[str, EntryPoint]:
    return {each.name: each for each in entry_points(group="console_scripts") if each.name in COMMANDS}


def _import_all(commands: Mapping[str, EntryPoint]) -> None:
    """Import what the commands import late; nothing of it may read the environment."""
    from books.cli import LazyGroup

    ours = [each.value.partition(":")[0] for each in commands.values()]
    for name in (*ours, *LazyGroup.modules.values(), *IMPORTED_LATE):
        __import__(name)


def _next_order() -> dict[str, Any] | None:
    """Fork for each order and answer; what is returned is the order in its child, and nothing at the end."""
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            return json.loads(line)
        _, status = os.waitpid(pid, 0)
        os.write(1, f"{status}\n".encode())
    return None


def _become(order: dict[str, Any]) -> None:
    """Take the order's folder, environment, words and files."""
    for number, name, flags in ((0, "input", os.O_RDONLY), (1, "output", os.O_WRONLY), (2, "error", os.O_WRONLY)):
        os.dup2(os.open(order[name], flags | (os.O_CREAT | os.O_TRUNC if number else 0), 0o600), number)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    sys.argv = order["words"]


def _print_settings() -> None:
    """Print what Meltano would give each of these plugins, as JSON."""
    from books.operations.configuration import Configuration

    configuration = Configuration()
    active = configuration._project.environment
    found = {}
    for name in sys.argv[1:]:
        plugin = configuration._project.plugins.find_plugin(name)
        found[name] = {
            "name": name,
            "variables": {"MELTANO_ENVIRONMENT": active.name, **active.env},
            "executable": Path(plugin.executable).name,
            "catalog": plugin.extras.get("catalog"),
            "settings": configuration.plugin(name),
        }
    sys.stdout.write(json.dumps(found))


def _run(words: Sequence[str]) -> int:
    """Run a command as its console script does; the exit code that the interpreter would end with."""
    try:
        sys.exit(_print_settings() if words[0] == "settings" else commands[words[0]].load()())
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            sys.stderr.write(f"{end.code}\n")
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:  # noqa: BLE001 -- the last handler of a process
        sys.excepthook(*sys.exc_info())
        return 1


if __name__ == "__main__":
    commands = _entry_points()
    _import_all(commands)
    gc.freeze()
    gc.disable()  # a command ends before it would pay
    if order := _next_order():
        _become(order)
        code = _run(order["words"])
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # to take every imported module apart would take longer than most commands
