"""How a dataset is read, line by line: the one place that decides, for validation and for training alike.

    file --readline, bounded--> line --LineReader--> Record | Diagnostic

`read_lines` yields exactly one item per line, a `Record` or an error, plus warnings and errors about the file as a
whole. A check collects them; `read_records`, for training, raises the first error. So training accepts exactly what
validation accepts.

A line is read in two halves. `fast.FastLines` knows what is certainly a document; whatever it is not sure of goes to
`exact.read_exactly`, which decides and gives the reason. The first never says yes where the second says no.
"""

import io
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from cloudcpt.dataset.disguise import HEAD_BYTES, disguise_of
from cloudcpt.dataset.exact import read_exactly
from cloudcpt.dataset.fast import FastLines
from cloudcpt.dataset.fault import BadLine
from cloudcpt.dataset.files import open_regular, unreadable
from cloudcpt.dataset.places import DataPlace, InputFile
from cloudcpt.errors import DatasetError, Diagnostic, Place, Severity, error, warning

LINE_LIMIT_BYTES: Final = 8 << 20
"""Longest line, line end not counted. A document of 8 MiB is a library; it also bounds our memory (about 100 MiB)."""

SKIP_LIMIT_BYTES: Final = 64 << 20
"""How far to look for the end of a line that is too long before the rest of the file is left unread."""

BUFFER_BYTES: Final = 256 << 10
"""Size of one read; larger ones lose to page faults (reference measurement, 2026-07)."""


@dataclass(frozen=True, slots=True)
class Record:
    """One document.

    Args:
        line: 1-based, in its file.
        byte: 0-based offset of the line in its file.
        text: Never blank; free of surrogates, so it encodes as UTF-8.
    """

    line: int
    byte: int
    text: str


def read_records(path: Path) -> Iterator[Record]:
    """Read the documents of one file in order; a link is followed, as the file has been chosen by now.

    Raises:
        DatasetError: at the first line, or whole file, that validation calls an error.
    """
    shown = str(path)
    with open_regular(Path(os.path.realpath(path)), shown) as file:
        yield from _documents(file, shown)


def read_records_in(place: DataPlace, file: InputFile) -> Iterator[Record]:
    """Read the documents of one file in order, wherever it lies.

    Raises:
        DatasetError: at the first line, or whole file, that validation calls an error.
    """
    with closing(place.open(file)) as stream:
        yield from _documents(stream, file.shown)


def _documents(raw: io.RawIOBase, shown: str) -> Iterator[Record]:
    for item in read_lines(raw, shown):
        if isinstance(item, Record):
            yield item
        elif item.severity is Severity.ERROR:
            raise DatasetError(item)


def read_lines(raw: io.RawIOBase, shown: str) -> Iterator[Record | Diagnostic]:
    """Read a file to its end, or to the point where going on makes no sense, in constant memory.

    Args:
        raw: A file at its start; buffered here, and closed at the end.
        shown: The file as the user named it, for diagnostics.
    """
    try:
        with io.BufferedReader(raw, BUFFER_BYTES) as file:
            yield from _lines(file, shown)
    except OSError as exc:
        yield unreadable(shown, exc)


def _lines(file: BinaryIO, shown: str) -> Iterator[Record | Diagnostic]:
    reader = LineReader(shown)
    number = byte = 0
    has_crlf = False
    while line := file.readline(LINE_LIMIT_BYTES + 2):
        number += 1
        if number == 1 and (disguise := disguise_of(line[:HEAD_BYTES], shown)):
            yield disguise
            return
        start, byte = byte, byte + len(line)
        if not has_crlf and line.endswith(b"\r\n"):
            has_crlf = True
            yield crlf_warning(shown, number, start)
        if len(line) > LINE_LIMIT_BYTES + 1 and not line.endswith(b"\n"):
            skipped, is_ended = _skip_line(file)
            byte += skipped
            yield too_long(shown, number, start, byte - start, is_ended=is_ended)
            if not is_ended:
                return
            continue
        yield reader.read(line, number, start)
    if number == 0:
        yield nothing_there(shown)


class LineReader:
    """Reads the lines of one file, or of a part of it.

    Args:
        shown: The file as the user named it, for diagnostics.
        fast: To be used by nobody else while a line is read; its own when None.
    """

    def __init__(self, shown: str, fast: FastLines | None = None) -> None:
        self._shown = shown
        self._fast = fast or FastLines()

    def read(self, line: bytes, number: int, byte: int) -> Record | Diagnostic:
        """Give the document that a line holds, or say why it holds none.

        Args:
            line: With its line end, if it has one.
            number: Of the line, from 1.
            byte: Where it begins in the file.
        """
        content = without_end(line)
        if len(content) > LINE_LIMIT_BYTES:
            return too_long(self._shown, number, byte, len(line), is_ended=True)
        text = self._fast.text(content)
        if text is None:
            try:
                text = read_text(content)
            except BadLine as bad:
                place = Place(path=self._shown, line=number, column=bad.column, length=bad.length, byte=byte + bad.byte)
                return error(bad.code, bad.message, place=place, hint=bad.hint)
        return Record(number, byte, text)


def without_end(line: bytes) -> bytes:
    """Take LF or CRLF off."""
    return line[:-2] if line.endswith(b"\r\n") else line.removesuffix(b"\n")


def read_text(content: bytes) -> str:
    """Return the text of one line, read exactly.

    Args:
        content: The line's bytes without its line end, at most `LINE_LIMIT_BYTES`.

    Raises:
        BadLine: the line is not a document.
    """
    try:
        line = content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise _not_utf8(content, exc) from None
    return read_exactly(line)


def _not_utf8(content: bytes, exc: UnicodeDecodeError) -> BadLine:
    before = content[: exc.start].decode("utf-8")
    if b"\0" in content:
        message, hint = "the line is not UTF-8 and holds NUL bytes", "the file may be damaged, binary or UTF-16"
    else:
        found = content[exc.start : max(exc.end, exc.start + 1)].hex(" ")
        message, hint = f"the line is not UTF-8: byte `{found}`, {exc.reason}", "convert the file to UTF-8"
    return BadLine("CPT321", message, line=before, at=len(before), hint=hint)


def _skip_line(file: BinaryIO) -> tuple[int, bool]:
    """Read on to the end of the line; return the bytes read and whether the end was found within the limit."""
    skipped = 0
    while skipped < SKIP_LIMIT_BYTES:
        part = file.readline(BUFFER_BYTES)
        skipped += len(part)
        if not part or part.endswith(b"\n"):
            return skipped, True
    return skipped, False


def too_long(shown: str, number: int, start: int, length: int, *, is_ended: bool) -> Diagnostic:
    """Refuse a line for its length.

    Args:
        shown: The file as the user named it.
        number: Of the line.
        start: Where it begins in the file.
        length: Bytes of it that were seen, its end included.
        is_ended: Whether its end was found.
    """
    place = Place(path=shown, line=number, column=1, byte=start)
    limit = f"{LINE_LIMIT_BYTES >> 20} MiB"
    hint = "split the document, or check that the file has line ends"
    if is_ended:
        return error("CPT323", f"the line has {length} bytes, the limit is {limit}", place=place, hint=hint)
    message = (
        f"the line does not end within {length >> 20} MiB, the limit is {limit}; the rest of the file was not read"
    )
    return error("CPT324", message, place=place, hint=hint)


def crlf_warning(shown: str, number: int, start: int) -> Diagnostic:
    """Say, once per file, that its lines end as on Windows."""
    place = Place(path=shown, line=number, byte=start)
    return warning("CPT326", "lines end with CRLF; the CR is not part of a document", place=place)


def nothing_there(shown: str) -> Diagnostic:
    """Refuse a file of no bytes."""
    return error("CPT306", f"`{shown}` is empty", place=Place(path=shown), hint="remove it, or put documents in it")
