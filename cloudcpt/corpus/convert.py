"""Turn files of other formats into JSON lines that validation accepts, document by document.

    file --reading--> rows --choose--> texts --_line--> {"text": ...}, one file of output for each that is read

A row that is no document stops everything by default, once all such rows have been found: nothing is written that
somebody would have to look through again. With `skip_bad` it is left out and counted; blank rows always are.
Memory depends on the largest row, and on the largest row group of a Parquet file; not on the size of the data.
"""

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, Final

from cloudcpt.corpus.file_lines import FileLines, Making
from cloudcpt.corpus.output import Output
from cloudcpt.corpus.sources import Source, Sources
from cloudcpt.corpus.targets import is_single_file
from cloudcpt.corpus.work import work_of
from cloudcpt.corpus.written import Written
from cloudcpt.dataset.files import unreadable
from cloudcpt.dataset.findings import Findings
from cloudcpt.dataset.places import EXTENSION
from cloudcpt.dataset.progress import DataProgress, ShowProgress
from cloudcpt.errors import DatasetError, Diagnostic, error

COMMAND: Final = "data convert"

FILE_LIMIT_BYTES: Final = 5 * 10**9
"""Source: Nova Forge data preparation page, as read 2026-07: 5 GB a file."""

_INTERVAL_S: Final = 0.25
_STEP_FILES: Final = 64
_STEP_BYTES: Final = 16 << 20
"""So much work at most is lost by a kill; a note for each of a million small files would take longer than they do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Converted:
    """What became of one file.

    Args:
        name: From the folder that all files lie in.
        format: In words.
        documents: Written.
        size_bytes: Of what was written.
        files: That were written; 0 where a single file is written for all, or there were no documents.
        columns: That were taken without being named; empty where there was nothing to decide.
        dropped: Rows that are no documents, by reason.
    """

    name: str
    format: str
    documents: int
    size_bytes: int
    files: int
    columns: tuple[str, ...]
    dropped: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversion:
    """What a conversion did: what it wrote in all, what became of each file, and what should be read."""

    written: Written
    sources: tuple[Converted, ...]
    warnings: tuple[Diagnostic, ...]


def convert_work(sources: Sources, making: Making, max_bytes: int) -> Mapping[str, Any]:
    """Describe the work, for an `Output`."""
    return work_of(COMMAND, [source.file for source in sources.files], max_bytes=max_bytes, **asdict(making))


def convert(
    sources: Sources,
    output: Output,
    making: Making,
    *,
    max_bytes: int = FILE_LIMIT_BYTES,
    first: int = 5,
    progress: ShowProgress | None = None,
) -> Conversion:
    """Convert files, but for those that an earlier command has finished.

    Args:
        sources: What to convert.
        output: Where to write; of the work that `convert_work` describes.
        making: How texts are made.
        max_bytes: Of one file of output, unless it is the only one.
        first: How many findings of each code to keep.
        progress: Called a few times per second, and at the end.

    Raises:
        DatasetError: rows that are no documents, files that cannot be read, or not one document: all at once, and
            nothing is written.
        SetupError: a library is not installed, or the output cannot be written.
    """
    run = _Run(sources, output, making, max_bytes, Findings(first), progress)
    for number, source in enumerate(sources.files):
        if source.file.name not in output.finished:
            run.convert(number, source)
    run.finish()
    run.show()
    found = run.findings
    for left_out in sources.left_out:
        found.add(left_out, file=len(sources.files))
    done = [Converted(**{**noted, "columns": tuple(noted["columns"])}) for noted in output.finished.values()]
    others = f" and {len(done) - 1} more" if len(done) > 1 else ""
    if not found.error_count and not any(one.documents for one in done):
        hint = "all are blank or null"
        found.add(error("CPT378", f"there is no document in `{sources.files[0].file.shown}`{others}", hint=hint))
    if found.error_count:
        output.abandon()
        raise DatasetError(*found.diagnostics())
    written = _written(output, done)
    output.commit({"command": COMMAND, "written": asdict(written), "sources": [asdict(one) for one in done]})
    return Conversion(written=written, sources=tuple(done), warnings=found.diagnostics())


def _written(output: Output, done: Sequence[Converted]) -> Written:
    dropped: Counter[str] = Counter()
    for one in done:
        dropped.update(one.dropped)
    return Written(
        target=str(output.target),
        files=1 if is_single_file(output.target) else sum(one.files for one in done),
        documents=sum(one.documents for one in done),
        size_bytes=sum(one.size_bytes for one in done),
        dropped=dict(dropped),
    )


class _Run:
    """One conversion of many files; what is wrong with each is collected."""

    def __init__(
        self,
        sources: Sources,
        output: Output,
        making: Making,
        max_bytes: int,
        findings: Findings,
        progress: ShowProgress | None,
    ) -> None:
        self.findings = findings
        self._output = output
        self._making = making
        self._max_bytes = max_bytes
        self._progress = progress
        self._bytes_total = sum(source.file.size_bytes for source in sources.files)
        finished = [source for source in sources.files if source.file.name in output.finished]
        self._bytes_done = sum(source.file.size_bytes for source in finished)
        self._documents = 0
        self._pending: dict[str, Any] = {}
        self._pending_bytes = 0
        self._next_call_s = 0.0

    def convert(self, number: int, source: Source) -> None:
        """Convert one file, the n-th, and note it as finished if all of it could be read."""
        errors = self.findings.error_count
        lines, before = FileLines(source, self._making), self._documents
        try:
            files, size_bytes = self._write(self._counted(number, lines), source.file.name)
        except DatasetError as exc:
            for found in exc.diagnostics:
                self.findings.add(found, file=number)
        except OSError as exc:
            self.findings.add(unreadable(source.file.shown, exc), file=number)
        self._bytes_done += source.file.size_bytes
        if self.findings.error_count > errors:
            return
        done = Converted(
            name=source.file.name,
            format=source.kind.format,
            documents=self._documents - before,
            size_bytes=size_bytes,
            files=files,
            columns=lines.columns,
            dropped=dict(lines.dropped),
        )
        self._pending[done.name] = asdict(done)
        self._pending_bytes += size_bytes
        if len(self._pending) >= _STEP_FILES or self._pending_bytes >= _STEP_BYTES:
            self.finish()

    def finish(self) -> None:
        """Note the files that are done, so that they need not be done again."""
        if self._pending:
            self._output.finish_all(self._pending)
        self._pending, self._pending_bytes = {}, 0

    def show(self, position: int = 0) -> None:
        """Tell how far it is."""
        if self._progress:
            self._next_call_s = time.monotonic() + _INTERVAL_S
            done = min(self._bytes_done + position, self._bytes_total)
            self._progress(
                DataProgress(
                    bytes_done=done,
                    bytes_total=self._bytes_total,
                    documents=self._documents,
                    findings=self.findings.total,
                )
            )

    def _counted(self, number: int, lines: FileLines) -> Iterator[bytes]:
        for item, position in lines:
            if isinstance(item, bytes):
                self._documents += 1
                yield item
            else:
                self.findings.add(item, file=number)
            if time.monotonic() >= self._next_call_s:
                self.show(position)

    def _write(self, lines: Iterator[bytes], name: str) -> tuple[int, int]:
        """Write the documents of one file; give how many files and bytes that makes."""
        part = size_bytes = 0
        line = next(lines, None)
        while line is not None:
            part, size = part + 1, 0
            with self._opened(name, part) as file:
                while line is not None and (size == 0 or size + len(line) <= self._limit):
                    file.write(line)
                    size += len(line)
                    line = next(lines, None)
            size_bytes += size
        return part, size_bytes

    def _opened(self, name: str, part: int) -> AbstractContextManager[BinaryIO]:
        """Open a file of output: `books.csv.jsonl`, and after it, in order of names, `books.csv.part-0002.jsonl`."""
        if self._is_single:
            return self._output.appending(self._output.target.name)
        name = name.removesuffix(EXTENSION)
        return self._output.writing(f"{name}{EXTENSION}" if part == 1 else f"{name}.part-{part:04}{EXTENSION}")

    @property
    def _is_single(self) -> bool:
        return is_single_file(self._output.target)

    @property
    def _limit(self) -> float:
        return math.inf if self._is_single else self._max_bytes
