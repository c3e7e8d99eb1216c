"""Rows of CSV and TSV: the standard library's reader, strict, over lines that are decoded here.

What stands between quotes is text to the letter, line breaks included. Strict, because a quote in the wrong place
means that everything after it is read wrongly: better to stop than to train on that.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cloudcpt.corpus.readers.rows import ROW_LIMIT_BYTES, BadRow, Row, Rows, damaged

_DELIMITERS: Final = ",;\t|"
_NO_QUOTE: Final = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """How values are told apart.

    Args:
        delimiter: One character; the one that the first line has, when empty.
        quote: One character; or `none`, where a quote is a character like any other.
        has_header: Whether the first line names the columns; they are named `1`, `2` and so on without it.
    """

    delimiter: str = ""
    quote: str = '"'
    has_header: bool = True


def csv_rows(lines: Iterator[str], shown: str, dialect: Dialect) -> Rows:
    """Read the rows of CSV or TSV.

    Args:
        lines: With their ends, as they are in the file.
        shown: The file as the user named it.
        dialect: How values are told apart.

    Raises:
        DatasetError: the quotes do not add up, or there is no header.
    """
    counted = _Counted(lines, dialect)
    rows = _read(counted, shown, dialect)
    if dialect.has_header:
        number, columns = next(rows, (1, []))
        _require_header(columns, shown, number)
    else:
        columns = []
    for number, values in rows:
        columns = columns or [str(index + 1) for index in range(len(values))]
        if len(values) == len(columns):
            yield Row(number, dict(zip(columns, values, strict=True)))
        else:
            yield _ragged(number, values, columns)


class _Counted:
    """Lines, the first of them looked at, and how many have been taken."""

    def __init__(self, lines: Iterator[str], dialect: Dialect) -> None:
        self.taken = 0
        self._lines = lines
        self._first = next(lines, "")
        quoted = dialect.quote if dialect.quote != _NO_QUOTE else "\0"
        outside = "".join(self._first.split(quoted)[::2])
        self.delimiter = dialect.delimiter or next((char for char in _DELIMITERS if char in outside), ",")

    def __iter__(self) -> Iterator[str]:
        if self._first:
            self.taken = 1
            yield self._first
        for line in self._lines:
            self.taken += 1
            yield line


def _read(counted: _Counted, shown: str, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Give each row with the number of its first line; blank lines are no rows."""
    quotes = {"quoting": csv.QUOTE_NONE} if dialect.quote == _NO_QUOTE else {"quotechar": dialect.quote}
    csv.field_size_limit(ROW_LIMIT_BYTES)
    reader = csv.reader(counted, delimiter=counted.delimiter, strict=True, **quotes)
    while True:
        number = counted.taken + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            raise _bad_quotes(exc, shown, number) from exc
        if values:
            yield number, values


def _require_header(columns: list[str], shown: str, number: int) -> None:
    if not columns:
        raise damaged(shown, f"`{shown}` has no header, and no rows", hint="remove it, or put data in it")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        hint = "rename one; or is it no header? then add `--no-header`"
        raise damaged(shown, f"`{shown}` has two columns named `{twice[0]}`", line=number, hint=hint)


def _ragged(number: int, values: list[str], columns: list[str]) -> BadRow:
    hint = "is a comma or a line break not between quotes? `--delimiter` and `--quote` say how the file is written"
    return BadRow(number, f"values in the row: {len(values)}, columns in the file: {len(columns)}", hint)


def _bad_quotes(exc: csv.Error, shown: str, number: int) -> Exception:
    if "field larger" in str(exc) or "unexpected end" in str(exc):
        hint = "a quote inside a text is written twice; if quotes mean nothing in this file, add `--quote none`"
        return damaged(shown, f"a quote in `{shown}` is not closed; the row begins here", line=number, hint=hint)
    if "new-line character" in str(exc):
        hint = "write line ends as LF or CRLF, and put texts with line breaks between quotes"
        return damaged(shown, f"`{shown}` has a lone CR outside of quotes", line=number, hint=hint)
    hint = "a quote inside a text is written twice; if quotes mean nothing in this file, add `--quote none`"
    return damaged(shown, f"the row cannot be read: {exc}", line=number, hint=hint)
