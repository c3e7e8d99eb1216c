"""Documents of plain text and Markdown: the whole file, each paragraph, or each line; line ends become LF."""

from collections.abc import Iterator
from enum import StrEnum

from cloudcpt.corpus.readers.rows import Row, Rows


class Documents(StrEnum):
    """What is one document in a file of text."""

    FILES = "files"
    PARAGRAPHS = "paragraphs"
    LINES = "lines"


def text_rows(lines: Iterator[str], documents: Documents) -> Rows:
    """Read the documents of a file of text.

    Args:
        lines: With their ends.
        documents: What is one; only whole files need memory for the whole file.
    """
    plain = (_without_end(line) for line in lines)
    if documents is Documents.LINES:
        for number, line in enumerate(plain, 1):
            yield Row(number, line)
    elif documents is Documents.PARAGRAPHS:
        yield from _paragraphs(plain)
    else:
        yield Row(1, "\n".join(plain))


def _without_end(line: str) -> str:
    return line[:-2] if line.endswith("\r\n") else line.removesuffix("\n")


def _paragraphs(lines: Iterator[str]) -> Rows:
    """Give what stands between blank lines."""
    start, held = 1, list[str]()
    for number, line in enumerate(lines, 1):
        if line and not line.isspace():
            start = start if held else number
            held.append(line)
        elif held:
            yield Row(start, "\n".join(held))
            held = []
    if held:
        yield Row(start, "\n".join(held))
