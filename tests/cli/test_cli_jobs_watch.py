"""Watching a job on a real terminal, leaving it, and what a hostile log cannot do."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.cli.watch import LINE_LIMIT, log_line
from cloudcpt.jobs.ports import JobState
from cloudcpt.local.engine import LocalEngine
from tests.fakes import small_plan
from tests.local.engines import end_all, fake_engine, until, wait_for

PROJECT = Path(__file__).parents[2]
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
HOSTILE = "\x1b]0;owned\x07 \x1b[2J \x9b31m \r over \b\b \u202e txt \u2028 \x00"

Cloudcpt = Callable[..., Any]  # the fixture of conftest.py; gives code, out and err


def is_unsafe(char: str) -> bool:
    """Say whether a terminal could do anything but show this character; a line end is not part of a line."""
    return unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs") or char in BIDI


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalEngine]:
    monkeypatch.setenv("CLOUDCPT_STATE_DIR", str(tmp_path / "state"))
    engine = fake_engine(tmp_path / "state", "wait")
    yield engine
    end_all(engine)


def start(engine: LocalEngine, tmp_path: Path, *states: JobState) -> str:
    name = engine.create(small_plan(tmp_path / "train.jsonl")).name
    wait_for(engine, name, *states)
    return name


def test_no_code_point_of_a_log_reaches_the_terminal_as_a_control() -> None:
    for first in range(0, sys.maxunicode + 1, LINE_LIMIT):
        line = "".join(map(chr, range(first, min(first + LINE_LIMIT, sys.maxunicode + 1))))
        assert not any(map(is_unsafe, log_line(line))), f"in the {LINE_LIMIT} code points from U+{first:04X}"


def test_letters_of_every_language_stay_as_they_are() -> None:
    line = "loss 1,5 é ß 中文 עברית العربية हिन्दी 😀"
    assert log_line(line) == line


def test_an_endless_line_is_cut_with_its_length() -> None:
    shown = log_line("x" * (LINE_LIMIT + 1234))
    assert shown == "x" * LINE_LIMIT + "... (1,234 more characters)"


@pytest.mark.parametrize("arguments", [("logs",), ("logs", "-f"), ("logs", "--tail", "5"), ("status",), ("list",)])
def test_a_hostile_job_is_shown_without_its_controls(
    cloudcpt: Cloudcpt, tmp_path: Path, engine: LocalEngine, arguments: tuple[str, ...]
) -> None:
    name = engine.create(small_plan(tmp_path / "train.jsonl")).name
    wait_for(engine, name, JobState.TRAINING)
    folder = engine.folder(name)
    with folder.log.open("ab") as log:
        log.write(HOSTILE.encode() + b"\n" + b"\xff\xfe\xc2\n")
    engine.stop(name)
    wait_for(engine, name)
    journal = folder.journal.read_text()
    assert "was stopped on request" in journal
    hostile = journal.replace("was stopped on request", "\\u001b[2J\\u202e\\u0007 stopped")
    folder.journal.write_text(hostile)
    shown = cloudcpt(*arguments)
    for text in (shown.out, shown.err):
        assert not any(is_unsafe(char) for char in text if char != "\n")
    if arguments[0] == "logs":
        assert "owned" in shown.out


def heed_ctrl_c() -> None:
    """Undo what a shell does to programs it starts in the background: they ignore SIGINT, and so do all they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A command in a terminal of its own, as a person has it."""

    def __init__(self, *arguments: str) -> None:
        self.pid, self._screen = pty.fork()
        if self.pid == 0:
            os.environ |= {"PYTHONPATH": str(PROJECT), "TERM": "xterm-256color", "COLUMNS": "120"}
            os.environ.pop("NO_COLOR", None)
            heed_ctrl_c()
            os.execv(sys.executable, [sys.executable, "-m", "cloudcpt", *arguments])
        self.shown = ""

    def wait_for(self, words: str) -> None:
        def look() -> bool:
            self.shown += os.read(self._screen, 4096).decode("utf-8", "replace")
            return words in self.shown

        until(look)

    def press(self, keys: bytes) -> None:
        os.write(self._screen, keys)

    def end(self) -> int:
        """Read the rest and give the exit code."""
        with contextlib.suppress(OSError):  # EIO: the command has closed its side
            while rest := os.read(self._screen, 4096):
                self.shown += rest.decode("utf-8", "replace")
        os.close(self._screen)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_on_a_terminal_a_bar_shows_step_loss_rate_and_time_left(tmp_path: Path, engine: LocalEngine) -> None:
    name = start(engine, tmp_path, JobState.TRAINING)
    terminal = Terminal("logs", "-f")
    terminal.wait_for("step 1 of 3, loss 3.000, 10 tokens/s, 1.0 s left")
    (engine.folder(name).ml.root / "go").touch()
    assert terminal.end() == 0
    assert "after step 0: domain perplexity 20.09, loss 3.000" in terminal.shown
    assert "20.09 -> 2.72" in terminal.shown
    assert "3|1.000000|" not in terminal.shown


def test_ctrl_c_leaves_the_job_alone_and_says_how_to_come_back(tmp_path: Path, engine: LocalEngine) -> None:
    name = start(engine, tmp_path, JobState.TRAINING)
    terminal = Terminal("logs", "-f")
    terminal.wait_for("step 1 of 3")
    terminal.press(b"\x03")
    assert terminal.end() == 130
    assert f"cloudcpt logs -f {name}" in terminal.shown
    assert f"cloudcpt stop {name}" in terminal.shown
    assert "Traceback" not in terminal.shown
    assert engine.status(name).state is JobState.TRAINING


def test_ctrl_c_twice_ends_at_once_and_without_a_traceback(tmp_path: Path, engine: LocalEngine) -> None:
    name = start(engine, tmp_path, JobState.TRAINING)
    terminal = Terminal("logs", "-f")
    terminal.wait_for("step 1 of 3")
    terminal.press(b"\x03\x03")
    assert terminal.end() == 130
    assert "Traceback" not in terminal.shown
    assert engine.status(name).state is JobState.TRAINING


def test_a_watcher_without_a_terminal_can_be_interrupted_too(tmp_path: Path, engine: LocalEngine) -> None:
    name = start(engine, tmp_path, JobState.TRAINING)
    watcher = subprocess.Popen(
        [sys.executable, "-m", "cloudcpt", "logs", "-f"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_ctrl_c,
    )
    assert watcher.stdout
    assert watcher.stdout.readline().startswith(b"1|3.0")
    watcher.send_signal(signal.SIGINT)
    _, told = watcher.communicate()
    assert watcher.returncode == 130
    assert f"cloudcpt logs -f {name}" in told.decode()
    assert engine.status(name).state is JobState.TRAINING


def test_delete_on_a_terminal_takes_no_for_an_answer(tmp_path: Path, engine: LocalEngine) -> None:
    name = start(engine, tmp_path, JobState.TRAINING)
    engine.stop(name)
    wait_for(engine, name)
    terminal = Terminal("delete", name)
    terminal.wait_for("[y/N]")
    terminal.press(b"n\n")
    assert terminal.end() == 0
    assert "nothing was deleted" in terminal.shown
    assert engine.names() == (name,)
    terminal = Terminal("delete", name)
    terminal.wait_for("[y/N]")
    terminal.press(b"y\n")
    assert terminal.end() == 0
    assert engine.names() == ()
