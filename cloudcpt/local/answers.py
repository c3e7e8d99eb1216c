"""What another program answers: one command of it, run to its end, or followed line by line while it goes on."""

import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_CLEANUP_S: Final = 10.0
"""For what a program removes when it is told to stop."""

_LAST_LINES: Final = 50
"""Of a long output: what is looked at when it ends badly."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a command printed and how it ended."""

    status: int
    out: str
    err: str

    @property
    def reason(self) -> str:
        """Give the last line of what it complained about."""
        lines = self.err.strip().splitlines() or self.out.strip().splitlines()
        return lines[-1].removeprefix("Error: ") if lines else f"exit status {self.status}"


def ask(command: Sequence[str], patience_s: float | None, *, given: str | None = None) -> Answer:
    """Run a command to its end.

    Args:
        command: Program and words.
        patience_s: How long it may take, in seconds; None for as long as it takes.
        given: What it reads from its standard input, where nobody else can see it.
    """
    try:
        ended = subprocess.run(
            command, input=given, capture_output=True, text=True, errors="replace", timeout=patience_s, check=False
        )
    except FileNotFoundError:
        return Answer(status=127, out="", err=f"`{command[0]}` is not installed")
    except subprocess.TimeoutExpired:
        return Answer(status=124, out="", err=f"`{command[0]}` did not answer within {patience_s:g} s")
    return Answer(status=ended.returncode, out=ended.stdout, err=ended.stderr)


def follow(command: Sequence[str], tell: Callable[[str], None], settings: Mapping[str, str] | None) -> Answer:
    """Run a command for as long as it takes, and pass on every line of both its streams while it comes.

    Args:
        command: Program and words.
        tell: Gets each line, without its end.
        settings: Its environment; that of this process when None.

    Returns:
        How it ended, with its last lines as what it complained about.
    """
    lines: deque[str] = deque(maxlen=_LAST_LINES)
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=settings,
    )
    assert child.stdout is not None, "it is a pipe"
    try:
        for line in child.stdout:
            lines.append(line.rstrip())
            tell(lines[-1])
        return Answer(status=child.wait(), out="", err="\n".join(lines))
    finally:
        _end(child)  # interrupted; one that has ended is only put away


def _end(child: subprocess.Popen[str]) -> None:
    """End a program that is not wanted any more, and give it time to remove what it made."""
    with child:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(_CLEANUP_S)
            except subprocess.TimeoutExpired:
                child.kill()
