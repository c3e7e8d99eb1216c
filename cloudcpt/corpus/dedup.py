"""Leaving out documents that are there already: the same files, without the later ones of those that are one.

    sign          every file, in blocks, in many processes -> one record per document (`signing`), in order
    find_repeats  the records alone -> which documents go (`repeats`)
    write_unique  every file once more, copied without them; dropped.csv says of each why

The three steps share nothing else, so that another engine can do the first and the last file by file, wherever it
likes, and the second where all records are. What comes out depends on the files and their order alone.

Memory: that of `repeats`, and for each file the numbers of the lines that go.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from itertools import islice
from typing import Any, Final

from cloudcpt.corpus.extras import require
from cloudcpt.corpus.leaving_out import Numbering, leave_out_all, write_dropped, written_of
from cloudcpt.corpus.output import Output
from cloudcpt.corpus.recording import RECORDS, read_records
from cloudcpt.corpus.repeats import Repeats
from cloudcpt.corpus.signing import Method, signer
from cloudcpt.corpus.work import work_of
from cloudcpt.corpus.written import Written
from cloudcpt.dataset.places import DataPlace, InputFile
from cloudcpt.dataset.progress import ShowProgress

COMMAND: Final = "data dedup"

COLUMNS: Final = ("file", "line", "kept_file", "kept_line", "method", "similarity")
"""Of dropped.csv."""

_SHOWN_EXAMPLES: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class DedupOptions:
    """What counts as one document.

    Args:
        method: How documents are compared.
        threshold: Least similarity of near documents, 0.5 to 1; other methods do not look at it.
    """

    method: Method
    threshold: float = 0.8


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeated:
    """One document that goes, and why: a row of dropped.csv.

    Args:
        file: As the user named it.
        line: From 1.
        kept_file: Where the document is that stays.
        kept_line: From 1.
        method: That found it.
        similarity: Of the two, to four digits.
    """

    file: str
    line: int
    kept_file: str
    kept_line: int
    method: str
    similarity: float


def dedup_work(files: Sequence[InputFile], options: DedupOptions) -> Mapping[str, Any]:
    """Describe the work for its output."""
    threshold = options.threshold if options.method is Method.NEAR else None
    return work_of(COMMAND, files, method=options.method, threshold=threshold)


def sign(
    place: DataPlace,
    files: Sequence[InputFile],
    options: DedupOptions,
    output: Output,
    *,
    workers: int = 0,
    progress: ShowProgress | None = None,
) -> list[int]:
    """Make a record of each document; see `recording.read_records`.

    Raises:
        DatasetError: some lines are no documents; with the first of each kind.
        SetupError: a library is missing.
    """
    require("numpy", "rensa") if options.method is Method.NEAR else require("numpy")
    return read_records(place, files, signer(options.method), output, workers=workers, progress=progress)


def write_unique(
    place: DataPlace,
    files: Sequence[InputFile],
    repeats: Repeats,
    counts: Sequence[int],
    options: DedupOptions,
    output: Output,
    *,
    progress: ShowProgress | None = None,
) -> Written:
    """Write the files without the documents that go, say of each why, and give the output its name.

    Args:
        place: Where the files are.
        files: In order.
        repeats: What goes.
        counts: Documents of each file.
        options: By which it was found.
        output: Of this work, with the records.
        progress: Called after every file.

    Raises:
        DatasetError: a file has changed since it was read.
    """
    remainders = list(leave_out_all(place, files, repeats.dropped, counts, output, progress=progress))
    write_dropped(output, COLUMNS, (astuple(row) for row in rows_of(files, repeats, counts, options)))
    written = written_of(output, remainders, options.method)
    output.discard(RECORDS)
    output.commit(report_of(files, repeats, counts, options) | {"written": asdict(written)})
    return written


def report_of(
    files: Sequence[InputFile], repeats: Repeats, counts: Sequence[int], options: DedupOptions
) -> dict[str, Any]:
    """Say what goes: in all, of each file, and the first few documents."""
    numbering = Numbering(counts)
    return {
        "command": COMMAND,
        "by": options.method,
        "threshold": options.threshold if options.method is Method.NEAR else None,
        "documents": sum(counts),
        "dropped": len(repeats.dropped),
        "files": [
            {"file": file.shown, "documents": count, "dropped": len(numbering.among(repeats.dropped, number))}
            for number, (file, count) in enumerate(zip(files, counts, strict=True))
        ],
        "examples": [asdict(row) for row in islice(rows_of(files, repeats, counts, options), _SHOWN_EXAMPLES)],
    }


def rows_of(
    files: Sequence[InputFile], repeats: Repeats, counts: Sequence[int], options: DedupOptions
) -> Iterator[Repeated]:
    """Say of each document that goes which one stays instead, in order."""
    numbering = Numbering(counts)
    for dropped, kept, similarity in zip(repeats.dropped, repeats.kept, repeats.similarity, strict=True):
        (file, line), (kept_file, kept_line) = numbering.place_of(int(dropped)), numbering.place_of(int(kept))
        yield Repeated(
            file=files[file].shown,
            line=line,
            kept_file=files[kept_file].shown,
            kept_line=kept_line,
            method=str(options.method),
            similarity=round(float(similarity), 4),
        )
