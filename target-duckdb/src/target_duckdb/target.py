"""The Singer plugin: settings, command line, exit codes and signals around the loader."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, NoReturn

import click
import duckdb
from singer_sdk import Target
from singer_sdk import typing as th
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers.capabilities import CapabilitiesEnum, PluginCapabilities

from target_duckdb.database import Database, resolve
from target_duckdb.errors import ConfigurationError, InputError, LoadError, MemoryLimitError, StorageError
from target_duckdb.loader import Loader, Options
from target_duckdb.messages import ActivateVersion, Batch, RawReader, Record, Schema, State
from target_duckdb.staging import Tombstones

MEBIBYTE = 1024 * 1024

NOT_HONOURED = (
    "add_record_metadata",
    "batch_config",
    "emit_activate_version_messages",
    "faker_config",
    "flattening_enabled",
    "flattening_max_depth",
    "flattening_max_key_length",
    "flattening_separator",
    "load_method",
    "process_activate_version_messages",
    "stream_map_config",
    "stream_maps",
    "validate_records",
)
"""Settings of other Singer targets. Ignoring them silently would load something other than what was asked for."""

KILLED_BY_SIGNAL = 128  # the shells' convention: 128 plus the signal's number


class StdinReader(RawReader):
    """Reads the tap's bytes from standard input."""

    def __init__(self) -> None:
        super().__init__(sys.stdin.buffer)


class TargetDuckDB(Target):
    """Loads Singer streams into DuckDB: exact money, upsert by key, no row lost, all of a run or nothing."""

    name = "target-duckdb"
    capabilities: ClassVar[list[CapabilitiesEnum]] = [PluginCapabilities.ABOUT, PluginCapabilities.STRUCTURED_LOGGING]
    message_reader_class = StdinReader  # type: ignore[assignment] # reads bytes and returns typed messages
    config_jsonschema = th.PropertiesList(
        th.Property("path", th.StringType, required=True, description="The DuckDB file; created with its folder."),
        th.Property("schema", th.StringType, default="main", description="The schema that the tables go to."),
        th.Property(
            "hard_delete",
            th.BooleanType,
            default=False,
            description="After a complete read, remove the rows that are gone instead of setting `_sdc_deleted_at`.",
        ),
        th.Property(
            "deleted_column",
            th.StringType,
            default="status",
            description="A record with `deleted_value` in this property announces a deletion: what it leaves empty "
            "keeps its earlier value.",
        ),
        th.Property("deleted_value", th.StringType, default="deleted", description="See `deleted_column`."),
        th.Property(
            "checkpoint_rows",
            th.IntegerType(minimum=0),
            default=0,
            description="Commit, and hand on the STATE, at the first STATE after so many rows. 0: only at the end, "
            "so that a run is loaded whole or not at all.",
        ),
        th.Property(
            "batch_size_rows",
            th.IntegerType(minimum=1),
            default=50_000,
            description="Rows of a stream merged at once.",
        ),
        th.Property(
            "batch_size_mebibytes",
            th.IntegerType(minimum=1),
            default=64,
            description="The same bound by size.",
        ),
        th.Property("memory_limit", th.StringType, default="512MB", description="DuckDB's memory; more goes to disk."),
        th.Property(
            "lock_wait_seconds",
            th.NumberType(minimum=0),
            default=60,
            description="How long to wait while another process has the file open; then exit code 75.",
        ),
    ).to_dict()

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.loader = Loader(self._database(), self._options(), emit_state)

    def _database(self) -> Database:
        return Database(
            resolve(self.config["path"]), self.config["memory_limit"], float(self.config["lock_wait_seconds"])
        )

    def _options(self) -> Options:
        if not re.fullmatch(r"[^\x00-\x1f\x7f]+", self.config["schema"]):
            raise ConfigurationError("Setting schema must be a name such as raw_opsmerge")
        return Options(
            schema=self.config["schema"],
            batch_rows=self.config["batch_size_rows"],
            batch_bytes=self.config["batch_size_mebibytes"] * MEBIBYTE,
            checkpoint_rows=self.config["checkpoint_rows"],
            hard_delete=self.config["hard_delete"],
            tombstones=Tombstones(self.config["deleted_column"], self.config["deleted_value"]),
        )

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Refuse settings that only other targets have."""
        if given := [name for name in NOT_HONOURED if self.config.get(name)]:
            raise ConfigurationError(f"Setting {' and '.join(given)}: target-duckdb has no such setting. Remove it.")
        return super()._validate_config(raise_errors=raise_errors)

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        """Read the settings files of the command line; end with 78 if one is missing or not a JSON object."""
        for name in value:
            if name != "ENV" and (trouble := _trouble(Path(name))):
                cls._end(
                    ConfigurationError(f"The settings file {name} {trouble}. Correct it, or pass another --config.")
                )
        return super().cb_config(ctx, param, value)

    @classmethod
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        """Add none of the SDK's settings: this target does not support them."""

    @classmethod
    def invoke(cls, **arguments: Any) -> None:
        """Run the target; if the load stops, log why in one line and exit with its code."""
        try:
            super().invoke(**arguments)
        except ConfigValidationError as error:
            for each in error.errors:
                cls.logger.error("Setting: %s", each)  # noqa: TRY400 -- the message says it all
            sys.exit(ConfigurationError.exit_code)
        except LoadError as error:
            cls._end(error)
        except duckdb.OutOfMemoryException:
            cls._end(MemoryLimitError())
        except (duckdb.IOException, duckdb.TransactionException, OSError) as error:
            cls._end(MemoryLimitError() if "memory" in str(error).lower() else StorageError(error))

    @classmethod
    def _end(cls, error: LoadError) -> NoReturn:
        cls.logger.error("%s", error)
        sys.exit(error.exit_code)

    def process_endofpipe(self) -> None:
        """End the load."""
        self.loader.finish()

    def _process_schema_message(self, message_dict: Any) -> None:
        message: Schema = message_dict
        if not isinstance(message.schema.get("properties"), dict):
            raise InputError(f"Stream {message.stream}: its SCHEMA has no properties.")
        self.loader.schema(message)

    def _process_record_message(self, message_dict: Any) -> None:
        message: Record = message_dict
        self.loader.record(message)

    def _process_state_message(self, message_dict: Any) -> None:
        message: State = message_dict
        self.loader.state(message)

    def _process_activate_version_message(self, message_dict: Any) -> None:
        message: ActivateVersion = message_dict
        self.loader.activate_version(message)

    def _process_batch_message(self, message_dict: Any) -> None:
        message: Batch = message_dict
        raise InputError(f"Stream {message.stream}: BATCH messages are not supported. Switch them off in the tap.")

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 -- the SDK's signature
        """Stop without a STATE: the SDK's own handler would report rows as loaded that are not."""
        self.logger.warning("Stopped by signal %d. Nothing of this load is kept.", signum)
        self.loader.discard_spool()
        os._exit(KILLED_BY_SIGNAL + signum)  # at once: an exception could be swallowed inside a call into DuckDB


def _trouble(path: Path) -> str | None:
    """Return what is wrong with a settings file; None if nothing is."""
    try:
        settings = json.loads(path.read_bytes())
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except ValueError:
        settings = None
    return None if isinstance(settings, dict) else "is not a JSON object"


def emit_state(state: bytes) -> None:
    """Write the committed STATE to stdout."""
    sys.stdout.write(state.decode() + "\n")
    sys.stdout.flush()
