"""One file on its way to JSON lines: from its rows to texts, and from texts to lines that validation accepts."""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from cloudcpt.corpus.columns import SAMPLE_ROWS, Choice, choose
from cloudcpt.corpus.formats import Format
from cloudcpt.corpus.readers.read import Reading, reading
from cloudcpt.corpus.readers.rows import BadRow, Row
from cloudcpt.corpus.sources import Source
from cloudcpt.corpus.template import MissingValue, Template
from cloudcpt.dataset.fault import VISIBLE
from cloudcpt.dataset.records import LINE_LIMIT_BYTES
from cloudcpt.errors import Diagnostic, Place, error, warning

BLANK: Final = "blank"
NULL: Final = "null"
BAD: Final = "bad"

_BY_ROW: Final = (Format.PARQUET, Format.ARROW, Format.JSON)
"""Their rows have a number, and no line of their own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Making:
    """How texts are made.

    Args:
        reading: How files are read.
        column: Of tables: the one that is the text.
        template: Of tables: makes the text of several columns.
        nfc: Whether texts are brought into Unicode's composed form.
        skip_bad: Whether rows that are no documents are left out instead of refused.
    """

    reading: Reading = field(default_factory=Reading)
    column: str | None = None
    template: Template | None = None
    nfc: bool = False
    skip_bad: bool = False


class FileLines:
    """The lines of one file.

    Args:
        source: The file.
        making: How texts are made.

    Attributes:
        dropped: Rows that are no documents, by reason.
        columns: That were taken without being named.
    """

    def __init__(self, source: Source, making: Making) -> None:
        self.dropped: Counter[str] = Counter()
        self.columns: tuple[str, ...] = ()
        self._source = source
        self._making = making

    def __iter__(self) -> Iterator[tuple[bytes | Diagnostic, int]]:
        """Give each line, or what is wrong with a row, and how many bytes of the file have been read.

        Raises:
            DatasetError: the file cannot be read, or nothing says which column is the text.
            OSError: the system does not let us read it.
        """
        choice = self._choose()
        with reading(self._source, self._making.reading, choice.columns if choice else None) as (rows, file):
            for row in rows:
                line = row if isinstance(row, BadRow) else self._line(row, choice)
                if isinstance(line, bytes):
                    yield line, file.tell()
                elif line is not None:
                    yield self._refused(line), file.tell()

    def _choose(self) -> Choice | None:
        """Look at the first rows; None when they are texts already."""
        with reading(self._source, self._making.reading) as (rows, _):
            first = list(islice(rows, SAMPLE_ROWS))
        tables = [row.value for row in first if isinstance(row, Row) and isinstance(row.value, Mapping)]
        if not tables:
            return None
        shown = self._source.file.shown
        choice = choose(tables, shown, column=self._making.column, template=self._making.template)
        self.columns = choice.columns if choice.is_guess else ()
        return choice

    def _line(self, row: Row, choice: Choice | None) -> bytes | BadRow | None:
        """Make the line of a row; None when it is left out, and counted."""
        try:
            text = _text_of(row.value, choice)
        except MissingValue as exc:
            return BadRow(row.number, exc.message, exc.hint)
        if text is None:
            self.dropped[NULL] += 1
            return None
        if self._making.nfc:
            text = unicodedata.normalize("NFC", text)
        if not VISIBLE.search(text):
            self.dropped[BLANK] += 1
            return None
        return _encoded(text, row.number)

    def _refused(self, row: BadRow) -> Diagnostic:
        shown, by_row = self._source.file.shown, self._source.kind.format in _BY_ROW
        message = f"row {row.number:,}: {row.message}" if by_row else row.message
        # A line of what is packed is nowhere that an editor could open.
        is_plain = not by_row and not self._source.kind.compression
        place = Place(path=shown, line=row.number if is_plain else None)
        if not by_row and not is_plain:
            message = f"line {row.number:,}: {message}"
        if not self._making.skip_bad:
            return error("CPT378", message, place=place, hint=row.hint)
        self.dropped[BAD] += 1
        return warning("CPT378", f"{message}; it is left out", place=place, hint=row.hint)


def _text_of(value: str | Mapping[str, Any], choice: Choice | None) -> str | None:
    if isinstance(value, str):
        return value
    if choice is None:
        message = "the row is an object, and those before it are texts"
        raise MissingValue(message)
    return choice.make(value)


def _encoded(text: str, number: int) -> bytes | BadRow:
    """Write a text as a line."""
    try:
        line = json.dumps({"text": text}, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        message = "the text holds half of a surrogate pair, which is no character"
        return BadRow(number, message, "repair it where it comes from, or leave the row out with `--skip-bad`")
    if len(line) > LINE_LIMIT_BYTES:
        message = f"the document has {len(line):,} bytes as a line, the limit is {LINE_LIMIT_BYTES >> 20} MiB"
        return BadRow(number, message, "split it; a file of text can be cut with `--documents paragraphs`")
    return line + b"\n"
