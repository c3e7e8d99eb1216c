"""Watch a job until it ends: a bar that is redrawn on a terminal, plain lines everywhere else.

This is the one place where what a job printed reaches a terminal. A log is data of a stranger: no byte in it may move
the cursor, change colours, reorder text or set a window's title (kubectl had that as CVE-2021-25743).
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from cloudcpt.cli import render
from cloudcpt.cli.excerpt import printable
from cloudcpt.cli.job_view import evaluation_words, progress_words
from cloudcpt.cli.places import Places
from cloudcpt.cli.quantities import duration
from cloudcpt.errors import ExitCode, ServiceRefused, SetupError, TransientError, note
from cloudcpt.jobs.follow import Update, follow
from cloudcpt.jobs.ports import START, JobState, JobStatus
from cloudcpt.wire import parse_evaluation, parse_progress

LINE_LIMIT = 5000
"""Characters of one log line that are shown."""


def log_line(line: str) -> str:
    """Make a line of a log safe to print, and short enough to read."""
    line = line.removesuffix("\r")
    left_out = len(line) - LINE_LIMIT
    return printable(line[:LINE_LIMIT]) + (f"... ({left_out:,} more characters)" if left_out > 0 else "")


def watch(places: Places, name: str, *, show: Callable[[str], None], position: str = START) -> JobStatus:
    """Show a job until it has ended.

    Args:
        places: Know the job.
        name: Its name in full.
        show: Prints one line; used where there is no terminal to draw a bar on.
        position: Where in the log to begin.

    Returns:
        The final status.

    Raises:
        Exit: with code 130 after Ctrl-C, which leaves the job alone.
        CloudcptError: the job cannot be seen any more; it goes on.
    """
    with _leaving_it_alone(name):
        if not (sys.stdout.isatty() and sys.stderr.isatty()):
            return _show_lines(_updates(places, name, _print_trouble, position), show)
        with render.live_progress(name) as bar:
            return _draw(_updates(places, name, bar.line, position), bar)


def wait_for_end(places: Places, name: str) -> JobStatus:
    """Wait until a job has ended, showing its state meanwhile, and give its final status."""
    with render.live_progress(f"waiting for {name}") as bar:
        for update in _updates(places, name, bar.line, START):
            bar.update(0, None, update.status.state)
        return update.status


def _updates(places: Places, name: str, say: Callable[[str], None], position: str) -> Iterator[Update]:
    """Follow a job, with a word about every look that failed."""

    def trouble(exc: TransientError, seconds: float) -> None:
        say(f"{exc.diagnostics[0].message}; looking again in {duration(seconds)}")

    return follow(places, places, name, position=position, poll_s=places.poll_s(name), trouble=trouble)


def _print_trouble(words: str) -> None:
    click.echo(printable(words), err=True)


@contextmanager
def _leaving_it_alone(name: str) -> Iterator[None]:
    """Say how to come back when the watch ends before the job does."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\n`{name}` goes on without you\ncome back: cloudcpt logs -f {name}", err=True)
        click.echo(f"end it:    cloudcpt stop {name}", err=True)
        raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None
    except (SetupError, ServiceRefused, TransientError) as exc:
        goes_on = note("CPT765", f"job `{name}` goes on without you", hint=f"come back: `cloudcpt logs -f {name}`")
        raise type(exc)(*exc.diagnostics, goes_on) from exc


def _show_lines(updates: Iterator[Update], show: Callable[[str], None]) -> JobStatus:
    for update in updates:
        for line in update.lines:
            show(log_line(line))
    return update.status


def _draw(updates: Iterator[Update], bar: render.LiveProgress) -> JobStatus:
    progress = None
    for update in updates:
        for line in update.lines:
            if found := parse_progress(line):
                progress = found
            elif evaluation := parse_evaluation(line):
                bar.line(evaluation_words(evaluation))
            else:
                bar.line(log_line(line))
        state = update.status.state
        if progress is None:
            bar.update(0, None, state)
        else:
            words = progress_words(progress) if state is JobState.TRAINING else state
            bar.update(progress.step, progress.total_steps, words)
    return update.status
