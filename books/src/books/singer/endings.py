"""How a Singer plugin of this project ends: exit codes by fault, no success for a partial run, no secret in a log.

The Singer SDK ends a run that was stopped by a signal with exit code 0, and a wrong configuration with 1.
A scheduler must be able to tell these from a finished run, so both are changed here, once, for every plugin.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import IO, Any, ClassVar, NoReturn

import click
import pendulum
from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError, MappingError
from singer_sdk.helpers.capabilities import (
    ACTIVATE_VERSION_CONFIG,
    ADD_RECORD_METADATA_CONFIG,
    BATCH_CONFIG,
    EMIT_ACTIVATE_VERSION_CONFIG,
    FLATTENING_CONFIG,
    STREAM_MAPS_CONFIG,
    TARGET_BATCH_SIZE_ROWS_CONFIG,
    TARGET_LOAD_METHOD_CONFIG,
    TARGET_VALIDATE_RECORDS_CONFIG,
    CapabilitiesEnum,
    PluginCapabilities,
    TapCapabilities,
)
from singer_sdk.plugin_base import SingerCommand
from sqlalchemy.exc import SQLAlchemyError

from books.core import redact
from books.core.clock import SystemClock
from books.core.faults import Exit, Fault, Halt
from books.core.paths import check_environment_file
from books.ledgers.registry import Vendor
from books.operations import runfolder, runs
from books.operations.runs import Run
from books.store import Store, troubles

STORE_VARIABLES = ("BOOKS_STORE_URL", "BOOKS_DEFAULT_STORE_URL")
"""Where a plugin without a `store_url` of its own (tap-opsmerge) finds the state store; meltano.yml sets the second."""

STEP_VARIABLES = ("MELTANO_EXTRACTOR_NAME", "MELTANO_LOADER_NAME")
"""Where Meltano names the tap (to the tap), and tap and target (to the target): together a step of a job."""

TAP_VARIABLE = STEP_VARIABLES[0]

NO_RUN = frozenset({"--about", "--help", "--test", "--version"})
"""With these options the plugin reads and writes no data."""

CATALOG = "--catalog"

SWITCH_WORDS = frozenset({"true", "1", "yes", "on", "false", "0", "no", "off"})

SIGNAL_BASE = 128
"""A process that a signal stopped ends with 128 + the signal's number, as shells do."""


USAGE_ERROR = 2
"""Click's exit code for an unknown option; the contract's code for bad usage is 1."""

OF_THE_SDK = frozenset(
    name
    for schema in (
        ADD_RECORD_METADATA_CONFIG,
        BATCH_CONFIG,
        EMIT_ACTIVATE_VERSION_CONFIG,
        ACTIVATE_VERSION_CONFIG,
        FLATTENING_CONFIG,
        STREAM_MAPS_CONFIG,
        TARGET_BATCH_SIZE_ROWS_CONFIG,
        TARGET_LOAD_METHOD_CONFIG,
        TARGET_VALIDATE_RECORDS_CONFIG,
    )
    for name in schema["properties"]
)
"""Settings that the Singer SDK offers in any plugin, whether it honours them or not."""

OFFERED = ("stream_maps", "stream_map_config")
"""The ones that our taps offer: they filter and change the records."""

TARGET_CAPABILITIES: list[CapabilitiesEnum] = [PluginCapabilities.ABOUT, PluginCapabilities.STRUCTURED_LOGGING]
TAP_CAPABILITIES: list[CapabilitiesEnum] = [
    TapCapabilities.CATALOG,
    TapCapabilities.STATE,
    TapCapabilities.DISCOVER,
    TapCapabilities.ACTIVATE_VERSION,
    PluginCapabilities.STREAM_MAPS,
    *TARGET_CAPABILITIES,
]


class PluginCommand(SingerCommand):
    """A plugin's command line that ends with the contract's exit codes."""

    plugin: type[PluginEndings]

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the plugin and record how it ended; a fault becomes two log lines and an exit code, not a traceback."""
        redact.install()
        started_at = SystemClock().now()
        runfolder.tidy(runfolder.folder())
        try:
            self.plugin.begin((args[0] if args else kwargs.get("args")) or sys.argv[1:])
            return super().main(*args, **kwargs)
        except Fault as fault:
            report(self.logger, fault)
            if fault.code not in (troubles.UNAVAILABLE, troubles.DAMAGED):
                self.plugin.record_run(started_at, exit_code(fault), f"{fault.message}. {fault.remedy}".strip(". "))
            sys.exit(exit_code(fault))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
            self.plugin.record_run(started_at, code, "")
            sys.exit(Exit.FAILED if code == USAGE_ERROR else code)
        except Exception as error:
            self.plugin.record_run(started_at, Exit.FAILED, f"a bug: {type(error).__name__}; the log has the traceback")
            raise


class PluginEndings:
    """Mixin to put before `Tap` or `Target`: exit code 78 for settings, 128 + n for signals, and those of faults."""

    name: str
    logger: logging.Logger
    config_jsonschema: ClassVar[dict[str, Any]]
    vendor: ClassVar[Vendor | None] = None
    """Of the ledger's own plugins."""
    settings_seen: ClassVar[Mapping[str, Any]] = {}
    _is_run: ClassVar[bool] = False
    _step: ClassVar[str | None] = None
    _claim: ClassVar[str] = ""
    _summary: ClassVar[str] = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self._claim:
            runfolder.loaded(runfolder.folder(), self._claim, os.getppid())

    @classmethod
    def begin(cls, arguments: Sequence[str]) -> None:
        """Claim this step for the Meltano that started us: two runs of one step would share Meltano's files.

        Raises:
            Halt: TRY_LATER; another run has the step. It has read its files by then: Meltano deletes them when we end.
        """
        tap = os.environ.get(TAP_VARIABLE)
        if not tap or NO_RUN & set(arguments):
            return
        root, clock = runfolder.folder(), SystemClock()
        name = f"{os.environ.get('MELTANO_ENVIRONMENT', '')} {tap}".strip()
        other = runfolder.claim(root, name, os.getppid(), clock)
        if other is not None:
            runfolder.wait_until_loaded(root, name, other, clock)
            cls._is_run, cls._step = True, runs.REFUSED
            raise runfolder.busy(_step(cls.name), other)
        if CATALOG in arguments:
            cls._claim = name

    @classmethod
    def invoke(cls, *args: Any, **kwargs: Any) -> None:
        """Read or write data; not called for --about, --discover or --test, whose ends are not recorded."""
        cls._is_run = not kwargs.get("about")
        check_environment_file(os.environ.get("MELTANO_ENVIRONMENT", ""), os.environ, is_loaded=True)
        check_environment(cls.name, cls.config_jsonschema.get("properties", {}), os.environ)
        for option in ("state", "catalog"):
            if kwargs.get(option) is not None:
                kwargs[option] = _checked(kwargs[option], f"--{option}")
        super().invoke(*args, **kwargs)  # type: ignore[misc] # the SDK's class comes next

    @classmethod
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        """Offer only `OFFERED` of the SDK's settings, and only in taps."""
        if issubclass(cls, Tap):
            for name in OFFERED:
                config_jsonschema["properties"].setdefault(name, STREAM_MAPS_CONFIG["properties"][name])

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        """Read the settings files of the command line.

        Raises:
            Halt: MISCONFIGURED; a file is missing, or is not a JSON object.
        """
        for name in value:
            if name != "ENV":
                _require_settings(Path(name))
        return super().cb_config(ctx, param, value)  # type: ignore[misc] # the SDK's class comes next

    def setup_mapper(self) -> None:
        """Prepare the stream maps.

        Raises:
            Halt: MISCONFIGURED; one of them is invalid.
        """
        try:
            super().setup_mapper()  # type: ignore[misc] # the SDK's class comes next
        except MappingError as error:
            raise _refusal(f"stream_maps: {' '.join(str(error).split())}") from None

    @classmethod
    def record_summary(cls, summary: str) -> None:
        """Set the run's summary in one line; it is recorded with the exit code."""
        cls._summary = summary

    @classmethod
    def skip_record(cls) -> None:
        """Do not record how this run ends: it made a plan and posted nothing."""
        cls._is_run = False

    @classmethod
    def record_run(cls, started_at: pendulum.DateTime, code: int, message: str) -> None:
        """Record how the run ended in the state store that the settings or the environment name.

        A store that cannot be written is logged and changes nothing: the run is over.
        """
        url = next(filter(None, (cls.settings_seen.get("store_url"), *map(os.environ.get, STORE_VARIABLES))), None)
        if not (cls._is_run and url):
            return
        finished_at = SystemClock().now()
        text = redact.mask("; ".join(filter(None, (cls._summary, message))))
        step = _step(cls.name) if cls._step is None else cls._step
        run = Run(cls._connection(), cls.name, started_at, finished_at, code, text, step)
        try:
            with closing(Store.open(str(url))) as store:
                runs.record(store, run)
        except (Fault, SQLAlchemyError) as error:
            cls.logger.warning(
                "how this run ended could not be recorded in the state store: %s", redact.mask(str(error))
            )

    @classmethod
    def _connection(cls) -> str:
        return cls.vendor.connection_of(cls.settings_seen) if cls.vendor else ""

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """Return the SDK's command with our exit codes."""
        command: click.Command = super().get_singer_command()  # type: ignore[misc] # the SDK's class comes next
        ours = PluginCommand(
            name=command.name,
            callback=command.callback,
            params=command.params,
            help=command.help,
            context_settings=command.context_settings,
            logger=cls.logger,
        )
        ours.plugin = cls
        return ours

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check the settings against their schema.

        Raises:
            Halt: MISCONFIGURED, with the schema's messages.
        """
        type(self).settings_seen = dict(self.config)  # type: ignore[attr-defined] # the SDK's
        self._refuse_settings_of_the_sdk()
        if raise_errors:
            refuse_secrets(self.config_jsonschema.get("properties", {}), self.settings_seen)
        try:
            errors: list[str] = super()._validate_config(raise_errors=raise_errors)  # type: ignore[misc] # as above
        except ConfigValidationError as error:
            raise _refusal(f"settings: {'; '.join(error.errors)}") from None
        return errors

    def _refuse_settings_of_the_sdk(self) -> None:
        """Raise where a setting of the SDK is set that this plugin does not offer."""
        self.append_builtin_config(self.config_jsonschema)
        given = {name for name in OF_THE_SDK if self.config.get(name)}  # type: ignore[attr-defined] # the SDK's
        if unknown := sorted(given - set(self.config_jsonschema["properties"])):
            raise _refusal(f"{self.name} has no setting {' and '.join(unknown)}; other Singer plugins have it")

    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        """Call the sink; the SDK's method would first warn about columns that only targets with tables have."""
        for stream_map in self.mapper.stream_maps[message_dict["stream"]]:  # type: ignore[attr-defined] # the SDK's
            self.get_sink(stream_map.stream_alias).activate_version(message_dict["version"])  # type: ignore[attr-defined]

    def _handle_termination(self, signum: int, frame: FrameType | None) -> NoReturn:
        """Stop at once, without STATE and without success; the next run does the rest."""
        del frame
        self.logger.warning("Stopped by signal %d before the end. Nothing is lost: run it again", signum)
        sys.exit(SIGNAL_BASE + signum)


def _refusal(
    message: str,
    remedy: str = "correct them in meltano.yml, the .env file of the environment or the shell",
) -> Halt:
    return Halt(message, exit_code=Exit.MISCONFIGURED, code="setting_refused", remedy=remedy)


def _require_settings(path: Path) -> None:
    try:
        settings = json.loads(path.read_bytes())
    except OSError as error:
        raise _refusal(f"the settings file {path} cannot be read: {error.strerror}", "correct --config") from None
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise _refusal(
            f"the settings file {path} is not a JSON object", "correct the file, or name another with --config"
        )


def _checked(file: IO[str], option: str) -> IO[str]:
    """Read a file of the command line and return its text as a file again.

    Raises:
        Halt: MISCONFIGURED; it is not a JSON object.
    """
    try:
        text = file.read()
        is_object = isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise _refusal(
            f"the file {file.name} of {option} is not a JSON object", f"correct the file, or leave out {option}"
        )
    return io.StringIO(text)


def _step(plugin: str) -> str:
    return " ".join(filter(None, (os.environ.get(each) for each in STEP_VARIABLES))) or plugin


def check_environment(plugin: str, properties: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Raise for a boolean or integer in an environment variable that the SDK would misread.

    It treats every word except "true", "1", "yes" and "on" as false: a mistyped dry_run would post for real.

    Raises:
        Halt: MISCONFIGURED; names the variable.
    """
    for name, schema in properties.items():
        variable = f"{plugin}_{name}".upper().replace("-", "_")
        value = environment.get(variable, "").strip().lower()
        kinds = schema.get("type", [])
        remedy = "correct the environment variable, here or in .env"
        if value and "boolean" in kinds and value not in SWITCH_WORDS:
            raise _refusal(f"{variable} must be true or false", remedy)
        if value and "integer" in kinds and not value.lstrip("-").isdigit():
            raise _refusal(f"{variable} must be a whole number", remedy)


def refuse_secrets(properties: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Raise for a secret that is not a string, without repeating it: the schema's own message would.

    Raises:
        Halt: MISCONFIGURED; names the setting.
    """
    for name, schema in properties.items():
        value = settings.get(name)
        if not (schema.get("secret") or name == "store_url") or value is None:
            continue
        if not isinstance(value, str):
            raise _refusal(
                f"setting {name} has the wrong type: it must be text, not {type(value).__name__}",
                f"put {name} in quotes in meltano.yml, .env or the configuration file",
            )
        if schema.get("secret"):
            redact.register((value,))


def exit_code(fault: Fault) -> int:
    """Return the contract's exit code: a Halt has its own, any other fault that gets this far is a bug."""
    return int(fault.exit_code if isinstance(fault, Halt) else Exit.FAILED)


def report(logger: logging.Logger, fault: Fault) -> None:
    """Log what is wrong and what to do, with the request id that the vendor's support asks for."""
    request_id = f" (request {fault.vendor_request_id})" if fault.vendor_request_id else ""
    logger.error("%s%s", fault.message, request_id)
    if fault.remedy:
        logger.error("What to do: %s", fault.remedy)
