"""Every outcome has its exit code, and every message its stream."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable

import click
import pytest

from cloudcpt import __version__, errors
from cloudcpt.cli import render
from cloudcpt.cli.main import COMMANDS, EXIT_CODES, SIGPIPE_EXIT, run
from cloudcpt.errors import CloudcptError, ExitCode, error

Cloudcpt = Callable[..., "Outcome"]  # noqa: F821  # the fixture of conftest.py
FORESEEN = [kind for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")]


def failing(problem: BaseException) -> click.Group:
    """Give a command table with one command, `fail`, that raises."""

    @click.group()
    def table() -> None:
        pass

    @table.command()
    @render.output_option
    def fail(output: str) -> None:
        raise problem

    return table


@pytest.mark.parametrize("kind", FORESEEN, ids=lambda kind: kind.__name__)
def test_a_foreseen_error_is_shown_and_ends_with_its_exit_code(
    kind: type[CloudcptError], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(failing(kind(error("CPT450", "no [luck]", hint="try"))), ["fail"]) == kind.exit_code
    captured = capsys.readouterr()
    assert captured.err == "error[CPT450] no [luck]\n   hint: try\n\nexplain: cloudcpt explain CPT450\n"
    assert captured.out == ""


def test_a_foreseen_error_is_json_when_json_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    problem = errors.ServiceRefused(error("CPT450", "no"))
    assert run(failing(problem), ["fail", "--output", "json"]) == 4
    answer = json.loads(capsys.readouterr().out)
    assert (answer["schema_version"], answer["exit_code"], answer["blame"]) == (1, 4, "platform")
    assert [found["code"] for found in answer["diagnostics"]] == ["CPT450"]


def test_an_unforeseen_error_shows_its_traceback_and_is_owned_as_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(failing(ZeroDivisionError("of course")), ["fail"]) == ExitCode.BUG
    captured = capsys.readouterr()
    assert "ZeroDivisionError: of course" in captured.err
    assert "error[CPT901]" in captured.err
    assert "this is our bug" in captured.err
    assert __version__ in captured.err


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), click.Abort()])
def test_an_interruption_is_not_an_error(problem: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(failing(problem), ["fail"]) == ExitCode.INTERRUPTED
    assert capsys.readouterr().err.strip() == "Interrupted"


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC, errno.EDQUOT])
def test_a_broken_pipe_and_a_full_disk_are_left_to_main(number: int) -> None:
    with pytest.raises(OSError, match="no"):
        run(failing(OSError(number, "no")), ["fail"])


@pytest.mark.parametrize("problem", [click.UsageError("what?"), click.FileError("a.yaml"), click.BadParameter("no")])
def test_what_click_refuses_is_a_usage_error(problem: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(failing(problem), ["fail"]) == ExitCode.USAGE
    assert capsys.readouterr().out == ""


def test_help_lists_every_command_and_every_exit_code(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("--help")
    assert shown.code == 0
    assert shown.err == ""
    lines = [line.split(maxsplit=1) for line in shown.out.splitlines() if line.strip()]
    assert [[name, words] for name, words in COMMANDS.items()] == lines[lines.index(["Commands:"]) + 1 :][
        : len(COMMANDS)
    ]
    table = [[str(code.value), words] for code, words in EXIT_CODES.items()]
    assert lines[lines.index(["Exit", "codes:"]) + 1 :] == table


def test_every_exit_code_is_explained() -> None:
    assert set(EXIT_CODES) == set(ExitCode)


@pytest.mark.parametrize("arguments", [["-h"], ["--help"], ["help"]])
def test_help_at_every_spelling(cloudcpt: Cloudcpt, arguments: list[str]) -> None:
    assert cloudcpt(*arguments).out == cloudcpt("--help").out


def test_help_of_a_command_at_every_spelling(cloudcpt: Cloudcpt) -> None:
    expected = cloudcpt("explain", "--help").out
    assert "Usage: cloudcpt explain" in expected
    assert cloudcpt("help", "explain").out == cloudcpt("explain", "-h").out == expected


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(cloudcpt: Cloudcpt, name: str) -> None:
    shown = cloudcpt(name, "--help")
    assert (shown.code, shown.err) == (0, "")
    assert f"Usage: cloudcpt {name}" in shown.out


def test_the_version_is_data(cloudcpt: Cloudcpt) -> None:
    assert cloudcpt("--version").out == f"cloudcpt {__version__}\n"


@pytest.mark.parametrize(("typed", "meant"), [("valdate", "validate"), ("staus", "status"), ("modles", "models")])
def test_an_unknown_command_suggests_the_one_that_was_meant(cloudcpt: Cloudcpt, typed: str, meant: str) -> None:
    shown = cloudcpt(typed)
    assert (shown.code, shown.out) == (2, "")
    assert f"there is no command `{typed}`; did you mean `{meant}`?" in shown.err


def test_an_unknown_command_unlike_any_suggests_none(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("xyzzy")
    assert shown.code == 2
    assert "there is no command `xyzzy`\n" in shown.err


def test_an_unknown_option_is_a_usage_error(cloudcpt: Cloudcpt) -> None:
    assert cloudcpt("--colour").code == 2
    assert cloudcpt("explain", "--colour").code == 2


def test_a_reader_that_went_away_is_no_complaint() -> None:
    command = [sys.executable, "-m", "cloudcpt", "schema", "plan"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() == SIGPIPE_EXIT


def test_rich_output_to_a_reader_that_went_away_is_no_complaint() -> None:
    command = [sys.executable, "-m", "cloudcpt", "explain"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() == SIGPIPE_EXIT


@pytest.mark.parametrize("arguments", [["--help"], ["explain"], ["schema", "plan"]])
def test_a_full_disk_behind_stdout_is_an_environment_error(arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "cloudcpt", *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == "error[CPT441] nothing more can be written: No space left on device\n"
    assert done.returncode == ExitCode.SETUP


def test_a_closed_stdout_is_no_bug() -> None:
    command = f"exec {sys.executable} -m cloudcpt --version >&-"
    done = subprocess.run(["/bin/sh", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_shell_completes_command_names() -> None:
    environment = {**os.environ, "_CLOUDCPT_COMPLETE": "bash_complete", "COMP_WORDS": "cloudcpt st", "COMP_CWORD": "1"}
    command = [sys.executable, "-m", "cloudcpt"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["plain,status", "plain,stop"]
