"""Read any file that can be converted: open it, unpack it, decode it, and hand it to the reader of its format."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Final

from cloudcpt.corpus.formats import Format
from cloudcpt.corpus.readers.csv_rows import Dialect, csv_rows
from cloudcpt.corpus.readers.decoded import limited, lines_of, text_of, unpacked
from cloudcpt.corpus.readers.json_rows import json_line_rows, json_rows
from cloudcpt.corpus.readers.plain_text import Documents, text_rows
from cloudcpt.corpus.readers.rows import Row, Rows
from cloudcpt.corpus.sources import Source
from cloudcpt.dataset.files import open_regular

_UTF8: Final = "utf-8"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How files are read.

    Args:
        encoding: Of text; UTF-8, and for HTML what the page says, when None.
        dialect: Of CSV and TSV.
        documents: What is one document in a file of text.
    """

    encoding: str | None = None
    dialect: Dialect = field(default_factory=Dialect)
    documents: Documents = Documents.FILES


@contextmanager
def reading(source: Source, how: Reading, columns: Sequence[str] | None = None) -> Iterator[tuple[Rows, io.FileIO]]:
    """Open a file and read its rows; the file itself tells by its position how far it is.

    Args:
        source: The file.
        how: To read it.
        columns: The ones that are needed, when not all are; a reader may give others too.

    Raises:
        DatasetError: it cannot be opened or read; also while the rows are read.
        SetupError: a library is not installed.
    """
    shown = source.file.shown
    with open_regular(Path(source.file.path), shown) as raw:
        match source.kind.format:
            case Format.PARQUET:
                from cloudcpt.corpus.readers.arrow_rows import parquet_rows

                yield parquet_rows(raw, shown, columns), raw
            case Format.ARROW:
                from cloudcpt.corpus.readers.arrow_rows import arrow_rows

                yield arrow_rows(raw, shown, columns), raw
            case _:
                with unpacked(raw, shown, source.kind.compression) as stream:
                    yield _from_text(stream, source, how), raw


def _from_text(stream: BinaryIO, source: Source, how: Reading) -> Rows:
    """Read what is text inside: lazily, so that errors come while rows are read."""
    shown, encoding = source.file.shown, how.encoding or _UTF8
    match source.kind.format:
        case Format.HTML:
            from cloudcpt.corpus.readers.html_text import html_text

            yield Row(1, html_text(limited(stream, shown).read(), shown, how.encoding))
        case Format.JSON:
            yield from json_rows(text_of(stream, shown, encoding), shown)
        case Format.JSON_LINES:
            yield from json_line_rows(lines_of(text_of(stream, shown, encoding), shown))
        case Format.CSV:
            yield from csv_rows(lines_of(text_of(stream, shown, encoding), shown), shown, how.dialect)
        case Format.TSV:
            dialect = replace(how.dialect, delimiter=how.dialect.delimiter or "\t")
            yield from csv_rows(lines_of(text_of(stream, shown, encoding), shown), shown, dialect)
        case _:
            whole = how.documents is Documents.FILES
            pieces = text_of(limited(stream, shown) if whole else stream, shown, encoding)
            yield from text_rows(lines_of(pieces, shown), how.documents)
