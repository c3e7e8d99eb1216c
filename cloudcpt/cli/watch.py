"""Watch a job until it ends: a bar that is redrawn on a terminal, plain lines everywhere else.

This is the one place where what a job printed reaches a terminal. A log is data of a stranger: no byte in it may move
the cursor, change colours, reorder text or set a window's title (kubectl had that as CVE-2021-25743).
"""

import sys
from collections.abc import Callable, Iterator

import click

from cloudcpt.cli import render
from cloudcpt.cli.excerpt import printable
from cloudcpt.cli.job_view import evaluation_words, progress_words
from cloudcpt.errors import ExitCode
from cloudcpt.jobs.follow import Update, follow
from cloudcpt.jobs.ports import START, JobState, JobStatus
from cloudcpt.local.engine import LocalEngine
from cloudcpt.wire import parse_evaluation, parse_progress

LINE_LIMIT = 5000
"""Characters of one log line that are shown."""


def log_line(line: str) -> str:
    """Make a line of a log safe to print, and short enough to read."""
    line = line.removesuffix("\r")
    left_out = len(line) - LINE_LIMIT
    return printable(line[:LINE_LIMIT]) + (f"... ({left_out:,} more characters)" if left_out > 0 else "")


def watch(engine: LocalEngine, name: str, *, show: Callable[[str], None], position: str = START) -> JobStatus:
    """Show a job until it has ended.

    Args:
        engine: Where it runs.
        name: Its name in full.
        show: Prints one line; used where there is no terminal to draw a bar on.
        position: Where in the log to begin.

    Returns:
        The final status.

    Raises:
        Exit: with code 130 after Ctrl-C, which leaves the job alone.
    """
    updates = follow(engine, engine, name, position=position)
    try:
        if not (sys.stdout.isatty() and sys.stderr.isatty()):
            return _show_lines(updates, show)
        with render.live_progress(name) as bar:
            return _draw(updates, bar)
    except KeyboardInterrupt:
        click.echo(f"\n`{name}` goes on without you\ncome back: cloudcpt logs -f {name}", err=True)
        click.echo(f"end it:    cloudcpt stop {name}", err=True)
        raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None


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
