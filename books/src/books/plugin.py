"""How a Singer plugin of this project ends: exit codes by fault, never success for a part, no secret in a log.

The Singer SDK ends a run that was stopped by a signal with exit code 0, and a wrong configuration with 1.
A scheduler must be able to tell these from a finished run, so both are changed here, once, for every plugin.
"""

from __future__ import annotations

import logging
import sys
from types import FrameType
from typing import Any, NoReturn

import click
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.plugin_base import SingerCommand

from books import redact
from books.faults import Exit, Fault, Halt

SIGNAL_BASE = 128
"""A process that a signal stopped ends with 128 + the signal's number, as shells do."""


class PluginCommand(SingerCommand):
    """A plugin's command line that ends with the contract's exit code when a fault ends the run."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run it; a fault becomes two log lines and an exit code instead of a traceback."""
        redact.install()
        try:
            return super().main(*args, **kwargs)
        except Fault as fault:
            report(self.logger, fault)
            sys.exit(exit_code(fault))


class PluginEndings:
    """A mixin, to stand before `Tap` or `Target`: exit code 78 for settings, 128 + n for signals, faults as above."""

    logger: logging.Logger

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """The SDK's command with our endings."""
        command: click.Command = super().get_singer_command()  # type: ignore[misc] # the SDK's class comes next
        return PluginCommand(
            name=command.name,
            callback=command.callback,
            params=command.params,
            help=command.help,
            context_settings=command.context_settings,
            logger=cls.logger,
        )

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check the settings against their schema.

        Raises:
            Halt: MISCONFIGURED, with what the schema says.
        """
        try:
            errors: list[str] = super()._validate_config(raise_errors=raise_errors)  # type: ignore[misc] # as above
        except ConfigValidationError as error:
            raise Halt(
                f"settings: {'; '.join(error.errors)}",
                exit_code=Exit.MISCONFIGURED,
                code="setting_refused",
                remedy="correct them in meltano.yml, .env or the environment",
            ) from None
        return errors

    def _handle_termination(self, signum: int, frame: FrameType | None) -> NoReturn:
        """Stop at once, without STATE and without success: what was not done is done by the next run."""
        del frame
        self.logger.warning("Stopped by signal %d before the end: run again, nothing is lost", signum)
        sys.exit(SIGNAL_BASE + signum)


def exit_code(fault: Fault) -> int:
    """The contract's exit code: a Halt carries its own, any other fault that got this far is a bug."""
    return int(fault.exit_code if isinstance(fault, Halt) else Exit.FAILED)


def report(logger: logging.Logger, fault: Fault) -> None:
    """Say what is wrong and what to do, with the id that the vendor's support asks for."""
    request_id = f" (request {fault.vendor_request_id})" if fault.vendor_request_id else ""
    logger.error("%s%s", fault.message, request_id)
    if fault.remedy:
        logger.error("What to do: %s", fault.remedy)
