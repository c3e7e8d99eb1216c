"""Writing files once more without some of their documents: every other line is copied as it is, byte for byte.

    number of a document --Numbering--> file and line --leave_out--> the same files, without these lines

A file of which nothing stays is not written: an empty file is no dataset.
"""

import csv
import io
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from cloudcpt.corpus.output import Output
from cloudcpt.corpus.targets import is_single_file
from cloudcpt.corpus.written import Written
from cloudcpt.dataset.places import STDIN, DataPlace, InputFile
from cloudcpt.dataset.progress import DataProgress, ShowProgress
from cloudcpt.dataset.records import BUFFER_BYTES
from cloudcpt.dataset.standard_input import only_once
from cloudcpt.errors import DatasetError, Diagnostic, Place, UsageProblem, error

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DROPPED_FILE: Final = "dropped.csv"
"""In a folder of output: what was left out, and why."""


class Writing(Protocol):
    """What files are written to: an `Output`, or what takes its place on many machines."""

    @property
    def target(self) -> Path:
        """Say what it is to be: one file, when the name ends in `.jsonl`, else a folder."""
        ...

    def writing(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open one file for writing; see `Output.writing`."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Remainder:
    """What stays of a file.

    Args:
        name: In the output.
        documents: That stay.
        dropped: That do not.
        size_bytes: Of what stays; 0 when no file was written.
    """

    name: str
    documents: int
    dropped: int
    size_bytes: int


class Numbering:
    """The documents of several files, numbered from 0 in order.

    Args:
        counts: Documents of each file.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self._starts = [0, *accumulate(counts)]

    def place_of(self, document: int) -> tuple[int, int]:
        """Give the index of the file and the line, from 1, of a document."""
        file = bisect_right(self._starts, document) - 1
        return file, document - self._starts[file] + 1

    def number_of(self, file: int, line: int) -> int:
        """Give the number of a document, from the index of its file and its line, from 1."""
        return self._starts[file] + line - 1

    def among(self, documents: "NDArray[np.int64]", file: int) -> "NDArray[np.int64]":
        """Give the lines, from 1, of those documents that are in a file.

        Args:
            documents: Numbers, rising.
            file: Its index.
        """
        low, high = documents.searchsorted((self._starts[file], self._starts[file + 1]))
        return documents[low:high] - self._starts[file] + 1


def require_files(files: Sequence[InputFile], target: Path | None) -> None:
    """Refuse inputs that cannot be read twice, or would be written over each other.

    Args:
        files: The inputs.
        target: Of the output, when there is to be one.

    Raises:
        DatasetError: the data comes through a pipe.
        UsageProblem: two files would become one.
    """
    if any(file.path == STDIN for file in files):
        raise DatasetError(only_once("this reads its data twice, and a pipe gives its bytes once"))
    first: dict[str, InputFile] = {}
    found = []
    if target and is_single_file(target) and len(files) > 1:
        message = f"{len(files)} files do not fit into one, `{target}`"
        found.append(error("CPT750", message, hint="name a folder with `--to`; they keep their names in it"))
    for file in files:
        if (other := first.setdefault(file.name, file)) is not file:
            found.append(_same_name(other, file))
    if found:
        raise UsageProblem(*found)


def leave_out_all(
    place: DataPlace,
    files: Sequence[InputFile],
    documents: "NDArray[np.int64]",
    counts: Sequence[int],
    output: Output,
    *,
    progress: ShowProgress | None = None,
) -> Iterator[Remainder]:
    """Write files without some documents, those excepted that are finished.

    Args:
        place: Where the files are.
        files: In order.
        documents: The numbers of those that go, rising.
        counts: Documents of each file.
        output: Where to write.
        progress: Called after every file.

    Raises:
        DatasetError: a file has changed since it was counted.
    """
    numbering = Numbering(counts)
    seen = DataProgress(bytes_done=0, bytes_total=sum(file.size_bytes for file in files), documents=0)
    for number, (file, count) in enumerate(zip(files, counts, strict=True)):
        step = f"write {number} {file.name}"  # by number: two of them may be links to one file
        if step not in output.finished:
            lines = frozenset(numbering.among(documents, number).tolist())
            output.finish(step, asdict(leave_out(place, file, lines, count, output)))
        yield Remainder(**output.finished[step])
        seen = replace(seen, bytes_done=seen.bytes_done + file.size_bytes, documents=seen.documents + count)
        if progress:
            progress(seen)


def written_of(output: Output, remainders: Sequence[Remainder], reason: str) -> Written:
    """Sum up what was written.

    Args:
        output: The output.
        remainders: Of each file.
        reason: Why documents were left out.
    """
    return Written(
        target=str(output.target),
        files=sum(1 for one in remainders if one.documents),
        documents=sum(one.documents for one in remainders),
        size_bytes=sum(one.size_bytes for one in remainders),
        dropped={reason: sum(one.dropped for one in remainders)},
    )


def leave_out(place: DataPlace, file: InputFile, lines: Collection[int], counted: int, output: Writing) -> Remainder:
    """Write a file without some lines.

    Args:
        place: Where it is.
        file: As it was read before.
        lines: The numbers, from 1, of those to leave out; quick to look up.
        counted: How many lines it had.
        output: Where to write.

    Raises:
        DatasetError: the file has changed since it was counted.
    """
    name = output.target.name if is_single_file(output.target) else file.name
    if len(lines) == counted:
        return Remainder(name=name, documents=0, dropped=counted, size_bytes=0)
    with closing(place.open(file)) as stream, output.writing(name) as target:
        size_bytes = read = 0
        source = io.BufferedReader(stream, BUFFER_BYTES)
        for read, line in enumerate(source, start=1):
            if read not in lines:
                size_bytes += target.write(line)
        source.detach()  # which would close the stream, and we have one more question
        if read != counted or not stream.is_unchanged:
            raise DatasetError(_changed(file))
    return Remainder(name=name, documents=counted - len(lines), dropped=len(lines), size_bytes=size_bytes)


def write_dropped(output: Writing, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write what was left out as CSV."""
    with output.writing(DROPPED_FILE) as file:
        text = io.TextIOWrapper(file, "utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        text.flush()
        text.detach()


def _changed(file: InputFile) -> Diagnostic:
    message = f"`{file.shown}` changed while it was read"
    return error("CPT309", message, place=Place(path=file.shown), hint="begin again once nothing writes to it")


def _same_name(one: InputFile, other: InputFile) -> Diagnostic:
    if one.path == other.path:
        message, hint = f"`{one.shown}` is among the inputs twice", "name each file, or the folder that it is in, once"
    else:
        message = f"`{one.shown}` and `{other.shown}` would both be written as `{one.name}`"
        hint = "name the folder that both are in, so that their names stay apart, or rename one"
    return error("CPT750", message, place=Place(path=other.shown), hint=hint)
