"""Leaving out documents by what they are like, and lines by what they say: the measures of `data stats`, acted upon.

    block --filter_block, in the processes--> lines that stay, rows of dropped.csv --in the files' order--> the output

A line that goes is a line of the text, not of the file. Lines go first; what is left is what a document is judged by. A
document that is left as it was is copied byte for byte. One read, constant memory.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import Any, BinaryIO, Final

from cloudcpt.corpus.extras import require
from cloudcpt.corpus.leaving_out import DROPPED_FILE
from cloudcpt.corpus.lines import lines_of
from cloudcpt.corpus.output import Output
from cloudcpt.corpus.stats.document import look_at
from cloudcpt.corpus.stats.phrases import phrases_in
from cloudcpt.corpus.targets import is_single_file
from cloudcpt.corpus.work import work_of
from cloudcpt.corpus.written import Written
from cloudcpt.dataset.blocks import Block
from cloudcpt.dataset.findings import Findings
from cloudcpt.dataset.parallel import map_blocks
from cloudcpt.dataset.places import STDIN, DataPlace, InputFile
from cloudcpt.dataset.progress import DataProgress, ShowProgress
from cloudcpt.dataset.standard_input import only_once
from cloudcpt.errors import DatasetError, Diagnostic, error

COMMAND: Final = "data filter"

COLUMNS: Final = ("file", "line", "gone", "reason", "characters")
"""Of dropped.csv; `gone` is `document` or `lines`."""

NOTHING_LEFT: Final = "nothing left"
"""Why a document goes whose every line went."""

OTHER_LANGUAGE: Final = "language"
"""Why a document goes that is in none of the languages to keep."""

_HEAD: Final = "head of dropped.csv"
_SHOWN_FINDINGS: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterOptions:
    """What goes.

    Args:
        documents: Names of measures and of kinds of personal data; a document with one of them goes.
        lines: Kinds of phrases; a line of a text with one of them goes.
        languages: A document in none of them goes; all stay when there are none.
    """

    documents: tuple[str, ...]
    lines: tuple[str, ...]
    languages: tuple[str, ...]


@dataclass(kw_only=True, slots=True)
class FilteredBlock:
    """What stays of a block and what went.

    Args:
        content: The lines of the file that stay.
        documents: That stay.
        rows: Of dropped.csv, as CSV.
        dropped: Documents that went, by reason.
        shortened: Documents of which lines went, and that stay.
        findings: Errors of the lines that are no documents.
    """

    content: bytearray = field(default_factory=bytearray)
    documents: int = 0
    rows: bytes = b""
    dropped: Counter[str] = field(default_factory=Counter)
    shortened: int = 0
    findings: list[Diagnostic] = field(default_factory=list)


def filter_work(files: Sequence[InputFile], options: FilterOptions) -> Mapping[str, Any]:
    """Describe the work for its output.

    Raises:
        DatasetError: the data comes through a pipe.
    """
    if any(file.path == STDIN for file in files):
        raise DatasetError(only_once("what was cut off has to be read again, and a pipe gives its bytes once"))
    return work_of(COMMAND, files, **asdict(options))


def filter_files(
    place: DataPlace,
    files: Sequence[InputFile],
    options: FilterOptions,
    output: Output,
    *,
    workers: int = 0,
    progress: ShowProgress | None = None,
) -> tuple[Written, int]:
    """Write files without what is to go, and give the output its name.

    Args:
        place: Where the files are.
        files: In order.
        options: What goes.
        output: Of this work.
        workers: Processes; 0 for one per core.
        progress: Called after every block.

    Returns:
        What was written, and of how many documents in it lines went.

    Raises:
        DatasetError: some lines are no documents, with the first of each kind; a file changed meanwhile; or nothing
            stays.
        SetupError: a library is not installed.
    """
    require("numpy", "py3langid")
    if _HEAD not in output.finished:
        with output.writing(DROPPED_FILE) as file:
            file.write(_as_csv([COLUMNS]))
        output.finish(_HEAD, None)
    rest = [file for file in files if file.path not in output.finished]
    findings = Findings(_SHOWN_FINDINGS)
    blocks = map_blocks(place, rest, partial(_make_work, options), workers=workers)
    for number, of_file in groupby(_told(blocks, files, progress), key=lambda pair: pair[0]):
        noted = _write(rest[number], (result for _, result in of_file), output, findings)
        if not findings.error_count:
            output.finish(rest[number].path, noted)
    if findings.error_count:
        output.abandon()
        raise DatasetError(*findings.diagnostics())
    if not any(output.finished[file.path]["documents"] for file in files):
        output.abandon()
        hint = "`cloudcpt data stats` says how many documents have what is to go"
        raise DatasetError(error("CPT757", "there is no document left: all of them would go", hint=hint))
    return _commit(files, options, output)


def filter_block(options: FilterOptions, block: Block) -> FilteredBlock:
    """Judge the documents of a block."""
    done = FilteredBlock()
    rows: list[tuple[object, ...]] = []
    for item in lines_of(block):
        if isinstance(item, Diagnostic):
            done.findings.append(item)
            continue
        record, line = item
        text, gone = without_lines(record.text, options.lines)
        if gone:
            line = json.dumps({"text": text}, ensure_ascii=False).encode() + b"\n"
            rows += [(block.shown, record.line, "lines", kind, size) for kind, size in gone.items()]
        if reason := reason_to_go(text, options):
            done.dropped[reason] += 1
            rows.append((block.shown, record.line, "document", reason, len(text)))
            continue
        done.content += line
        done.documents += 1
        done.shortened += bool(gone)
    done.rows = _as_csv(rows)
    return done


def without_lines(text: str, kinds: Sequence[str]) -> tuple[str, Mapping[str, int]]:
    """Take lines with phrases of some kinds out of a text; say how many characters went for each kind.

    A line with phrases of two kinds goes for the first of them.
    """
    wanted = phrases_in(text.lower(), kinds)
    if not wanted:
        return text, {}
    stays, gone = [], Counter[str]()
    for line in text.split("\n"):
        small = line.lower()
        kind = next((kind for kind, here in wanted.items() if any(one in small for one in here)), None)
        if kind is None:
            stays.append(line)
        else:
            gone[kind] += len(line)
    return ("\n".join(stays), gone) if gone else (text, {})


def reason_to_go(text: str, options: FilterOptions) -> str:
    """Say why a document goes: the first reason in the order of the options; empty when it stays."""
    if not text.strip():
        return NOTHING_LEFT
    if not options.documents and not options.languages:
        return ""
    seen = look_at(text)
    if options.languages and seen.language not in options.languages:
        return OTHER_LANGUAGE
    has = {*seen.broken, *seen.sizes, *(span.kind for span in seen.personal)}
    return next((name for name in options.documents if name in has), "")


def _make_work(options: FilterOptions) -> Callable[[Block], FilteredBlock]:
    return partial(filter_block, options)


def _write(file: InputFile, blocks: Iterable[FilteredBlock], output: Output, findings: Findings) -> dict[str, Any]:
    """Write what stays of one file, and what went; return what to note of it."""
    name = output.target.name if is_single_file(output.target) else file.name
    dropped, documents, shortened, size_bytes = Counter[str](), 0, 0, 0
    with ExitStack() as open_files:
        rows = open_files.enter_context(output.appending(DROPPED_FILE))
        target: BinaryIO | None = None
        for block in blocks:
            if block.content and target is None:  # a file of which nothing stays is not written
                target = open_files.enter_context(output.writing(name))
            if target:
                size_bytes += target.write(block.content)
            rows.write(block.rows)
            dropped += block.dropped
            documents, shortened = documents + block.documents, shortened + block.shortened
            for found in block.findings:
                findings.add(found)
    return {"documents": documents, "shortened": shortened, "size_bytes": size_bytes, "dropped": dict(dropped)}


def _commit(files: Sequence[InputFile], options: FilterOptions, output: Output) -> tuple[Written, int]:
    noted = [output.finished[file.path] for file in files]
    dropped = sum((Counter(one["dropped"]) for one in noted), Counter[str]())
    written = Written(
        target=str(output.target),
        files=sum(1 for one in noted if one["documents"]),
        documents=sum(one["documents"] for one in noted),
        size_bytes=sum(one["size_bytes"] for one in noted),
        dropped=dict(sorted(dropped.items())),
    )
    shortened = sum(one["shortened"] for one in noted)
    output.commit({"command": COMMAND, **asdict(options), "written": asdict(written), "shortened": shortened})
    return written, shortened


def _told(
    blocks: Iterable[tuple[Block, FilteredBlock]], files: Sequence[InputFile], progress: ShowProgress | None
) -> Iterator[tuple[int, FilteredBlock]]:
    """Pass on the index of the file and the result, and say how far they have come."""
    seen = DataProgress(bytes_done=0, bytes_total=sum(file.size_bytes for file in files), documents=0)
    for block, result in blocks:
        file, size_bytes = block.file, len(block.content)
        del block  # it may be made of memory that is wanted back
        yield file, result
        documents = seen.documents + result.documents + result.dropped.total()
        seen = replace(seen, bytes_done=seen.bytes_done + size_bytes, documents=documents)
        if progress:
            progress(seen)


def _as_csv(rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
