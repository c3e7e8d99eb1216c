"""`cloudcpt data check PATH...`: what `validate` does to datasets, and which documents are in several of them."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloudcpt.cli import render
from cloudcpt.cli.checked import check_data, print_checked, show_checked
from cloudcpt.cli.data_engine import EngineChoice, engine_options, make_place, require_job
from cloudcpt.cli.data_options import workers_option
from cloudcpt.cli.diagnostics import Tally, tally
from cloudcpt.errors import Diagnostic, ExitCode

if TYPE_CHECKING:
    from cloudcpt.corpus.several import Documents


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@render.output_formats("text", "json", "github", "sarif")
@click.option(
    "--first", type=click.IntRange(min=1), default=5, show_default=True, help="Findings of each code to show."
)
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@workers_option
@click.option("--dry-run", is_flag=True, help="With `--on`: print what would be sent, and send nothing.")
@engine_options
@click.pass_context
def command(
    context: click.Context,
    paths: tuple[str, ...],
    output: str,
    first: int,
    strict: bool,
    workers: int,
    dry_run: bool,
    engine: EngineChoice,
) -> None:
    """Find every mistake in datasets, and what is twice.

    Every line is read as training will read it. Documents that are there twice are found within each PATH and, when
    several are given, across them: name training and validation data together to see that they share nothing.

    Exit code 0: no errors; 1: errors, or warnings with --strict.
    """
    from cloudcpt.cli.input_places import InputPlaces
    from cloudcpt.corpus.engine_check import reading_on

    require_job(dry_run=dry_run)
    start = time.monotonic()
    places = InputPlaces(Path.cwd())
    watched = _watch(paths)
    checked = []
    with engine.running(paths, workers) as running:
        read = reading_on(running, make_place()) if running else None
        for number, path in enumerate(paths):
            see = watched[number].see if watched else None
            checked.append(check_data(path, places, first=first, see=see, workers=workers, read=read))
            if output == "text":
                show_checked(checked[-1])
    across = _compare(watched)
    whole = sum((one.tally for one in checked), tally(across))
    if output == "text" and across:
        render.show_diagnostics(across, console=render.out())
        render.out().print()
    print_checked(checked, whole, output, across)
    render.show_tally(whole, time.monotonic() - start, console=render.out() if output == "text" else render.err())
    context.exit(_exit_code(whole, strict=strict))


def _watch(paths: Sequence[str]) -> "list[Documents]":
    """Give what remembers the documents of each path; nothing for one path, whose check needs no numpy."""
    if len(paths) < 2:
        return []
    from cloudcpt.corpus.several import Documents

    return [Documents(path) for path in paths]


def _compare(watched: "Sequence[Documents]") -> tuple[Diagnostic, ...]:
    if not watched:
        return ()
    from cloudcpt.corpus.several import in_several

    return in_several(watched)


def _exit_code(whole: Tally, *, strict: bool) -> ExitCode:
    return ExitCode.FINDINGS if whole.errors or (strict and whole.warnings) else ExitCode.OK
