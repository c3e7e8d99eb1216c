"""Check a dataset: every file, every line, every problem, in one read.

The same pass hashes each file (BLAKE3, its identity from here on), measures the documents, looks for repeated ones and
keeps excerpts of a few.
Memory does not depend on the size of the data, except for the hashes of documents (`duplicates`).
"""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloudcpt.dataset.duplicates import Duplicates
from cloudcpt.dataset.files import LocalFiles
from cloudcpt.dataset.findings import Findings
from cloudcpt.dataset.hashed import HashedFile
from cloudcpt.dataset.lengths import Lengths, LengthStats
from cloudcpt.dataset.places import DataPlace, InputFile
from cloudcpt.dataset.records import Record, read_lines
from cloudcpt.dataset.sample import Sample
from cloudcpt.errors import DatasetError, Diagnostic, Place, error, note, warning

PROGRESS_INTERVAL_S: Final = 0.25
"""Shortest time between two calls of the progress callback."""

_NOVA_BOUNDARY: Final = " [DOC] "
"""Source: Nova Forge data preparation page, as read 2026-07: `[DOC]`, with spaces, separates packed documents."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckProgress:
    """How far a check has come, over all files; `findings` counts warnings too."""

    bytes_done: int
    bytes_total: int
    documents: int
    findings: int


@dataclass(frozen=True, kw_only=True, slots=True)
class FileReport:
    """One file of a dataset.

    Args:
        name: Relative to the folder that was named, with `/`.
        path: Absolute, or the s3:// URI.
        size_bytes: Bytes read.
        lines: Lines read, good and bad.
        blake3: Of the content, 64 hex digits; empty when the file was not read to its end, which is always an error.
        etag: Of an object in S3: the content that was read.
        version_id: Of an object in a bucket that keeps versions: the version that was read.
    """

    name: str
    path: str
    size_bytes: int
    lines: int
    blake3: str
    etag: str = ""
    version_id: str = ""

    @property
    def as_input(self) -> InputFile:
        """Give what is to be opened to read the same content once more."""
        return InputFile(name=self.name, path=self.path, shown=self.path, size_bytes=self.size_bytes, etag=self.etag)


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

    @property
    def ok(self) -> bool:
        """Whether the dataset can be trained on."""
        return self.error_count == 0


def check_dataset(
    path: str, base: Path, *, first: int = 5, progress: Callable[[CheckProgress], None] | None = None
) -> DatasetReport:
    """Check data on this machine; see `check_in`.

    Args:
        path: A file, a folder or a pattern, as the user typed it.
        base: The folder that a relative path starts from.
        first: How many findings of each code to keep.
        progress: Called at the end, and a few times per second on the way.
    """
    return check_in(LocalFiles(base), path, first=first, progress=progress)


def check_in(
    place: DataPlace, path: str, *, first: int = 5, progress: Callable[[CheckProgress], None] | None = None
) -> DatasetReport:
    """Read a whole dataset and report everything that is wrong with it, and what it holds.

    Args:
        place: Where the data is.
        path: A file, a folder or a pattern, as the user typed it.
        first: How many findings of each code to keep.
        progress: Called at the end, and a few times per second on the way.

    Raises:
        DatasetError: the path does not lead to files at all; see `DataPlace.select`.
    """
    return _Check(place, path, first, progress).run()


class _Check:
    """One pass over the files that a path means."""

    def __init__(
        self, place: DataPlace, path: str, first: int, progress: Callable[[CheckProgress], None] | None
    ) -> None:
        from blake3 import blake3

        self._blake3 = blake3
        self._place = place
        self._selection = place.select(path)
        self._progress = progress
        self._findings = Findings(first)
        self._lengths = Lengths()
        self._seen = Duplicates()
        self._sample = Sample()
        self._duplicates = 0
        self._bytes_done = 0
        self._bytes_total = sum(file.size_bytes for file in self._selection.files)
        self._next_call_s = time.monotonic() + PROGRESS_INTERVAL_S

    def run(self) -> DatasetReport:
        for file in self._selection.left_out:
            place = Place(path=file.shown)
            self._findings.add(
                warning("CPT312", f"`{file.name}` does not end in `.jsonl` and is left out", place=place)
            )
        files = tuple(self._read(file) for file in self._selection.files)
        self._add_summary_findings(sum(file.lines for file in files))
        self._report_progress(self._bytes_done)
        return DatasetReport(
            name=self._selection.shown,
            files=files,
            documents=self._lengths.documents,
            size_bytes=sum(file.size_bytes for file in files),
            characters=self._lengths.characters,
            lengths=self._lengths.stats(),
            duplicate_documents=self._duplicates,
            diagnostics=self._findings.diagnostics(),
            error_count=self._findings.error_count,
            sample=self._sample.excerpts(),
        )

    def _read(self, file: InputFile) -> FileReport:
        lines, size_bytes, blake3, version_id = 0, 0, "", ""
        try:
            with closing(self._place.open(file)) as stream:
                hashed = HashedFile(stream)
                lines = self._read_lines(hashed, file.shown)
                size_bytes, blake3, version_id = hashed.size_bytes, hashed.blake3(), stream.version_id
                self._require_unchanged(hashed, file.shown)
        except DatasetError as exc:
            for found in exc.diagnostics:
                self._findings.add(found)
        self._bytes_done += size_bytes
        return FileReport(
            name=file.name,
            path=file.path,
            size_bytes=size_bytes,
            lines=lines,
            blake3=blake3,
            etag=file.etag,
            version_id=version_id,
        )

    def _read_lines(self, hashed: HashedFile, shown: str) -> int:
        """Read one file through; return how many lines that were."""
        line = 0
        for item in read_lines(hashed, shown):
            if isinstance(item, Record):
                line = item.line
                self._add_document(item, shown)
            else:
                line = item.place.line if item.place and item.place.line else line
                self._findings.add(item)
            if self._progress and time.monotonic() >= self._next_call_s:
                self._report_progress(self._bytes_done + hashed.size_bytes)
        return line

    def _add_document(self, record: Record, shown: str) -> None:
        self._lengths.add(len(record.text))
        digest = self._blake3(record.text.encode()).digest(length=16)
        if self._seen.is_repeated(digest):
            self._duplicates += 1
            message = "the document is equal to an earlier one"
            self._findings.add(warning("CPT350", message, place=_place_of(record, shown)))
        else:
            self._sample.offer(digest, record.text)
        if _NOVA_BOUNDARY in record.text:
            message = "the text holds ` [DOC] `, where Nova models split documents and open-weights models do not"
            self._findings.add(note("CPT353", message, place=_place_of(record, shown)))

    def _require_unchanged(self, hashed: HashedFile, shown: str) -> None:
        if not hashed.is_unchanged:
            hint = "check it again once nothing writes to it"
            message = f"`{shown}` changed while it was read"
            self._findings.add(error("CPT309", message, place=Place(path=shown), hint=hint))

    def _add_summary_findings(self, lines: int) -> None:
        if lines and not self._lengths.documents:
            message = f"not one of {lines} lines is a document"
            self._findings.add(error("CPT351", message, place=Place(path=self._selection.shown)))
        if not self._seen.is_complete:
            message = f"repeated documents were counted among the first {self._seen.documents} different ones only"
            self._findings.add(note("CPT352", message, place=Place(path=self._selection.shown)))

    def _report_progress(self, bytes_done: int) -> None:
        if self._progress:
            self._next_call_s = time.monotonic() + PROGRESS_INTERVAL_S
            self._progress(
                CheckProgress(
                    bytes_done=bytes_done,
                    bytes_total=self._bytes_total,
                    documents=self._lengths.documents,
                    findings=self._findings.total,
                )
            )


def _place_of(record: Record, shown: str) -> Place:
    return Place(path=shown, line=record.line, byte=record.byte)
