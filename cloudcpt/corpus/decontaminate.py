"""Leaving out documents that overlap with evaluation sets, so that a score measures what was learned.

    find_overlaps  every file, in blocks, in many processes -> a record for each document that overlaps
    write_clean    every file once more, copied without them; dropped.csv names the evaluation text and the words

A document goes when it holds one run of thirteen words of an evaluation text (`evaluation_sets`), as for GPT-3; or,
with a share, when it holds at least so many of the runs of one evaluation text. Whole documents go: a text with a hole
in it is no text. Unlike for GPT-3, runs that many documents hold (licences, titles of laws) count like any other; a
share keeps them from counting.

Memory: that of the evaluation sets in each process, and 8 bytes for each document that goes.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloudcpt.corpus.evaluation_sets import EvaluationSets, overlap
from cloudcpt.corpus.leaving_out import Numbering, leave_out_all, write_dropped, written_of
from cloudcpt.corpus.normal_form import word_hashes, words_of
from cloudcpt.corpus.output import Output
from cloudcpt.corpus.recording import RECORDS, Recorder, read_records
from cloudcpt.corpus.work import work_of
from cloudcpt.corpus.written import Written
from cloudcpt.dataset.places import DataPlace, InputFile
from cloudcpt.dataset.progress import ShowProgress
from cloudcpt.dataset.records import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COMMAND: Final = "data decontaminate"

COLUMNS: Final = ("file", "line", "evaluation_file", "evaluation_line", "share", "words")
"""Of dropped.csv."""

_SHOWN_EXAMPLES: Final = 10
_SHOWN_WORDS: Final = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class DecontaminateOptions:
    """What counts as an overlap.

    Args:
        columns: Fields of an evaluation set that are its text.
        run_words: Words of a run.
        share: Of the runs of one evaluation text, how many a document must hold at least to go; 0 for one run.
    """

    columns: tuple[str, ...]
    run_words: int
    share: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlapping:
    """One document that overlaps: a row of dropped.csv.

    Args:
        file: As the user named it.
        line: From 1.
        evaluation_file: As the user named it.
        evaluation_line: From 1.
        share: Of the different runs of the evaluation text, those in the document, to four digits.
        words: The first stretch that both have, at most 50 words of it.
    """

    file: str
    line: int
    evaluation_file: str
    evaluation_line: int
    share: float
    words: str


def decontaminate_work(
    files: Sequence[InputFile], against: Sequence[InputFile], options: DecontaminateOptions
) -> Mapping[str, Any]:
    """Describe the work for its output."""
    evaluation = work_of(COMMAND, against)
    return work_of(COMMAND, files, against=evaluation, **asdict(options))


def find_overlaps(
    place: DataPlace,
    files: Sequence[InputFile],
    sets: EvaluationSets,
    options: DecontaminateOptions,
    output: Output,
    *,
    workers: int = 0,
    progress: ShowProgress | None = None,
) -> list[int]:
    """Note each document that overlaps; see `recording.read_records`.

    Raises:
        DatasetError: some lines are no documents; with the first of each kind.
    """
    recorder = overlap_recorder(sets, options)
    return read_records(place, files, recorder, output, workers=workers, progress=progress)


def overlap_recorder(sets: EvaluationSets, options: DecontaminateOptions) -> Recorder:
    """Make what notes the documents that overlap, each as a line of JSON: the fields of `Overlapping`."""
    return partial(_record, sets, options.share)


def overlaps_in(records: Path) -> Iterator[Overlapping]:
    """Read what `find_overlaps` has noted, in order."""
    with records.open("rb") as lines:
        for line in lines:
            yield Overlapping(**json.loads(line))


def report_of(
    files: Sequence[InputFile],
    counts: Sequence[int],
    sets: EvaluationSets,
    options: DecontaminateOptions,
    records: Path,
) -> dict[str, Any]:
    """Say what goes: in all, of each file and by each evaluation set, and the first few documents."""
    by_file = Counter(row.file for row in overlaps_in(records))
    by_set = Counter(row.evaluation_file for row in overlaps_in(records))
    return {
        "command": COMMAND,
        "words": options.run_words,
        "share": options.share,
        "documents": sum(counts),
        "dropped": by_file.total(),
        "files": [
            {"file": file.shown, "documents": count, "dropped": by_file[file.shown]}
            for file, count in zip(files, counts, strict=True)
        ],
        "evaluation": {
            "texts": len(sets.size),
            "too_short": sets.short,
            "files": [{"file": file, "dropped": by_set[file]} for file in sets.files],
        },
        "examples": [asdict(row) for row in islice(overlaps_in(records), _SHOWN_EXAMPLES)],
    }


def write_clean(
    place: DataPlace,
    files: Sequence[InputFile],
    counts: Sequence[int],
    report: Mapping[str, Any],
    output: Output,
    *,
    progress: ShowProgress | None = None,
) -> Written:
    """Write the files without the documents that overlap, say of each why, and give the output its name.

    Args:
        place: Where the files are.
        files: In order.
        counts: Documents of each file.
        report: As `report_of` makes it.
        output: Of this work, with the records.
        progress: Called after every file.

    Raises:
        DatasetError: a file has changed since it was read.
    """
    records = output.path_of(RECORDS)
    dropped = _documents(files, counts, overlaps_in(records))
    remainders = list(leave_out_all(place, files, dropped, counts, output, progress=progress))
    write_dropped(output, COLUMNS, map(astuple, overlaps_in(records)))
    written = written_of(output, remainders, "overlapping")
    output.discard(RECORDS)
    output.commit({**report, "written": asdict(written)})
    return written


def _documents(files: Sequence[InputFile], counts: Sequence[int], rows: Iterable[Overlapping]) -> "NDArray[np.int64]":
    import numpy as np

    numbering, index = Numbering(counts), {file.shown: number for number, file in enumerate(files)}
    return np.fromiter((numbering.number_of(index[row.file], row.line) for row in rows), np.int64)


def _record(sets: EvaluationSets, share: float, shown: str, documents: Sequence[Record]) -> bytes:
    rows = (_overlapping(sets, share, shown, document) for document in documents)
    return b"".join(json.dumps(asdict(row), ensure_ascii=False).encode() + b"\n" for row in rows if row)


def _overlapping(sets: EvaluationSets, share: float, shown: str, document: Record) -> Overlapping | None:
    found = overlap(word_hashes(document.text), sets)
    if found is None or found.share < share:
        return None
    until = min(found.end, found.start + _SHOWN_WORDS)
    return Overlapping(
        file=shown,
        line=document.line,
        evaluation_file=sets.files[sets.file[found.text]],
        evaluation_line=int(sets.line[found.text]),
        share=round(found.share, 4),
        words=" ".join(words_of(document.text)[found.start : until]),
    )
