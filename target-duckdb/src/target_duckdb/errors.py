"""The errors that stop a load, each with a message for the user and an exit code for the scheduler."""

from __future__ import annotations

from singer_sdk.exceptions import MissingKeyPropertiesError, RecordsWithoutSchemaException


class LoadError(Exception):
    """The load stopped; the database is unchanged."""

    exit_code = 1


class InputError(LoadError):
    """The tap's output violates the Singer specification or the tap's own schema."""


class NoSchemaError(InputError, RecordsWithoutSchemaException):
    """A record came before its stream's SCHEMA. It is also the Singer SDK's error for that."""


class MissingKeyError(InputError, MissingKeyPropertiesError):
    """A record has no value for a key property. It is also the Singer SDK's error for that."""


class ConfigurationError(LoadError):
    """A setting is wrong; another run with the same settings fails the same way."""

    exit_code = 78


class DatabaseBusyError(LoadError):
    """Another process has the database file open; run again later."""

    exit_code = 75


class StorageError(LoadError):
    """The file system refused the load: no permission to write, or no space."""

    exit_code = 78

    def __init__(self, error: Exception) -> None:
        super().__init__(
            f"The load could not be written: {str(error).splitlines()[0]}. The database is unchanged. "
            "Check permissions and free space of its folder and of the folder for temporary files."
        )


class MemoryLimitError(LoadError):
    """The load needs more memory than DuckDB may use."""

    exit_code = 78

    def __init__(self) -> None:
        super().__init__(
            "The load needs more memory than the setting memory_limit allows. The database is unchanged. "
            "Raise memory_limit, or lower batch_size_mebibytes."
        )
