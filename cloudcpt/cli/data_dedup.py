"""`cloudcpt data dedup PATH... --to OUT`: leave out documents that are there already."""

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudcpt.cli import render
from cloudcpt.cli.data_engine import EngineChoice, engine_options, faults_of_place, make_place
from cloudcpt.cli.data_inputs import files_of
from cloudcpt.cli.data_options import (
    following,
    overwrite_option,
    show_written,
    tell_going_on,
    workers_option,
)
from cloudcpt.cli.dropped_view import show_dropped
from cloudcpt.cli.quantities import plural
from cloudcpt.errors import UsageProblem

if TYPE_CHECKING:
    from cloudcpt.cli.input_places import InputPlaces
    from cloudcpt.corpus.dedup import DedupOptions
    from cloudcpt.corpus.engine import Engine
    from cloudcpt.corpus.output import Output
    from cloudcpt.corpus.repeats import Repeats
    from cloudcpt.dataset.places import InputFile

_THRESHOLD = 0.8


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--to",
    "target",
    metavar="OUT",
    help="The folder to write, here or in S3; or one file, if it ends in `.jsonl` and PATH is one file.",
)
@click.option(
    "--by",
    "method",
    type=click.Choice(["exact", "normalised", "near"]),
    default="exact",
    show_default=True,
    help="What makes two documents one: equal texts, equal words, or most runs of five words in both.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0.5, 1),
    metavar="SHARE",
    help=f"With `--by near`: how many of their runs of five words both must have.  [default: {_THRESHOLD}]",
)
@click.option("--dry-run", is_flag=True, help="Say what would go, and write nothing.")
@overwrite_option
@workers_option
@engine_options
@render.output_option
def command(
    paths: tuple[str, ...],
    target: str | None,
    method: str,
    threshold: float | None,
    dry_run: bool,
    overwrite: bool,
    workers: int,
    engine: EngineChoice,
    output: str,
) -> None:
    """Leave out documents that are there already, exactly or nearly.

    Of documents that are one the first stays, in the order of the PATHs, of file names and of lines. All others are
    copied as they are, byte for byte, under the names of their files. OUT/dropped.csv names each document that went,
    and the one that stays instead.

    With --by exact, documents are one whose texts are equal. With --by normalised, also those that differ only in case,
    punctuation, white space or ways of encoding; not for formulas and code, where punctuation matters.

    With --by near, documents are one that share most of their runs of five words (in Chinese, Japanese and Thai, of
    five characters): at least --threshold of the runs that either of them has, as estimated by MinHash. Documents that
    are connected through others are one, too.
    """
    from cloudcpt.cli.input_places import InputPlaces
    from cloudcpt.corpus.dedup import DedupOptions
    from cloudcpt.corpus.leaving_out import require_files
    from cloudcpt.corpus.signing import Method
    from cloudcpt.dataset.places import is_in_s3

    if target is None and not dry_run:
        raise click.UsageError("say where to write with `--to`, or see what would go with `--dry-run`")
    if threshold is not None and method != "near":
        raise click.UsageError(f"`--threshold` is for `--by near`, and `--by {method}` looks for equal documents")
    options = DedupOptions(method=Method(method), threshold=_THRESHOLD if threshold is None else threshold)
    places = InputPlaces(Path.cwd())
    files = files_of(places, paths)
    is_local = target is not None and not dry_run and not is_in_s3(target)
    require_files(files, Path(target) if target and is_local else None)
    with engine.running(paths, workers) as running:
        if dry_run or target is None:
            _look(places, files, options, workers, running, output)
        elif is_local:
            _write(places, files, options, workers, running, Path(target), overwrite, paths, output)
        else:
            if faults := faults_of_place(target, paths):
                raise UsageProblem(*faults)
            _send(files, options, running, target, overwrite, output)


def _look(
    places: "InputPlaces",
    files: "Sequence[InputFile]",
    options: "DedupOptions",
    workers: int,
    engine: "Engine | None",
    output: str,
) -> None:
    from cloudcpt.corpus.dedup import dedup_work, report_of
    from cloudcpt.corpus.output import Output

    with tempfile.TemporaryDirectory() as folder:
        scratch = Output(Path(folder) / "records", dedup_work(files, options))
        repeats, counts = _find(places, files, options, workers, engine, scratch)
    report = report_of(files, repeats, counts, options)
    if output == "json":
        render.print_json({"ok": True, "dry_run": True, **report})
    else:
        examples = [_example(row) for row in report["examples"]]
        show_dropped(report, ("goes", "stays", "similarity"), examples)


def _write(
    places: "InputPlaces",
    files: "Sequence[InputFile]",
    options: "DedupOptions",
    workers: int,
    engine: "Engine | None",
    target: Path,
    overwrite: bool,
    sources: Sequence[str],
    output: str,
) -> None:
    from cloudcpt.corpus.dedup import dedup_work, report_of, write_unique
    from cloudcpt.corpus.output import Output

    written = Output(target, dedup_work(files, options), overwrite=overwrite, sources=sources)
    tell_going_on(written, 2 * len(files), "step")
    repeats, counts = _find(places, files, options, workers, engine, written)
    with following(f"writing {target}") as progress:
        done = write_unique(places, files, repeats, counts, options, written, progress=progress)
    show_written(done, output, pairs={}, more={"report": report_of(files, repeats, counts, options)})


def _find(
    places: "InputPlaces",
    files: "Sequence[InputFile]",
    options: "DedupOptions",
    workers: int,
    engine: "Engine | None",
    written: "Output",
) -> "tuple[Repeats, list[int]]":
    """Decide what goes, here or on an engine, and count the documents of each file."""
    from cloudcpt.corpus.dedup import sign
    from cloudcpt.corpus.engine_dedup import find_repeats_on
    from cloudcpt.corpus.recording import RECORDS
    from cloudcpt.corpus.repeats import find_repeats

    with following(f"reading {plural(len(files), 'file')}") as progress:
        if engine:
            with written.appending(RECORDS):
                pass  # the output expects it; the records are where the engine keeps them
            return find_repeats_on(
                engine, make_place(), files, options.method, threshold=options.threshold, progress=progress
            )
        counts = sign(places, files, options, written, workers=workers, progress=progress)
    with following(f"comparing {plural(sum(counts), 'document')}") as progress:
        records = written.path_of(RECORDS)
        return find_repeats(records, options.method, threshold=options.threshold, progress=progress), counts


def _send(
    files: "Sequence[InputFile]",
    options: "DedupOptions",
    engine: "Engine | None",
    target: str,
    overwrite: bool,
    output: str,
) -> None:
    """Write to S3, where each file is written by the task that has read it."""
    from cloudcpt.aws.s3_output import s3_output
    from cloudcpt.corpus.dedup import dedup_work, report_of
    from cloudcpt.corpus.destination import begin
    from cloudcpt.corpus.engine import OneProcess
    from cloudcpt.corpus.engine_dedup import find_repeats_on
    from cloudcpt.corpus.engine_writing import write_unique_on

    if overwrite:
        raise click.UsageError("`--overwrite` is for folders here: nothing in S3 is ever replaced")
    engine, work = engine or OneProcess(), dedup_work(files, options)
    if begin(s3_output(target), work):
        render.err().print("going on: files that are there already are not written again", style="faint")
    with following(f"reading {plural(len(files), 'file')}") as progress:
        repeats, counts = find_repeats_on(
            engine, make_place(), files, options.method, threshold=options.threshold, progress=progress
        )
    with following(f"writing {target}") as progress:
        done = write_unique_on(
            engine, make_place(), partial(s3_output, target), files, repeats, counts, options, work, progress=progress
        )
    show_written(done, output, pairs={}, more={"report": report_of(files, repeats, counts, options)})


def _example(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return f"{row['file']}:{row['line']}", f"{row['kept_file']}:{row['kept_line']}", f"{row['similarity']:.3f}"
