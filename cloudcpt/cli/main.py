"""The command table, and the one place where an outcome becomes an exit code.

A command is a module with a click command named `command`; it is imported when it is chosen, so `--help`, `--version`
and the completion of command names load click and nothing heavier. Commands raise; they never exit by themselves
except through `ctx.exit(ExitCode...)` for an answer that is not an error, such as findings.
"""

import errno
import importlib
import io
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from cloudcpt import __version__
from cloudcpt.errors import CloudcptError, ExitCode

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS: dict[str, str] = {
    "init": "Write a commented recipe to start from",
    "validate": "Find every mistake in recipes and datasets",
    "data": "Look at a corpus, and make it fit for training",
    "plan": "Show what a recipe will do, how long and for how much",
    "render": "Make a Nova recipe ready for AWS's own launcher",
    "submit": "Start the one job of a recipe",
    "list": "List jobs",
    "status": "Show where a job stands",
    "logs": "Show or follow the log of a job",
    "metrics": "Draw what a job has measured so far",
    "resume": "Let a job go on that was interrupted",
    "stop": "Stop a job",
    "fetch": "Get the model of a finished job and verify every file",
    "report": "Write what a job learned and forgot as one HTML page",
    "describe": "Show everything that is known about a job",
    "open": "Open the page of a job in the AWS console",
    "delete": "Delete the folder of a job",
    "clean": "Abort unfinished uploads that nobody will go on with",
    "explain": "Explain a diagnostic code or a recipe field",
    "schema": "Print the JSON Schema of recipe, plan or manifest",
    "models": "List the models a recipe can name",
    "model": "Check a base model, or bring one to this machine",
    "image": "Build, check or push the training image",
    "instances": "List the instance types, with prices",
    "doctor": "Look at this machine and at the AWS account",
    "iam": "Print the IAM policies that jobs need",
    "fake": "Start an AWS account on this machine, for trying and for tests",
    "completion": "Print the completion script of a shell",
}
"""Name and one line of help, in the order in which people need them."""

_MODULES = {"render": "render_recipe"}  # `cloudcpt.cli.render` knows the colours

EXIT_CODES: dict[ExitCode, str] = {
    ExitCode.OK: "success",
    ExitCode.FINDINGS: "findings in the input",
    ExitCode.USAGE: "the command line does not make sense",
    ExitCode.SETUP: "environment, credentials or permission",
    ExitCode.REFUSED: "refused by the service: quota, capacity",
    ExitCode.TRANSIENT: "failed in a way that may pass: retry is safe",
    ExitCode.JOB_FAILED: "the job failed",
    ExitCode.JOB_STOPPED: "the job was stopped",
    ExitCode.BUG: "a bug of cloudcpt",
    ExitCode.INTERRUPTED: "interrupted",
}

OUTPUT_KEY = "cloudcpt.output"
"""Where `--output` leaves the chosen format in click's context, for errors that end the command."""

SIGPIPE_EXIT = 128 + signal.SIGPIPE
"""What a shell shows for any program whose reader went away (`cloudcpt list | head -1`)."""


_NOTHING_MORE_CAN_BE_WRITTEN = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT)


def command_module(name: str) -> str:
    """Name the module of a command, which is called like it unless that name is taken."""
    return f"cloudcpt.cli.{_MODULES.get(name, name)}"


class CommandTable(click.Group):
    """A group that knows its commands by name and help, and imports one when it is asked for.

    Args:
        table: Name and one line of help.
        module: Names the module of a command.
        settings: Whatever else click gives to a group.
    """

    def __init__(self, *, table: Mapping[str, str], module: Callable[[str], str], **settings: Any) -> None:
        super().__init__(**settings)
        self._table = table
        self._module = module

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """List the names, in the order of the table."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of a command; None when there is no such command."""
        if cmd_name not in self._table:
            return None
        command = importlib.import_module(self._module(cmd_name)).command
        assert isinstance(command, click.Command), f"`{self._module(cmd_name)}.command` is not a click command"
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was probably meant."""
        if args[0] not in self._table:
            ctx.fail(_unknown_command(args[0], self._table))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._table.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the exit codes below the commands; scripts depend on them."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code.value), words) for code, words in EXIT_CODES.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Complete command names from the table; click's own way would import every command."""
        from click.shell_completion import CompletionItem

        names = [CompletionItem(name, help=words) for name, words in self._table.items() if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)


def _unknown_command(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"there is no command `{name}`" + (f"; did you mean `{near[0]}`?" if near else "")


@click.group(
    name="cloudcpt",
    cls=CommandTable,
    table=COMMANDS,
    module=command_module,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="cloudcpt", message="%(prog)s %(version)s")
def cli() -> None:
    """Take continued pretraining from a laptop to P5-class GPUs and back.

    Start with `cloudcpt init`, then `validate`, `plan` and `submit` the recipe.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and turn whatever happens into an exit code.

    Args:
        arguments: Without the program's name; those of this process when None.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name need not be valid text
    if instruction := os.environ.get("_CLOUDCPT_COMPLETE"):
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, "cloudcpt", "_CLOUDCPT_COMPLETE", instruction)
    try:
        code = run(cli, list(sys.argv[1:] if arguments is None else arguments))
        if sys.stdout is not None:  # `>&-` closes it
            sys.stdout.flush()
    except OSError as exc:
        # The interpreter flushes once more at exit and must not complain about the same again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SIGPIPE_EXIT if isinstance(exc, BrokenPipeError) else _no_space(exc)
    return code


def run(commands: click.Command, arguments: list[str]) -> int:
    """Run a command line and give its exit code; whatever went wrong has been shown.

    Args:
        commands: What to run; `cli`, or another in a test.
        arguments: Without the program's name.

    Raises:
        OSError: nothing more can be written: the reader of stdout went away, or a disk is full.
    """
    if arguments[:1] == ["help"]:  # people type it; it is no command of its own
        arguments = [*arguments[1:2], "--help"]
    context = None
    try:
        context = commands.make_context("cloudcpt", arguments)
        with context:
            commands.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as exc:
        exc.show()
        return ExitCode.USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nInterrupted", err=True)
        return ExitCode.INTERRUPTED
    except CloudcptError as exc:
        _show(exc, as_json=context is not None and context.meta.get(OUTPUT_KEY) == "json")
        return exc.exit_code
    except Exception as exc:
        if isinstance(exc, OSError) and exc.errno in _NOTHING_MORE_CAN_BE_WRITTEN:
            raise
        return _own_up()  # the last line of defence: whatever arrives here is ours
    return ExitCode.OK


def _show(exc: CloudcptError, *, as_json: bool) -> None:
    from cloudcpt.cli import render
    from cloudcpt.cli.diagnostics import as_json as plain

    render.show_diagnostics(exc.diagnostics)
    render.err().print(f"\nexplain: cloudcpt explain {exc.diagnostics[0].code}", style="faint")
    if as_json:
        answer = {"exit_code": exc.exit_code, "blame": exc.blame, "diagnostics": plain(exc.diagnostics)}
        render.print_json(answer)


def _no_space(exc: OSError) -> int:
    click.echo(f"error[CPT441] nothing more can be written: {exc.strerror}", err=True)
    return ExitCode.SETUP


def _own_up() -> int:
    import traceback

    traceback.print_exc()
    click.echo(
        "error[CPT901] cloudcpt failed in a way that it did not foresee: this is our bug\n"
        f"   hint: report it with the lines above; this is cloudcpt {__version__}, Python {sys.version.split()[0]}",
        err=True,
    )
    return ExitCode.BUG
