"""Check a dataset: every file, every line, every problem, in one read.

    files --Feed--> blocks --BlockCheck, in as many processes as there are cores--> BlockReports, in order --> report

The same pass hashes each file (BLAKE3, its identity from here on, and CRC64NVME, which S3 verifies), measures the
documents, looks for repeated ones and keeps excerpts of a few. Memory does not depend on the size of the data.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from cloudcpt.dataset.block_check import BlockCheck, BlockReport
from cloudcpt.dataset.blocks import BLOCK_BYTES
from cloudcpt.dataset.cuts import Cut
from cloudcpt.dataset.duplicates import Duplicates, Spot
from cloudcpt.dataset.feed import Feed, FileEnd
from cloudcpt.dataset.files import LocalFiles
from cloudcpt.dataset.findings import Findings
from cloudcpt.dataset.lengths import Lengths, LengthStats
from cloudcpt.dataset.overlap import SeeDocument
from cloudcpt.dataset.parallel import map_feed, processes
from cloudcpt.dataset.places import DataPlace, InputFile
from cloudcpt.dataset.progress import DataProgress, ShowProgress
from cloudcpt.dataset.sample import Sample
from cloudcpt.errors import Diagnostic, Place, error, note, warning

PROGRESS_INTERVAL_S: Final = 0.25
"""Shortest time between two calls of the progress callback."""

ALONE_BYTES: Final = 64 << 20
"""Less data than this is checked in this process: other interpreters take as long to start as to check it."""

MOST_WORKERS: Final = 4
"""As many as keep up with the one process that reads, hashes and puts together, at 2 to 3 GB/s. Source: measured with
bench/validate.py, 2026-11: 0.4 CPU s per GB there, 0.8 in the workers."""


FoundInFile = tuple[Cut, BlockReport] | FileEnd
"""What was found in a block, or, after all blocks of a file, how it ended."""

ReadFiles = Callable[[DataPlace, Sequence[InputFile], int], Iterator[FoundInFile]]
"""Reads files, in order; the number is how many findings of each code to keep."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileReport:
    """One file of a dataset.

    Args:
        name: Relative to the folder that was named, with `/`.
        path: Absolute, or the s3:// URI.
        size_bytes: Of the lines that were read: of the file, unless there is an error.
        lines: Lines read, good and bad.
        blake3: Of the content, 64 hex digits; empty when the file was not read to its end, which is always an error.
        etag: Of an object in S3: the content that was read.
        version_id: Of an object in a bucket that keeps versions: the version that was read.
        is_pinned: Whether that version was asked for, and not the newest.
        crc64nvme: Of the content, in base64 as S3 has it; empty when `blake3` is.
    """

    name: str
    path: str
    size_bytes: int
    lines: int
    blake3: str
    etag: str = ""
    version_id: str = ""
    is_pinned: bool = False
    crc64nvme: str = ""

    @property
    def as_input(self) -> InputFile:
        """Give what is to be opened to read the same content once more."""
        return InputFile(
            name=self.name,
            path=self.path,
            shown=self.path,
            size_bytes=self.size_bytes,
            etag=self.etag,
            version_id=self.version_id if self.is_pinned else "",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetReport:
    """What a check found.

    Args:
        name: The dataset as the user named it.
        files: In the order in which documents are numbered.
        documents: Lines that are documents.
        size_bytes: Of all files.
        characters: Of all documents.
        lengths: Of the documents.
        duplicate_documents: Documents that are equal to an earlier one.
        diagnostics: The first few of each code, in order; `count` is how many there are of that code.
        error_count: All errors, kept or not.
        sample: Excerpts of a few documents, which stand for all (`cloudcpt.dataset.sample`).
        sample_lengths: Characters of these documents.
    """

    name: str
    files: tuple[FileReport, ...]
    documents: int
    size_bytes: int
    characters: int
    lengths: LengthStats
    duplicate_documents: int
    diagnostics: tuple[Diagnostic, ...]
    error_count: int
    sample: tuple[str, ...]
    sample_lengths: tuple[int, ...]

    @property
    def lines(self) -> int:
        """Lines of all files, good and bad."""
        return sum(file.lines for file in self.files)

    @property
    def ok(self) -> bool:
        """Whether the dataset can be trained on."""
        return self.error_count == 0


def check_dataset(
    path: str,
    base: Path,
    *,
    first: int = 5,
    progress: ShowProgress | None = None,
    workers: int = 0,
    block_bytes: int = BLOCK_BYTES,
) -> DatasetReport:
    """Check data on this machine; see `check_in`.

    Args:
        path: A file, a folder or a pattern, as the user typed it.
        base: The folder that a relative path starts from.
        first: How many findings of each code to keep.
        progress: Called at the end, and a few times per second on the way.
        workers: As in `check_in`.
        block_bytes: As in `check_in`.
    """
    place = LocalFiles(base)
    return check_in(place, path, first=first, progress=progress, workers=workers, block_bytes=block_bytes)


def check_in(
    place: DataPlace,
    path: str,
    *,
    first: int = 5,
    progress: ShowProgress | None = None,
    see: SeeDocument | None = None,
    read: ReadFiles | None = None,
    workers: int = 0,
    block_bytes: int = BLOCK_BYTES,
) -> DatasetReport:
    """Read a whole dataset and report everything that is wrong with it, and what it holds.

    The report is the same for any number of processes and any size of blocks.

    Args:
        place: Where the data is.
        path: A file, a folder or a pattern, as the user typed it.
        first: How many findings of each code to keep.
        progress: Called at the end, and a few times per second on the way.
        see: Told of every document, in order.
        read: Reads the files somewhere else, such as on many machines; then the next two mean nothing.
        workers: Processes; 1 to do everything here; 0 for that if there is little data, and else one per core.
        block_bytes: About how much a process is given at a time.

    Raises:
        DatasetError: the path does not lead to files at all; see `DataPlace.select`.
        SetupError: a worker process has died.
    """
    check = _Check(place, path, first, progress, see)
    check.read(read or partial(read_blocks, workers=workers, block_bytes=block_bytes))
    return check.report()


def read_blocks(
    place: DataPlace, files: Sequence[InputFile], first: int, *, workers: int, block_bytes: int
) -> Iterator[FoundInFile]:
    """Check the blocks of some files, as `check_in` does; see `ReadFiles`."""
    num_processes = processes(files, workers, alone_bytes=ALONE_BYTES, most=MOST_WORKERS)
    ended = 0
    with Feed(place, files, block_bytes) as feed:
        for cut, _, found in map_feed(feed, partial(BlockCheck, first), num_processes):
            yield from feed.ends[ended : cut.file]
            ended = cut.file
            yield cut, found
        yield from feed.ends[ended:]


class _Check:
    """One pass over the files that a path means: puts together what is found in their blocks, in order."""

    def __init__(
        self, place: DataPlace, path: str, first: int, progress: ShowProgress | None, see: SeeDocument | None
    ) -> None:
        self._place = place
        self._selection = place.select(path)
        self._first = first
        self._progress = progress
        self._see = see
        self._findings = Findings(first)
        self._lengths = Lengths()
        self._seen = Duplicates(first)
        self._sample = Sample()
        self._files: list[FileReport] = []
        self._has_crlf = False
        self._bytes_total = sum(file.size_bytes for file in self._selection.files)
        self._next_call_s = time.monotonic() + PROGRESS_INTERVAL_S

    def read(self, read: ReadFiles) -> None:
        """Read every file once."""
        for file in self._selection.left_out:
            message = f"`{file.name}` does not end in `.jsonl` and is left out"
            self._findings.add(warning("CPT312", message, place=Place(path=file.shown)), file=-1)
        for found in read(self._place, self._selection.files, self._first):
            if isinstance(found, FileEnd):
                self._end_file(found)
            else:
                self._add(*found)

    def report(self) -> DatasetReport:
        """Sum up."""
        self._add_late_duplicates()
        self._add_summary_findings()
        size_bytes = sum(file.size_bytes for file in self._files)
        self._show(size_bytes)
        return DatasetReport(
            name=self._selection.shown,
            files=tuple(self._files),
            documents=self._lengths.documents,
            size_bytes=size_bytes,
            characters=self._lengths.characters,
            lengths=self._lengths.stats(),
            duplicate_documents=self._seen.count,
            diagnostics=self._findings.diagnostics(),
            error_count=self._findings.error_count,
            sample=self._sample.excerpts(),
            sample_lengths=self._sample.lengths(),
        )

    def _end_file(self, end: FileEnd) -> None:
        """Report the next file, after all that was found in it."""
        number = len(self._files)
        for found in end.findings:
            self._findings.add(found, file=number)
        self._files.append(_file_report(self._selection.files[number], end))
        self._has_crlf = False

    def _add(self, cut: Cut, found: BlockReport) -> None:
        if found.crlf and not self._has_crlf:
            self._has_crlf = True
            self._findings.add(found.crlf, file=cut.file)
        self._findings.add_all(found.findings, file=cut.file)
        self._lengths.add_all(found.characters)
        repeated = self._seen.add(found.digests, file=cut.file, lines=found.lines, offsets=found.offsets)
        self._add_repeated(
            len(repeated),
            [Spot(file=cut.file, line=found.lines[at], byte=found.offsets[at]) for at in repeated[: self._first]],
        )
        for digest, excerpt in found.drawn:
            self._sample.add(digest, excerpt)
        if self._see:
            for digest, line, byte in zip(found.digests, found.lines, found.offsets, strict=True):
                self._see(digest, cut.shown, line, byte)
        if time.monotonic() >= self._next_call_s:
            self._show(sum(file.size_bytes for file in self._files) + cut.byte + cut.size_bytes)

    def _add_late_duplicates(self) -> None:
        in_time = self._seen.count
        spots = self._seen.late()
        self._add_repeated(self._seen.count - in_time, spots)

    def _add_repeated(self, count: int, spots: Sequence[Spot]) -> None:
        """Count repeated documents, of which only the first few are named."""
        self._findings.add_some(count, [(spot.file, self._repeated(spot)) for spot in spots])

    def _repeated(self, spot: Spot) -> Diagnostic:
        place = Place(path=self._selection.files[spot.file].shown, line=spot.line, byte=spot.byte)
        return warning("CPT350", "the document is equal to an earlier one", place=place)

    def _add_summary_findings(self) -> None:
        place = Place(path=self._selection.shown)
        if self._lengths.documents == 0 and (lines := sum(file.lines for file in self._files)):
            message = f"not one of {lines} lines is a document"
            self._findings.add(error("CPT351", message, place=place), file=len(self._files))
        if not self._seen.is_complete:
            message = "not all repeated documents were counted: there was no room on the disk to remember all documents"
            hint = "set `TMPDIR` to a folder with room for 32 bytes per document"
            self._findings.add(note("CPT352", message, place=place, hint=hint), file=len(self._files))

    def _show(self, bytes_done: int) -> None:
        if self._progress:
            self._next_call_s = time.monotonic() + PROGRESS_INTERVAL_S
            self._progress(
                DataProgress(
                    bytes_done=bytes_done,
                    bytes_total=self._bytes_total,
                    documents=self._lengths.documents,
                    findings=self._findings.total,
                )
            )


def _file_report(file: InputFile, end: FileEnd) -> FileReport:
    return FileReport(
        name=file.name,
        path=file.path,
        size_bytes=end.size_bytes,
        lines=end.lines,
        blake3=end.blake3,
        etag=file.etag,
        version_id=end.version_id,
        is_pinned=bool(file.version_id),
        crc64nvme=end.crc64nvme,
    )
