"""Runs of whole lines: the unit in which a file is handed to whoever reads it, one process or many.

    file --CutFile--> Block, Block, ... --records_of--> documents and errors, as `records.read_lines` gives them

Where a file is cut into blocks changes nothing of what is read from it: a block ends where a line ends, and what cannot
be read, such as a line that is too long, is a block of its own that says so.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cloudcpt.dataset.records import LineReader, Record
from cloudcpt.errors import Diagnostic

BLOCK_BYTES: Final = 1 << 20
"""Enough that handing a block over costs little beside reading it; it still fits into a core's own cache."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Some whole lines of one file, or something of it that is not read.

    Args:
        file: Index of the file among those that are read.
        shown: The file as the user named it, for diagnostics.
        line: Number of the first line, from 1.
        byte: Offset of the first line in the file.
        content: The lines with their ends; the last line of a file may have none.
        refused: Why there is nothing here to read: a line that is too long, or a file that holds something else.
    """

    file: int
    shown: str
    line: int
    byte: int
    content: bytes
    refused: Diagnostic | None = None


def records_of(block: Block) -> Iterator[Record | Diagnostic]:
    """Read the lines of a block; their numbers and offsets are those in the file.

    CRLF is not worth a word here: it is said once per file, by a check.
    """
    if block.refused:
        yield block.refused
        return
    reader = LineReader(block.shown)
    byte = block.byte
    for number, line in enumerate(io.BytesIO(block.content), start=block.line):
        yield reader.read(line, number, byte)
        byte += len(line)
