"""The command line: the console script `books`, and with the same words the Meltano utility plugin `books`.

Commands parse, call a function of `operations`, and print (`output`): no queries, no rules. Start with
`LazyGroup.modules`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import click

from books.cli.output import say
from books.core import redact
from books.core.faults import Exit, Halt
from books.operations import runfolder


@dataclass(frozen=True)
class Context:
    """What every command needs before it reads Meltano's configuration."""

    environment: str | None


class LazyGroup(click.Group):
    """Imports a command's module only when that command is asked for: start-up stays short."""

    modules = {  # noqa: RUF012 -- a constant of the class
        "alerts": "books.cli.alerts",
        "connect": "books.cli.connect",
        "contract-check": "books.cli.contract_check",
        "daily": "books.cli.daily",
        "disconnect": "books.cli.disconnect",
        "forget": "books.cli.forget",
        "log": "books.cli.log",
        "plan": "books.cli.plan",
        "post": "books.cli.post",
        "preflight": "books.cli.preflight",
        "report": "books.cli.report",
        "retry": "books.cli.retry",
        "status": "books.cli.status",
        "webhooks": "books.cli.webhooks",
        "why": "books.cli.why",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """Return the commands' names, sorted."""
        return sorted(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- as above
        """Import and return a command; None where there is none of that name."""
        if cmd_name not in self.modules:
            return None
        module = __import__(self.modules[cmd_name], fromlist=["command"])
        command: click.Command = module.command
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--environment",
    envvar="MELTANO_ENVIRONMENT",
    help="Meltano environment: demo, sandbox or production. Default: meltano.yml's default_environment.",
)
@click.pass_context
def group(ctx: click.Context, environment: str | None) -> None:
    """Operate the bridge between OpsMerge and the books."""
    ctx.obj = Context(environment=environment)


def main() -> None:
    """Run a command; end with the contract's exit codes."""
    redact.install()
    runfolder.tidy(runfolder.folder())
    try:
        code = group.main(standalone_mode=False)
    except Halt as halt:
        say(halt.message, err=True)
        if halt.remedy:
            say(f"What to do: {halt.remedy}", err=True)
        sys.exit(halt.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(Exit.FAILED)
    except click.Abort:
        sys.exit(Exit.FAILED)
    sys.exit(code if isinstance(code, int) else Exit.DONE)
