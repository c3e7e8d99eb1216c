"""`cloudcpt data split PATH --to OUT`: set some documents aside for validation."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloudcpt.cli import render
from cloudcpt.cli.amounts import ShareOrCount
from cloudcpt.cli.data_options import following, overwrite_option, seed_option, tell_going_on, workers_option
from cloudcpt.cli.excerpt import printable
from cloudcpt.cli.out_path import OutPath
from cloudcpt.cli.quantities import plural, size

if TYPE_CHECKING:
    from cloudcpt.corpus.split import Splitting
    from cloudcpt.corpus.written import Written


@click.command()
@click.argument("path")
@click.option(
    "--to",
    "target",
    type=OutPath(),
    required=True,
    metavar="OUT",
    help="The folder to write: OUT/train and OUT/validation.",
)
@click.option(
    "--validation",
    type=ShareOrCount(),
    default="1%",
    show_default=True,
    help="What to set aside: a share of the documents, or at most how many.",
)
@click.option(
    "--exact-only", is_flag=True, help="Keep only equal texts on one side, not those that resemble each other; faster."
)
@seed_option
@overwrite_option
@workers_option
@render.output_option
def command(
    path: str,
    target: Path,
    validation: float | int,
    exact_only: bool,
    seed: int,
    overwrite: bool,
    workers: int,
    output: str,
) -> None:
    """Set some documents aside for validation.

    A hash of its text and the seed decides about each document. Texts that are equal, or that resemble each other (at
    least 80 % of their runs of five words are in both), stay together, so that validation measures what was learned and
    not what was remembered. With a share, data can be added later without a document changing sides, unless something
    is added that resembles it.

    Lines are written as they are, under the names of their files, to OUT/train and OUT/validation.
    """
    from cloudcpt.cli.input_places import InputPlaces
    from cloudcpt.corpus.output import Output
    from cloudcpt.corpus.split import SplitOptions, split, split_work

    if target.suffix == ".jsonl":
        raise click.UsageError(f"`--to {target}` is one file, and a split is two: name a folder")
    places, options = InputPlaces(Path.cwd()), SplitOptions(validation=validation, seed=seed, near=not exact_only)
    selection = places.select(path)
    written = Output(target, split_work(selection, options), overwrite=overwrite, sources=[path])
    tell_going_on(written, 1 + len(selection.files), "step")
    with following(f"splitting {path}") as progress:
        done = split(places, selection, options, written, workers=workers, progress=progress)
    done = replace(done, train=_below(target, done.train), validation=_below(target, done.validation))
    _show(done, output)


def _below(target: Path, written: "Written") -> "Written":
    return replace(written, target=str(target / written.target))


def _show(done: "Splitting", output: str) -> None:
    if output == "json":
        render.print_json({"ok": True, "train": done.train, "validation": done.validation, "groups": done.groups})
        return
    for written in (done.train, done.validation):
        render.out().print(printable(_line(written, done.train.documents + done.validation.documents)))
    if done.groups:
        groups = plural(done.groups, "group")
        render.show_pairs([("  kept together", f"{groups} of documents that resemble each other")])


def _line(written: "Written", documents: int) -> str:
    what, files = plural(written.documents, "document"), plural(written.files, "file")
    return f"{written.target}: {what} ({written.documents / documents:.2%}) in {files}, {size(written.size_bytes)}"
