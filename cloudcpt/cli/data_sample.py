"""`cloudcpt data sample PATH`: draw some documents, into a file or onto stdout."""

import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloudcpt.cli import render
from cloudcpt.cli.amounts import ShareType, SizeType
from cloudcpt.cli.data_options import following, overwrite_option, seed_option, show_written, workers_option
from cloudcpt.cli.out_path import OutPath
from cloudcpt.cli.quantities import plural, size
from cloudcpt.errors import DatasetError

if TYPE_CHECKING:
    from cloudcpt.cli.input_places import InputPlaces
    from cloudcpt.corpus.sample import Amount, Drawn
    from cloudcpt.dataset.places import Selection

_STDOUT = Path("-")
_FILE = "sample.jsonl"


@click.command()
@click.argument("path")
@click.option(
    "--to",
    "target",
    type=OutPath(),
    default=_STDOUT,
    metavar="OUT",
    help="A file that ends in `.jsonl`, or a folder; stdout without it.",
)
@click.option("--documents", type=click.IntRange(min=1), metavar="N", help="Draw so many documents.")
@click.option("--bytes", "size_bytes", type=SizeType(), help="Draw documents of so many bytes at most, such as `10MB`.")
@click.option("--share", type=ShareType(), help="Draw each document with this chance, such as `1%`.")
@seed_option
@overwrite_option
@workers_option
@render.output_option
def command(
    path: str,
    target: Path,
    documents: int | None,
    size_bytes: int | None,
    share: float | None,
    seed: int,
    overwrite: bool,
    workers: int,
    output: str,
) -> None:
    """Draw some documents, each with the same chance, in the order in which they stand.

    PATH is read once, so `-` works too. The lines are written as they are; without --to onto stdout, so that
    `cloudcpt data sample data/ --documents 3` shows three.
    """
    from cloudcpt.cli.input_places import InputPlaces

    amount = _amount(documents, size_bytes, share)
    if target == _STDOUT and output == "json":
        raise click.UsageError("the documents themselves go to stdout: name a place for them with `--to` to get JSON")
    places = InputPlaces(Path.cwd())
    selection = places.select(path)
    if target == _STDOUT:
        _print(places, selection, amount, seed, workers)
    else:
        _write(places, selection, amount, seed, workers, target, overwrite, output)


def _amount(documents: int | None, size_bytes: int | None, share: float | None) -> "Amount":
    from cloudcpt.corpus.sample import Amount

    if sum(number is not None for number in (documents, size_bytes, share)) != 1:
        raise click.UsageError("say how much: one of `--documents 100`, `--bytes 10MB` and `--share 1%`")
    if documents is not None:
        return Amount(unit="documents", number=documents)
    return Amount(unit="share", number=share) if share is not None else Amount(unit="bytes", number=size_bytes or 0)


def _print(places: "InputPlaces", selection: "Selection", amount: "Amount", seed: int, workers: int) -> None:
    from cloudcpt.corpus.sample import sample

    with tempfile.TemporaryFile() as lines:  # the bar has to be gone before the terminal gets them
        with following(f"drawing from {selection.shown}") as progress:
            drawn = sample(places, selection, amount, seed, lines, workers=workers, progress=progress)
        lines.seek(0)
        shutil.copyfileobj(lines, sys.stdout.buffer)
    render.err().print(f"{_words(drawn)}, {size(drawn.size_bytes)}", style="faint")


def _write(
    places: "InputPlaces",
    selection: "Selection",
    amount: "Amount",
    seed: int,
    workers: int,
    target: Path,
    overwrite: bool,
    output: str,
) -> None:
    from cloudcpt.corpus.output import Output
    from cloudcpt.corpus.sample import sample, sample_work
    from cloudcpt.corpus.targets import is_single_file
    from cloudcpt.corpus.written import Written

    work = sample_work(selection, amount, seed)
    written = Output(target, work, overwrite=overwrite, sources=[selection.shown])
    name = target.name if is_single_file(target) else _FILE
    scratch = target.absolute().parent
    try:
        with following(f"drawing from {selection.shown}") as progress, written.writing(name) as file:
            drawn = sample(places, selection, amount, seed, file, scratch=scratch, workers=workers, progress=progress)
    except DatasetError:
        written.abandon()
        raise
    written.commit({"command": "data sample", **asdict(amount), "seed": seed, "drawn": asdict(drawn)})
    done = Written(target=str(target), files=1, documents=drawn.documents, size_bytes=drawn.size_bytes)
    show_written(done, output, pairs={"drawn": _words(drawn)}, more={"of_documents": drawn.of_documents})


def _words(drawn: "Drawn") -> str:
    return f"{drawn.documents:,} of {plural(drawn.of_documents, 'document')}"
