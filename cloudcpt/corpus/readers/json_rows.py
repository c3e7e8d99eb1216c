"""Rows of JSON: an array of rows, one object, an object that holds the array, or one value after the other; JSON lines.

A file of JSON is decoded value by value out of a window that moves over it, so an array of any length fits into
memory. The window grows only while a value does not end in it.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cloudcpt.corpus.readers.rows import ROW_LIMIT_BYTES, BadRow, Row, Rows, damaged

ARRAYS: Final = ("data", "rows", "records", "documents", "items", "examples")
"""Fields of an object that may hold the rows of a file."""

_SPACE: Final = " \t\r\n"
_TAIL: Final = 12
"""A value that was cut off fails at most so far before the end of the window: `-Infinity`, `\\ud83d`."""


def json_rows(pieces: Iterator[str], shown: str) -> Rows:
    """Read the rows of a file of JSON.

    Args:
        pieces: Of the text.
        shown: The file as the user named it.

    Raises:
        DatasetError: it is not JSON.
    """
    window = _Window(pieces, shown)
    number = 0
    while (first := window.peek()) and first != "":
        for value in _values(window, first):
            number += 1
            yield _row(number, value)
    if number == 0 and not window.has_array:
        raise damaged(shown, f"`{shown}` is empty", hint="remove it, or put data in it")


def json_line_rows(lines: Iterator[str]) -> Rows:
    """Read the rows of JSON lines; blank lines are no rows."""
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        try:
            value = _DECODER.decode(line)
        except (ValueError, RecursionError) as exc:
            yield BadRow(number, f"the line is not JSON: {_reason(exc)}")
        else:
            yield _row(number, value)


def _row(number: int, value: Any) -> Row | BadRow:  # Any: whatever JSON has
    if isinstance(value, str | Mapping):
        return Row(number, value)
    hint = 'a row is an object, such as `{"text": "..."}`, or a text'
    return BadRow(number, f"the row is {_kind(value)}", hint)


def _kind(value: Any) -> str:
    return "an array" if isinstance(value, list) else "`null`" if value is None else f"`{json.dumps(value)}`"


def _values(window: "_Window", first: str) -> Iterator[Any]:
    """Give the rows of one value of the top level."""
    if first == "[":
        yield from window.array()
    elif first == "{":
        yield from _object(window)
    else:
        yield window.value()


def _object(window: "_Window") -> Iterator[Any]:
    """Give the one row that an object is, or the rows of an array in it."""
    row: dict[str, Any] = {}
    has_rows = False
    window.take("{")
    while window.peek() != "}":
        name = window.value()
        window.take(":")
        if name in ARRAYS and window.peek() == "[":
            has_rows = True
            yield from window.array()
        else:
            row[name] = window.value()
        if window.peek() != "}":
            window.take(",")
    window.take("}")
    if not has_rows:
        yield row


def _no_constant(name: str) -> Any:
    message = f"`{name}` is not JSON"
    raise ValueError(message)


def _reason(exc: ValueError | RecursionError) -> str:
    if isinstance(exc, RecursionError):
        return "brackets are too deep inside brackets"
    if isinstance(exc, json.JSONDecodeError):
        return f"{exc.msg[0].lower()}{exc.msg[1:]} (column {exc.colno})"
    return str(exc)


_DECODER: Final = json.JSONDecoder(parse_constant=_no_constant)


class _Window:
    """The part of a text that is looked at, which moves on and grows when it must."""

    def __init__(self, pieces: Iterator[str], shown: str) -> None:
        self.has_array = False
        self._pieces = pieces
        self._shown = shown
        self._text = ""
        self._at = 0
        self._lines = 0
        self._is_ended = False

    def peek(self) -> str:
        """Give the next character that is no space; empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text) or not self._grow():
                return self._text[self._at : self._at + 1]

    def take(self, char: str) -> None:
        """Pass over a character that must be next."""
        found = self.peek()
        if found != char:
            raise self._bad(f"`{char}` should be here, and not {f'`{found}`' if found else 'the end of the file'}")
        self._at += 1

    def array(self) -> Iterator[Any]:
        """Give the values of an array, one by one."""
        self.has_array = True
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        while True:
            yield self.value()
            if self.peek() == "]":
                self.take("]")
                return
            self.take(",")

    def value(self) -> Any:
        """Decode the next value, whole."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as exc:
                may_go_on = exc.msg.startswith("Unterminated") or exc.pos >= len(self._text) - _TAIL
                if not may_go_on or self._is_ended:
                    raise self._bad(_reason(exc).rpartition(" (")[0], exc.pos) from exc
            except (ValueError, RecursionError) as exc:
                raise self._bad(_reason(exc)) from exc
            else:
                # A number at the end of the window may go on: `1`, `1.`, `1.5e`, `1.5e10`.
                is_whole = isinstance(value, str | list | dict) or end < len(self._text) - _TAIL
                if is_whole or self._is_ended:
                    self._at = end
                    return value
            self._grow()

    def _grow(self) -> bool:
        """Take more text in, twice as much as is not read yet; False at the end."""
        self._lines += self._text.count("\n", 0, self._at)
        kept = [self._text[self._at :]]
        if len(kept[0]) > ROW_LIMIT_BYTES:
            raise self._bad(f"a value is longer than {ROW_LIMIT_BYTES >> 20} MiB")
        wanted = len(kept[0])
        while wanted >= 0 and not self._is_ended:
            piece = next(self._pieces, None)
            if piece is None:
                self._is_ended = True
            else:
                kept.append(piece)
                wanted -= len(piece)
        self._text, self._at = "".join(kept), 0
        return len(kept) > 1

    def _bad(self, message: str, at: int | None = None) -> Exception:
        line = self._lines + 1 + self._text.count("\n", 0, self._at if at is None else at)
        return damaged(self._shown, f"`{self._shown}` is not JSON: {message}", line=line)
