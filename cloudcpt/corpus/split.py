"""Setting documents aside for validation: OUT/train and OUT/validation, under the names that the files had.

    read --> sides --noted in the journal--> each file once more, line by line --> its two files, noted when whole

Lines are written as they are, byte for byte. A file that has no document on a side is not there.
"""

import io
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Final, Literal

from cloudcpt.corpus.output import Output
from cloudcpt.corpus.sides import THRESHOLD, Sides, find_sides
from cloudcpt.corpus.work import work_of
from cloudcpt.corpus.written import Written
from cloudcpt.dataset.places import STDIN, DataPlace, InputFile, Selection
from cloudcpt.dataset.progress import ShowProgress
from cloudcpt.dataset.records import BUFFER_BYTES
from cloudcpt.dataset.standard_input import only_once
from cloudcpt.errors import DatasetError, Diagnostic, Place, error

Side = Literal["train", "validation"]

TRAIN: Final[Side] = "train"
VALIDATION: Final[Side] = "validation"

_SIDES: Final = "which side"
_COMMAND: Final = "data split"


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitOptions:
    """How to split.

    Args:
        validation: The share of documents for validation, between 0 and 1; or, as an integer, how many.
        seed: Another one, another split.
        near: Keep near-duplicates on one side.
    """

    validation: float | int
    seed: int
    near: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Splitting:
    """What a split came to; targets are relative to its output.

    Args:
        train: What there is to train on.
        validation: What was set aside.
        groups: Of near-duplicates, each on one side; 0 when they were not looked for.
    """

    train: Written
    validation: Written
    groups: int


def split_work(selection: Selection, options: SplitOptions) -> Mapping[str, Any]:
    """Describe a split for its output.

    Raises:
        DatasetError: the data comes through a pipe, and has to be read twice.
    """
    if any(file.path == STDIN for file in selection.files):
        raise DatasetError(only_once("a split reads its data twice, and a pipe gives its bytes once"))
    return work_of(_COMMAND, selection.files, **asdict(options), threshold=THRESHOLD)


def split(
    place: DataPlace,
    selection: Selection,
    options: SplitOptions,
    output: Output,
    *,
    workers: int = 0,
    progress: ShowProgress | None = None,
) -> Splitting:
    """Split a dataset, and give the output its name.

    Args:
        place: Where the dataset is.
        selection: Its files.
        options: How.
        output: A folder, of the work that `split_work` describes.
        workers: Processes; 0 for one per core.
        progress: Called after every block that is read to find the sides.

    Raises:
        DatasetError: a line is no document, a file changed meanwhile, or a side would be empty.
        SetupError: a library is missing that near-duplicates need.
    """
    files, before = selection.files, split_work(selection, options)
    try:
        sides = _sides(place, files, options, output, workers, progress)
        _require_both(sides, options)
        for number, file in enumerate(files):
            if file.path not in output.finished:
                output.finish(file.path, _write(place, file, sides, number, output))
        if split_work(selection, options) != before:
            raise DatasetError(_changed(selection.shown))
    except DatasetError:
        output.abandon()
        raise
    noted = [output.finished[file.path] for file in files]
    train, validation = _written(TRAIN, noted), _written(VALIDATION, noted)
    done = Splitting(train=train, validation=validation, groups=sides.groups)
    output.commit({"command": _COMMAND, **asdict(options), **asdict(done)})
    return done


def _sides(
    place: DataPlace,
    files: Sequence[InputFile],
    options: SplitOptions,
    output: Output,
    workers: int,
    progress: ShowProgress | None,
) -> Sides:
    """Find the sides, or take those that an earlier command has found."""
    if (noted := output.finished.get(_SIDES)) is None:
        found = find_sides(
            place, files, **asdict(options), scratch=output.target.absolute().parent, workers=workers, progress=progress
        )
        noted = asdict(found)
        output.finish(_SIDES, noted)
    return Sides(
        validation=tuple(map(tuple, noted["validation"])), documents=tuple(noted["documents"]), groups=noted["groups"]
    )


def _require_both(sides: Sides, options: SplitOptions) -> None:
    documents, chosen = sum(sides.documents), sum(map(len, sides.validation))
    if chosen and chosen < documents:
        return
    where = "all fell" if chosen else "none fell"
    hint = "ask for a number of documents, such as `--validation 10`"
    if isinstance(options.validation, int):
        hint = "ask for more: the next group of equal or similar documents is larger; or try another `--seed`"
    raise DatasetError(error("CPT386", f"of {documents:,} documents {where} to validation", hint=hint))


def _write(place: DataPlace, file: InputFile, sides: Sides, number: int, output: Output) -> dict[str, Any]:
    """Write the two files of a file; return what to note of it."""
    chosen, documents = frozenset(sides.validation[number]), sides.documents[number]
    counts = {TRAIN: documents - len(chosen), VALIDATION: len(chosen)}
    sizes = dict.fromkeys(counts, 0)
    with ExitStack() as resources:
        source = resources.enter_context(closing(place.open(file)))
        lines = resources.enter_context(io.BufferedReader(source, BUFFER_BYTES))
        targets: dict[Side, BinaryIO] = {
            side: resources.enter_context(output.writing(f"{side}/{PurePosixPath(file.name)}"))
            for side, count in counts.items()
            if count
        }
        read = 0
        for read, line in enumerate(lines, start=1):
            side = VALIDATION if read in chosen else TRAIN
            if read > documents:
                break
            sizes[side] += targets[side].write(line if line.endswith(b"\n") else line + b"\n")
    if read != documents:
        raise DatasetError(_changed(file.shown))
    return {side: [counts[side], sizes[side]] for side in counts}


def _changed(shown: str) -> Diagnostic:
    hint = "give the command again once nothing writes to it"
    return error("CPT309", f"`{shown}` changed while it was split", place=Place(path=shown), hint=hint)


def _written(side: Side, noted: Sequence[Mapping[str, Any]]) -> Written:
    return Written(
        target=side,
        files=sum(1 for one in noted if one[side][0]),
        documents=sum(one[side][0] for one in noted),
        size_bytes=sum(one[side][1] for one in noted),
    )
