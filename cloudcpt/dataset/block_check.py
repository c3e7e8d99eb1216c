"""What a check does with one block, in whatever process: judge every line, measure and hash every document.

What it returns is small and can be pickled; `check` puts it together in the order of the blocks, so that the report is
the same for any number of processes and any size of blocks.
"""

import io
from array import array
from dataclasses import dataclass
from typing import Final

from cloudcpt.dataset.blocks import Block
from cloudcpt.dataset.fast import FastLines
from cloudcpt.dataset.findings import Findings, SomeFindings
from cloudcpt.dataset.records import LINE_LIMIT_BYTES, LineReader, Record, crlf_warning
from cloudcpt.dataset.sample import Excerpt, Sample
from cloudcpt.errors import Diagnostic, Place, note

_NOVA_BOUNDARY: Final = " [DOC] "
"""Source: Nova Forge data preparation page, as read 2026-07: `[DOC]`, with spaces, separates packed documents."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockReport:
    """What one block holds.

    Args:
        digests: A hash of each document's text, in order: equal for equal texts, however they are spelled.
        lines: Number of the line of each document.
        offsets: Of that line in the file, in bytes.
        characters: Length of each document.
        findings: Of its lines.
        crlf: That a line ends with CRLF, if one does: the first.
        drawn: Hash and excerpt of documents that may belong into the sample.
    """

    digests: list[bytes]
    lines: "array[int]"
    offsets: "array[int]"
    characters: "array[int]"
    findings: SomeFindings
    crlf: Diagnostic | None
    drawn: tuple[tuple[bytes, Excerpt], ...]


class BlockCheck:
    """Checks blocks one after the other.

    Args:
        first: How many findings of each code to keep.
    """

    def __init__(self, first: int) -> None:
        self._first = first
        self._fast = FastLines()
        self._sample = Sample()

    def __call__(self, block: Block) -> BlockReport:
        """Check one block."""
        findings = Findings(self._first)
        crlf = None
        digests, lines, offsets, characters = list[bytes](), list[int](), list[int](), list[int]()
        fast, measure, sample = self._fast, self._fast.measure, self._sample
        reader = LineReader(block.shown, fast)
        # The mark is rare, and looking for it in the whole block at once is cheap. It can be spelled in other ways.
        may_hold_mark = fast.holds(block.content, b"[DOC]") or fast.holds(block.content, b"\\u00")
        is_fast = len(block.content) <= LINE_LIMIT_BYTES
        byte = block.byte
        for number, line in enumerate(io.BytesIO(block.content), start=block.line):
            start, byte = byte, byte + len(line)
            if is_fast and (measured := measure(line)):
                length, digest, text = measured
            else:
                if crlf is None and line.endswith(b"\r\n"):
                    crlf = crlf_warning(block.shown, number, start)
                item = reader.read(line, number, start)
                if not isinstance(item, Record):
                    findings.add(item)
                    continue
                text = item.text
                length, digest = len(text), fast.digest(text)
            digests.append(digest)
            lines.append(number)
            offsets.append(start)
            characters.append(length)
            if digest < sample.limit and sample.wants(digest):
                sample.offer(digest, text or _text_of(reader, line))
            if may_hold_mark and _NOVA_BOUNDARY in (text or _text_of(reader, line)):
                findings.add(_mark(block.shown, number, start))
        if block.refused:
            findings.add(block.refused)
        return BlockReport(
            digests=digests,
            lines=array("Q", lines),
            offsets=array("Q", offsets),
            characters=array("Q", characters),
            findings=findings.some(),
            crlf=crlf,
            drawn=sample.take(),
        )


def _text_of(reader: LineReader, line: bytes) -> str:
    item = reader.read(line, 1, 0)
    assert isinstance(item, Record), "the line was found to be a document before"
    return item.text


def _mark(shown: str, number: int, start: int) -> Diagnostic:
    message = "the text holds ` [DOC] `, where Nova models split documents and open-weights models do not"
    return note("CPT353", message, place=Place(path=shown, line=number, byte=start))
