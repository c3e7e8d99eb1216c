"""What reaches the terminal: plain when piped, exact in JSON, aligned in tables, quiet in progress."""

import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rich.progress import Progress

from cloudcpt.cli import render
from cloudcpt.errors import Severity, error


def test_strings_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    text = "[red]not markup[/red] :smile: " + "long " * 60 + "end"
    render.out().print(text)
    assert capsys.readouterr().out == text + "\n"


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_colour_follows_the_environment(environment: dict[str, str], coloured: bool) -> None:
    code = "from cloudcpt.cli import render; render.out().print('x', style='gutter')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "", **path_of_this_code(), **environment},
        capture_output=True,
        check=True,
    )
    assert (b"\x1b[3" in done.stdout) == coloured


def path_of_this_code() -> dict[str, str]:
    return {"PYTHONPATH": str(Path(render.__file__).parents[2])}


def test_findings_go_to_stderr_unless_they_are_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    render.show_diagnostics([error("CPT450", "no")])
    assert capsys.readouterr() == ("", "error[CPT450] no\n")
    render.show_diagnostics([error("CPT450", "no")], console=render.out())
    assert capsys.readouterr() == ("error[CPT450] no\n", "")


def test_a_table_is_aligned_by_what_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    render.show_table(["name", "n"], [("東京", 1), ("a\x1b", 1000)], right=["n"])
    assert capsys.readouterr().out == "name     n\n東京     1\na␛    1000\n"


def test_an_empty_table_is_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    render.show_table(["name", "n"], [])
    assert capsys.readouterr().out == "name  n\n"


def test_pairs_are_two_columns(capsys: pytest.CaptureFixture[str]) -> None:
    render.show_pairs([("steps", 391), ("tokens", "0.82 B")])
    assert capsys.readouterr().out == "steps   391\ntokens  0.82 B\n"


@dataclass(frozen=True)
class Row:
    path: Path
    severity: Severity
    values: tuple[float, ...]


def test_json_is_plain_and_versioned(capsys: pytest.CaptureFixture[str]) -> None:
    row = Row(Path("a/b"), Severity.ERROR, (1.5, float("nan"), float("-inf")))
    render.print_json({"row": row, "名": "東京"})
    text = capsys.readouterr().out
    assert list(json.loads(text)) == ["schema_version", "row", "名"]
    assert json.loads(text)["row"] == {"path": "a/b", "severity": "error", "values": [1.5, None, None]}
    assert "東京" in text


def test_json_is_ascii_where_the_terminal_is_not_utf8() -> None:
    code = "from cloudcpt.cli import render; render.print_json({'a': '😀'})"
    environment = {"PYTHONIOENCODING": "latin-1", **path_of_this_code()}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert json.loads(done.stdout.decode("ascii"))["a"] == "😀"


def test_the_first_format_is_the_default_and_others_are_refused() -> None:
    @click.command()
    @render.output_formats("text", "sarif")
    def command(output: str) -> None:
        click.echo(output)

    assert CliRunner().invoke(command, []).output == "text\n"
    assert CliRunner().invoke(command, ["--output", "sarif"]).output == "sarif\n"
    assert CliRunner().invoke(command, ["--output", "xml"]).exit_code == 2


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_progress_without_a_terminal_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with render.live_progress("checking a.jsonl", clock=clock) as progress:
        assert not progress.is_live
        for second in range(21):
            clock.now = float(second)
            progress.update(second, 40, "1.0 MiB/s")
        progress.line("step\x1b 1")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "checking a.jsonl 25% 1.0 MiB/s",
        "checking a.jsonl 50% 1.0 MiB/s",
        "step␛ 1",
    ]


def test_progress_of_unknown_length_shows_no_share(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with render.live_progress("waiting", clock=clock) as progress:
        clock.now = 11.0
        progress.update(3, None)
    assert capsys.readouterr().err == "waiting\n"


def test_progress_on_a_terminal_redraws_a_bar() -> None:
    screen = io.StringIO()
    console = render.Console(file=screen, force_terminal=True, width=80, markup=False)
    with Progress(*render.bar_columns(), console=console, auto_refresh=False) as bar:
        progress = render.LiveProgress("training", bar, Clock())
        assert progress.is_live
        progress.update(5, 10, "loss 2.1")
        bar.refresh()
        progress.line("saved")
    assert "50%" in screen.getvalue()
    assert "loss 2.1" in screen.getvalue()
    assert "saved" in screen.getvalue()


def test_forced_colour_does_not_draw_a_bar_into_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with render.live_progress("waiting") as progress:
        assert not progress.is_live
