"""The first pass of a command that leaves documents out: something is noted of each, block by block, in many processes.

    blocks --recorder, in the processes--> BlockRecords --in the files' order--> one file of records, and counts

What a record is, is the command's own; it may depend on nothing but its document. A file that has been read is noted
in the journal of the output, so a command that was cut off reads the others only.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import BinaryIO, Final

from cloudcpt.corpus.output import Output
from cloudcpt.dataset.blocks import Block, records_of
from cloudcpt.dataset.findings import Findings
from cloudcpt.dataset.parallel import map_blocks
from cloudcpt.dataset.places import DataPlace, InputFile
from cloudcpt.dataset.progress import DataProgress, ShowProgress
from cloudcpt.dataset.records import Record
from cloudcpt.errors import DatasetError, Diagnostic, Severity

RECORDS: Final = ".records"
"""File of the output, while it comes into being, that holds the records in order."""

_SHOWN_FINDINGS: Final = 5

Recorder = Callable[[str, Sequence[Record]], bytes]
"""Makes the records of some documents of a file; it gets the file as the user named it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockRecords:
    """What was noted of a block.

    Args:
        documents: Lines that are documents.
        records: Of these, one after the other.
        findings: Errors of the lines that are none.
    """

    documents: int
    records: bytes
    findings: tuple[Diagnostic, ...]


def record_block(recorder: Recorder, block: Block) -> BlockRecords:
    """Read a block and note what a command wants to know of its documents."""
    documents, findings = [], []
    for item in records_of(block):
        if isinstance(item, Record):
            documents.append(item)
        elif item.severity is Severity.ERROR:
            findings.append(item)
    return BlockRecords(documents=len(documents), records=recorder(block.shown, documents), findings=tuple(findings))


def read_records(
    place: DataPlace,
    files: Sequence[InputFile],
    recorder: Recorder,
    output: Output,
    *,
    workers: int = 0,
    progress: ShowProgress | None = None,
) -> list[int]:
    """Make a record of each document, those of files that are finished excepted.

    Args:
        place: Where the files are.
        files: In order.
        recorder: Makes the records; goes to other processes, so it must be possible to pickle it.
        output: Of this work; gets the file `RECORDS`.
        workers: Processes; 0 for one per core.
        progress: Called after every block.

    Returns:
        How many documents each file has.

    Raises:
        DatasetError: some lines are no documents; with the first of each kind.
    """
    rest = [file for file in files if _step(file) not in output.finished]
    findings = Findings(_SHOWN_FINDINGS)
    seen = DataProgress(
        bytes_done=sum(file.size_bytes for file in files if file not in rest),
        bytes_total=sum(file.size_bytes for file in files),
        documents=sum(output.finished.get(_step(file), 0) for file in files),
    )
    results = map_blocks(place, rest, partial(partial, record_block, recorder), workers=workers)
    with output.appending(RECORDS):
        pass  # it is there even when there is nothing to be read
    for number, of_file in groupby(_told(results, seen, progress), key=itemgetter(0)):
        with output.appending(RECORDS) as target:
            count = _write((result for _, result in of_file), target, findings, number)
        if not findings.error_count:
            output.finish(_step(rest[number]), count)
    if findings.error_count:
        output.abandon()
        raise DatasetError(*findings.diagnostics())
    return [output.finished.get(_step(file), 0) for file in files]


def _write(results: Iterable[BlockRecords], target: BinaryIO, findings: Findings, number: int) -> int:
    """Write what was noted of one file; return how many documents that were."""
    count = 0
    for result in results:
        count += result.documents
        target.write(result.records)
        for found in result.findings:
            findings.add(found, file=number)
    return count


def _told(
    results: Iterable[tuple[Block, BlockRecords]], seen: DataProgress, progress: ShowProgress | None
) -> Iterator[tuple[int, BlockRecords]]:
    """Pass on the index of the file and the result, and say how far they have come."""
    for block, result in results:
        file, size_bytes = block.file, len(block.content)
        del block  # it may be made of memory that is wanted back
        yield file, result
        seen = replace(
            seen,
            bytes_done=seen.bytes_done + size_bytes,
            documents=seen.documents + result.documents,
            findings=seen.findings + len(result.findings),
        )
        if progress:
            progress(seen)


def _step(file: InputFile) -> str:
    return f"read {file.path}"
