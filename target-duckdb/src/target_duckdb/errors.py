"""What stops a load, in words a user can act on, with the exit code a scheduler sees."""

from __future__ import annotations

from singer_sdk.exceptions import MissingKeyPropertiesError, RecordsWithoutSchemaException


class LoadError(Exception):
    """The load stopped; the database is as it was before."""

    exit_code = 1


class InputError(LoadError):
    """The tap's output is not what Singer, or the tap's own schema, promises."""


class NoSchemaError(InputError, RecordsWithoutSchemaException):
    """A record came before its stream's SCHEMA. The Singer SDK knows it by its own name too."""


class MissingKeyError(InputError, MissingKeyPropertiesError):
    """A record has no value for a key property. The Singer SDK knows it by its own name too."""


class ConfigurationError(LoadError):
    """A setting is wrong; another run with the same settings fails the same way."""

    exit_code = 78


class DatabaseBusyError(LoadError):
    """Another process holds the database file; run again later."""

    exit_code = 75


class StorageError(LoadError):
    """The file system refused the load: no right to write, or no space."""

    exit_code = 78

    def __init__(self, error: Exception) -> None:
        super().__init__(
            f"The load could not be written: {str(error).splitlines()[0]}. The database is as it was before. "
            "Check the rights of its folder and the free space, there and in the folder for temporary files."
        )


class MemoryLimitError(LoadError):
    """DuckDB may not use as much memory as the rows take."""

    exit_code = 78

    def __init__(self) -> None:
        super().__init__(
            "The load needs more memory than the setting memory_limit allows; the database is as it was before. "
            "Raise memory_limit, or lower batch_size_mebibytes."
        )
