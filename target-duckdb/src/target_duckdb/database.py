"""Open the DuckDB file: once, by one writer, with bounded memory."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from target_duckdb.errors import ConfigurationError, DatabaseBusyError

_POLL_SECONDS = 0.25
_MEMORY = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})? ?([KMGT]i?)?B", re.IGNORECASE)


@dataclass(frozen=True)
class Database:
    """Where the database is and how much of the machine it may use."""

    path: Path
    memory_limit: str = "512MB"
    lock_wait_seconds: float = 60

    def connect(
        self, sleep: Callable[[float], None] = time.sleep, monotonic: Callable[[], float] = time.monotonic
    ) -> duckdb.DuckDBPyConnection:
        """Open the file, waiting while another process has it open; create it and its folder if missing.

        Raises:
            DatabaseBusyError: another process still has the file open after `lock_wait_seconds`.
            ConfigurationError: the file is not a DuckDB database, or a setting is not valid.
        """
        if not _MEMORY.fullmatch(self.memory_limit):  # SET takes no bound values, so only a size may get there
            raise ConfigurationError(f"Setting memory_limit must be a size such as 512MB, not {self.memory_limit!r}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"The folder of {self.path} cannot be created: {error.strerror}") from error
        deadline = monotonic() + self.lock_wait_seconds
        while True:
            try:
                return self._open()
            except duckdb.IOException as error:
                if "set lock" not in str(error):  # not "block", which errors of damaged files mention
                    raise _unusable(self.path, error) from error
                if monotonic() >= deadline:
                    raise DatabaseBusyError(f"{self.path} is in use by another process: {error}") from error
            except duckdb.Error as error:
                raise _unusable(self.path, error) from error
            sleep(_POLL_SECONDS)

    def _open(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(str(self.path))
        try:
            connection.execute("SET TimeZone = 'UTC'")  # a time without an offset is UTC, whatever the machine's zone
            connection.execute("SET preserve_insertion_order = false")  # we sort where it matters; saves memory
            connection.execute(f"SET memory_limit = '{self.memory_limit}'")
        except duckdb.Error as error:
            connection.close()
            raise ConfigurationError(f"Setting memory_limit={self.memory_limit!r} is not valid: {error}") from error
        return connection


def _unusable(path: Path, error: duckdb.Error) -> ConfigurationError:
    return ConfigurationError(
        f"{path} cannot be opened: {str(error).splitlines()[0]} "
        "If it is damaged, move it away and load again: a complete read fills a new file."
    )


def resolve(path: str) -> Path:
    """Return a path from the settings; a relative one starts at the project's folder."""
    return project_root() / Path(path).expanduser()


def project_root() -> Path:
    """Return MELTANO_PROJECT_ROOT, else the nearest parent folder with a `meltano.yml`, else the working folder."""
    if root := os.environ.get("MELTANO_PROJECT_ROOT"):
        return Path(root)
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "meltano.yml").is_file()), here)
