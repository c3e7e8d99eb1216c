"""`cloudcpt data decontaminate PATH... --against EVAL --to OUT`: leave out what overlaps with evaluation sets."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudcpt.cli import render
from cloudcpt.cli.data_inputs import files_of
from cloudcpt.cli.data_options import following, overwrite_option, show_written, tell_going_on, workers_option
from cloudcpt.cli.dropped_view import show_dropped
from cloudcpt.cli.quantities import plural

if TYPE_CHECKING:
    from cloudcpt.cli.input_places import InputPlaces
    from cloudcpt.corpus.decontaminate import DecontaminateOptions
    from cloudcpt.corpus.evaluation_sets import EvaluationSets
    from cloudcpt.corpus.output import Output
    from cloudcpt.dataset.places import InputFile


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--against", multiple=True, required=True, metavar="EVAL", help="An evaluation set, as JSON lines; may be repeated."
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    default=("text",),
    metavar="NAME",
    help="Field of an evaluation set with text in it; may be repeated.  [default: text]",
)
@click.option(
    "--words", type=click.IntRange(min=1), default=13, show_default=True, metavar="N", help="Length of a run of words."
)
@click.option(
    "--share",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="SHARE",
    help="Of the runs of one evaluation text, how many a document must hold to go; one is enough without it.",
)
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="The folder to write; or one file, if it ends in `.jsonl` and PATH is one file.",
)
@click.option("--dry-run", is_flag=True, help="Say what would go, and write nothing.")
@overwrite_option
@workers_option
@render.output_option
def command(
    paths: tuple[str, ...],
    against: tuple[str, ...],
    columns: tuple[str, ...],
    words: int,
    share: float,
    target: Path | None,
    dry_run: bool,
    overwrite: bool,
    workers: int,
    output: str,
) -> None:
    """Leave out documents that overlap with evaluation sets.

    A document goes when a run of 13 words in it is also in an evaluation text, without regard to case, punctuation and
    white space; in Chinese, Japanese and Thai, a run of 13 characters. Of an evaluation text of 8 to 12 words the whole
    text has to be there; shorter ones are not compared.

    All other lines are copied as they are, under the names of their files. OUT/dropped.csv names each document that
    went, the line of the evaluation set, and the words that both have.
    """
    from cloudcpt.cli.input_places import InputPlaces
    from cloudcpt.corpus.decontaminate import DecontaminateOptions
    from cloudcpt.corpus.leaving_out import require_files

    if target is None and not dry_run:
        raise click.UsageError("say where to write with `--to`, or see what would go with `--dry-run`")
    options = DecontaminateOptions(columns=columns, run_words=words, share=share)
    places = InputPlaces(Path.cwd())
    files = files_of(places, paths)
    evaluation = files_of(places, against)
    require_files(files, None if dry_run else target)
    if dry_run or target is None:
        _look(places, files, evaluation, options, workers, output)
    else:
        _write(places, files, evaluation, options, workers, target, overwrite, (*paths, *against), output)


def _look(
    places: "InputPlaces",
    files: "Sequence[InputFile]",
    evaluation: "Sequence[InputFile]",
    options: "DecontaminateOptions",
    workers: int,
    output: str,
) -> None:
    from cloudcpt.corpus.decontaminate import decontaminate_work
    from cloudcpt.corpus.output import Output

    with tempfile.TemporaryDirectory() as folder:
        scratch = Output(Path(folder) / "overlaps", decontaminate_work(files, evaluation, options))
        _, report = _find(places, files, evaluation, options, workers, scratch)
    if output == "json":
        render.print_json({"ok": True, "dry_run": True, **report})
        return
    show_dropped(report, ("goes", "overlaps with", "words"), [_example(row) for row in report["examples"]])
    if short := report["evaluation"]["too_short"]:
        render.err().print(_too_short(short), style="faint")


def _write(
    places: "InputPlaces",
    files: "Sequence[InputFile]",
    evaluation: "Sequence[InputFile]",
    options: "DecontaminateOptions",
    workers: int,
    target: Path,
    overwrite: bool,
    sources: Sequence[str],
    output: str,
) -> None:
    from cloudcpt.corpus.decontaminate import decontaminate_work, write_clean
    from cloudcpt.corpus.output import Output

    work = decontaminate_work(files, evaluation, options)
    written = Output(target, work, overwrite=overwrite, sources=sources)
    tell_going_on(written, 2 * len(files), "step")
    counts, report = _find(places, files, evaluation, options, workers, written)
    with following(f"writing {target}") as progress:
        done = write_clean(places, files, counts, report, written, progress=progress)
    short = report["evaluation"]["too_short"]
    show_written(done, output, pairs={"not compared": _too_short(short)} if short else {}, more={"report": report})


def _find(
    places: "InputPlaces",
    files: "Sequence[InputFile]",
    evaluation: "Sequence[InputFile]",
    options: "DecontaminateOptions",
    workers: int,
    output: "Output",
) -> tuple[list[int], dict[str, Any]]:
    """Find what overlaps; return how many documents each file has, and the report."""
    from cloudcpt.corpus.decontaminate import find_overlaps, report_of
    from cloudcpt.corpus.evaluation_sets import read_evaluation_sets
    from cloudcpt.corpus.recording import RECORDS

    sets: EvaluationSets = read_evaluation_sets(places, evaluation, options.columns, options.run_words)
    with following(f"reading {plural(len(files), 'file')}") as progress:
        counts = find_overlaps(places, files, sets, options, output, workers=workers, progress=progress)
    return counts, report_of(files, counts, sets, options, output.path_of(RECORDS))


def _example(row: Mapping[str, Any]) -> tuple[str, str, str]:
    words = row["words"] if len(row["words"]) <= 60 else row["words"][:59] + "…"
    return f"{row['file']}:{row['line']}", f"{row['evaluation_file']}:{row['evaluation_line']}", words


def _too_short(texts: int) -> str:
    return f"{plural(texts, 'evaluation text')} with too few words"
