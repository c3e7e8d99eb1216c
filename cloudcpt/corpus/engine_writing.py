"""Writing what stays of every file to a prefix that many machines write to: one task per file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from cloudcpt.corpus.dedup import COLUMNS, DedupOptions, report_of, rows_of
from cloudcpt.corpus.destination import Destination, Outgoing, complete
from cloudcpt.corpus.engine import Engine
from cloudcpt.corpus.engine_dedup import MakePlace
from cloudcpt.corpus.leaving_out import DROPPED_FILE, Numbering, Remainder, leave_out, write_dropped
from cloudcpt.corpus.repeats import Repeats
from cloudcpt.corpus.written import Written
from cloudcpt.dataset.places import InputFile
from cloudcpt.dataset.progress import DataProgress, ShowProgress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MakeDestination = Callable[[], Destination]
"""Makes the destination where a task runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Leaving:
    """A file, and what of it goes: lines from 1, of so many."""

    file: InputFile
    lines: "NDArray[np.int64]"
    count: int


def write_unique_on(
    engine: Engine,
    make_place: MakePlace,
    make_destination: MakeDestination,
    files: Sequence[InputFile],
    repeats: Repeats,
    counts: Sequence[int],
    options: DedupOptions,
    work: Mapping[str, Any],
    *,
    progress: ShowProgress | None = None,
) -> Written:
    """Write the files without the documents that go, say of each why, and mark the output as whole.

    Args:
        engine: Writes the files.
        make_place: Where the files are.
        make_destination: Where they go; `destination.begin` has claimed it for this work.
        files: In order.
        repeats: What goes.
        counts: Documents of each file.
        options: By which it was found.
        work: Of which this is the output.
        progress: Called after every file.

    Raises:
        DatasetError: a file has changed since it was read.
        CloudcptError: S3 does not take a file.
    """
    numbering, destination = Numbering(counts), make_destination()
    leaving = [
        _Leaving(file=file, lines=numbering.among(repeats.dropped, number), count=count)
        for number, (file, count) in enumerate(zip(files, counts, strict=True))
    ]
    remainders: list[Remainder] = []
    seen = DataProgress(bytes_done=0, bytes_total=sum(file.size_bytes for file in files), documents=0)
    for remainder in engine.each(partial(_write, make_place, make_destination), leaving):
        remainders.append(remainder)
        done = sum(file.size_bytes for file in files[: len(remainders)])
        if progress:
            documents = sum(counts[: len(remainders)])
            progress(DataProgress(bytes_done=done, bytes_total=seen.bytes_total, documents=documents))
    if destination.size_of(DROPPED_FILE) is None:
        rows = (astuple(row) for row in rows_of(files, repeats, counts, options))
        write_dropped(Outgoing(destination), COLUMNS, rows)
    written = _written(destination, remainders, options)
    complete(destination, work, report_of(files, repeats, counts, options) | {"written": asdict(written)})
    return written


def _write(make_place: MakePlace, make_destination: MakeDestination, leaving: _Leaving) -> Remainder:
    destination, dropped = make_destination(), len(leaving.lines)
    size_bytes = destination.size_of(leaving.file.name) if dropped < leaving.count else None
    if size_bytes is not None:  # an earlier command has written it
        documents = leaving.count - dropped
        return Remainder(name=leaving.file.name, documents=documents, dropped=dropped, size_bytes=size_bytes)
    lines = frozenset(leaving.lines.tolist())
    return leave_out(make_place(), leaving.file, lines, leaving.count, Outgoing(destination))


def _written(destination: Destination, remainders: Sequence[Remainder], options: DedupOptions) -> Written:
    return Written(
        target=destination.uri,
        files=sum(1 for one in remainders if one.documents),
        documents=sum(one.documents for one in remainders),
        size_bytes=sum(one.size_bytes for one in remainders),
        dropped={str(options.method): sum(one.dropped for one in remainders)},
    )
