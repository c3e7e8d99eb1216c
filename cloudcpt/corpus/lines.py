"""The documents of a block together with the bytes that they were read from, to write them as they are."""

from collections.abc import Iterator

from cloudcpt.dataset.blocks import Block, records_of
from cloudcpt.dataset.records import Record
from cloudcpt.errors import Diagnostic, Severity


def lines_of(block: Block) -> Iterator[tuple[Record, bytes] | Diagnostic]:
    """Read the lines of a block.

    Yields:
        Each document with its line, which ends with a line feed; and errors, but no warnings, about lines.
    """
    content = block.content
    for item in records_of(block):
        if isinstance(item, Record):
            start = item.byte - block.byte
            end = content.find(b"\n", start)
            yield item, content[start : end + 1] if end >= 0 else content[start:] + b"\n"
        elif item.severity is Severity.ERROR:
            yield item
