"""What the terminal shows: consoles, colours, diagnostics, tables, JSON and progress.

Data goes to stdout (`out`), everything else to stderr (`err`). Both consoles print strings as they are: no markup, no
wrapping, no highlighting, so that paths with brackets survive and piped output can be grepped. Rich honours NO_COLOR,
FORCE_COLOR and TERM=dumb. This is the only module that knows a colour; the others name a role of `THEME`.
"""

import json
import math
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from typing import Any, TypeVar

import click
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn
from rich.text import Text
from rich.theme import Theme

from cloudcpt.cli.diagnostics import Tally, diagnostic_lines, tally_line
from cloudcpt.cli.excerpt import printable
from cloudcpt.cli.main import OUTPUT_KEY
from cloudcpt.errors import Diagnostic
from cloudcpt.wire import SCHEMA_VERSION

THEME = Theme(
    {
        "error": "bold red",
        "warning": "bold yellow",
        "note": "bold cyan",
        "message": "bold",
        "place": "cyan",
        "gutter": "blue",
        "source": "none",
        "related": "cyan",
        "hint": "green",
        "faint": "dim",
        "title": "bold",
        "good": "green",
        "bad": "red",
    },
    inherit=True,
)

PIPED_WIDTH = 100
"""Columns that a diagnostic may use where there is no terminal to ask."""

PLAIN_PROGRESS_S = 10.0
"""Seconds between two progress lines where there is no terminal to redraw."""

_AnyCommand = TypeVar("_AnyCommand", bound=Callable[..., Any])


class _OwnConsole(Console):
    """A rich console that leaves a broken pipe to `cloudcpt.cli.main`; rich itself would exit with 1."""

    def on_broken_pipe(self) -> None:
        raise  # rich calls this hook while it handles the BrokenPipeError


def out() -> Console:
    """Give the console for data: stdout."""
    return _console(stderr=False)


def err() -> Console:
    """Give the console for messages: stderr."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    # Made on each call: a console reads the environment and the stream once, and both differ under test runners.
    return _OwnConsole(stderr=stderr, theme=THEME, markup=False, highlight=False, emoji=False, soft_wrap=True)


def show_diagnostics(
    diagnostics: Sequence[Diagnostic],
    sources: Mapping[str, str] | None = None,
    *,
    console: Console | None = None,
) -> None:
    """Print findings with the lines they are about.

    Args:
        diagnostics: In the order in which to show them; those of one dataset at a time, because "and 41 more" counts
            per code.
        sources: Text of the files they point into, by the path in their place; others are read from disk.
        console: `err()` unless the findings are the command's data.
    """
    console = console or err()
    width = console.width if console.is_terminal else PIPED_WIDTH
    for line in diagnostic_lines(diagnostics, sources or {}, width):
        console.print(Text.assemble(*line))


def show_tally(tally: Tally, seconds: float, *, console: Console | None = None) -> None:
    """Print the last line of a check: `Found 2 errors, 1 warning in 0.3 s; explain: cloudcpt explain CPT204`."""
    (console or err()).print(Text.assemble(*tally_line(tally, seconds)))


def show_prose(text: str, *, console: Console | None = None) -> None:
    """Print paragraphs wrapped to the screen; indented lines are examples and stay as they are."""
    console = console or out()
    width = min(console.width, PIPED_WIDTH) if console.is_terminal else PIPED_WIDTH
    for number, paragraph in enumerate(_paragraphs(text)):
        if number:
            console.print()
        is_example = any(line.startswith(" ") for line in paragraph)
        shown = paragraph if is_example else _wrap(" ".join(paragraph), width)
        for line in shown:
            console.print(line)


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _paragraphs(text: str) -> list[list[str]]:
    paragraphs = text.split("\n\n")
    return [[printable(line) for line in paragraph.splitlines()] for paragraph in paragraphs if paragraph.strip()]


def show_table(
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    console: Console | None = None,
) -> None:
    """Print one row per record, columns aligned by what they take on screen, two spaces between them.

    Args:
        headers: One per column.
        rows: One cell per header; anything with a `str`.
        right: Headers of the columns to align to the right, such as numbers.
        console: `out()` unless the table is not the command's data.
    """
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(cell_len(row[at]) for row in [list(headers), *cells]) for at in range(len(headers))]
    console = console or out()
    for number, row in enumerate([list(headers), *cells]):
        padded = []
        for header, cell, width in zip(headers, row, widths, strict=True):
            blank = " " * (width - cell_len(cell))
            padded.append(blank + cell if header in right else cell + blank)
        console.print(Text("  ".join(padded).rstrip(), style="title" if number == 0 else ""))


def show_pairs(pairs: Iterable[tuple[str, object]], *, console: Console | None = None) -> None:
    """Print names and values in two columns, such as the summary of a plan or of a job."""
    shown = [(name, printable(str(value))) for name, value in pairs]
    width = max((cell_len(name) for name, _ in shown), default=0)
    for name, value in shown:
        blank = " " * (width - cell_len(name) + 2)
        (console or out()).print(Text.assemble((name, "faint"), blank, value))


def print_json(document: object) -> None:
    """Print one JSON document on stdout, with `schema_version` first.

    Args:
        document: A mapping or a dataclass; dataclasses, enums, paths and tuples inside become plain JSON, and numbers
            that JSON cannot write (infinity, not a number) become null.
    """
    plain = _plain(document)
    assert isinstance(plain, dict), f"a JSON output is an object so that it can carry a version, got {type(document)}"
    whole = {"schema_version": SCHEMA_VERSION, **plain}
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    sys.stdout.write(json.dumps(whole, indent=2, ensure_ascii=ascii_only, allow_nan=False) + "\n")


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, PurePath):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def output_option(command: _AnyCommand) -> _AnyCommand:
    """Add `--output text|json` to a command, as its argument `output`."""
    return output_formats("text", "json")(command)


def output_formats(*formats: str) -> Callable[[_AnyCommand], _AnyCommand]:
    """Add `--output` with other formats; the first is the default."""

    def remember(context: click.Context, _: click.Parameter, chosen: str) -> str:
        context.meta[OUTPUT_KEY] = chosen
        return chosen

    return click.option(
        "--output",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        callback=remember,
        help="What to print on stdout.",
    )


class LiveProgress:
    """Progress of one long thing: a bar that is redrawn on a terminal, now and then a line elsewhere.

    Args:
        what: What is going on, such as `checking data/train.jsonl`.
        bar: None where there is no terminal.
        clock: Gives seconds; decides how often a plain line is due.
    """

    def __init__(self, what: str, bar: Progress | None, clock: Callable[[], float]) -> None:
        self._what = printable(what)
        self._bar = bar
        self._clock = clock
        self._last_plain = clock()
        self._task = bar.add_task(self._what, total=None, detail="") if bar else None

    @property
    def is_live(self) -> bool:
        """Tell whether there is a bar; where there is none, each caller may prefer lines of its own."""
        return self._bar is not None

    def update(self, done: float, total: float | None, detail: str = "") -> None:
        """Show how far it is, in any unit; `detail` says the rest, such as a rate, a loss, the time left."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, detail=printable(detail))
        elif self._clock() - self._last_plain >= PLAIN_PROGRESS_S:
            self._last_plain = self._clock()
            share = f" {done / total:.0%}" if total else ""
            err().print(f"{self._what}{share} {printable(detail)}".rstrip())

    def line(self, text: str) -> None:
        """Print a line of its own, above the bar if there is one."""
        console = self._bar.console if self._bar else err()
        console.print(Text(printable(text)))


def bar_columns() -> tuple[ProgressColumn, ...]:
    """Give the parts of the bar: what, how far drawn and in percent, and the detail."""
    # The texts are data: a path with brackets is no markup.
    return (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
    )


@contextmanager
def live_progress(what: str, *, clock: Callable[[], float] = time.monotonic) -> Iterator[LiveProgress]:
    """Show progress on stderr while the block runs; the bar is gone afterwards."""
    console = err()
    # FORCE_COLOR makes rich call a pipe a terminal; a bar in a log file helps nobody, so ask the stream itself.
    if not (console.is_terminal and sys.stderr.isatty()) or console.is_dumb_terminal:
        yield LiveProgress(what, None, clock)
        return
    with Progress(*bar_columns(), console=console, transient=True) as bar:
        yield LiveProgress(what, bar, clock)
