"""What is special about JSON lines that are good and that Arrow, which Nova's tools load them with, reads differently.

Two things, found by loading with pyarrow 26 and datasets 5.2 (2026-11); everything else that validation accepts, NUL
escapes, CRLF, white space, a last line without its end, loads as text:

- a column whose values all look like times becomes a column of times. Arrow decides on the first 10 MB of a file, and
  then fails at the first value that is none;
- a line that covers a whole block, 1 MiB unless told otherwise, makes Arrow's reader stop. `datasets` reads on.

Both are looked for only where the lengths of the documents leave them possible, which costs no read otherwise.
"""

import io
import re
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Final

from cloudcpt.dataset.records import BUFFER_BYTES, read_text
from cloudcpt.errors import Diagnostic, Place, note, warning

if TYPE_CHECKING:
    from cloudcpt.dataset.check import DatasetReport
    from cloudcpt.dataset.places import DataPlace, InputFile

BLOCK_BYTES: Final = 1 << 20
"""Source: pyarrow.json.ReadOptions, block_size."""

FIRST_BYTES: Final = 10 << 20
"""Source: datasets, packaged_modules/json: `chunksize`, after which the types of a file stand."""

_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}(:\d{2}(:\d{2})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?", re.ASCII)
"""Source: Arrow, TimestampParser ISO8601, in whole seconds; days that no calendar has are times here as well."""

_SHORT_OCTAVES: Final = 6
"""Of the histogram of lengths: documents below 64 characters, and a time has 25 at most."""

_SHORTEST_LINE_BYTES: Final = 22
"""Of a time: `{"text":"2026-11-20"}` and its end."""

_MOST_BYTES_PER_CHARACTER: Final = 12
"""Two escapes such as `\\ud83d\\ude00`."""


def arrow_findings(place: "DataPlace", report: "DatasetReport") -> Iterator[Diagnostic]:
    """Say what Arrow reads differently in a dataset without errors.

    Args:
        place: Where it is.
        report: Of its check.

    Raises:
        DatasetError: a file that was read cannot be read any more.
    """
    short = sum(report.lengths.histogram[:_SHORT_OCTAVES])
    has_long = report.lengths.max * _MOST_BYTES_PER_CHARACTER > BLOCK_BYTES
    for file in report.files:
        if short >= min(file.lines, FIRST_BYTES // _SHORTEST_LINE_BYTES):
            yield from _times(place, file.as_input)
    if has_long:
        found = (line for file in report.files for line in _long_lines(place, file.as_input))
        yield from (note_ for note_ in [next(found, None)] if note_)


def looks_like_time(text: str) -> bool:
    """Tell whether Arrow takes a text for a time, when all texts around it are taken for times."""
    return _TIME.fullmatch(text) is not None


def _times(place: "DataPlace", file: "InputFile") -> Iterator[Diagnostic]:
    """Look for a text that is no time among the first of a file."""
    done = documents = 0
    for line in _lines(place, file):
        if not looks_like_time(read_text(line.rstrip(b"\r\n"))):
            return
        done, documents = done + len(line), documents + 1
        if done > FIRST_BYTES:
            break
    hint = "write what the date belongs to into the same document; a date alone teaches nothing"
    message = f"all {documents:,} documents at the beginning are dates or times, which Arrow does not read as text"
    yield warning("CPT384", message, place=Place(path=file.shown, line=1, byte=0), hint=hint)


def _long_lines(place: "DataPlace", file: "InputFile") -> Iterator[Diagnostic]:
    byte = 0
    for number, line in enumerate(_lines(place, file), start=1):
        if len(line) > BLOCK_BYTES:
            message = (
                f"the line has {len(line) / BLOCK_BYTES:,.1f} MiB: `datasets` reads it, Arrow's own reader may stop"
            )
            hint = "pass `block_size` to `pyarrow.json.ReadOptions` if you load it yourself"
            yield note("CPT384", message, place=Place(path=file.shown, line=number, byte=byte), hint=hint)
        byte += len(line)


def _lines(place: "DataPlace", file: "InputFile") -> Iterator[bytes]:
    with closing(place.open(file)) as stream, io.BufferedReader(stream, BUFFER_BYTES) as lines:
        yield from lines
