"""The text of windows, read and tokenised: `cloudcpt.dataset.tokenising` takes a range of a file for a file.

All windows that are wanted go through it together, so that its processes start once and never wait for each other at
the end of a window.
"""

import io
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cloudcpt.dataset.places import InputFile, InputStream, Selection
from cloudcpt.dataset.tokenising import TokenisedBlock, tokenise
from cloudcpt.dataset.tokens import DocumentTokenizer
from cloudcpt.train.windows import TextRange

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


@dataclass(frozen=True, kw_only=True)
class WindowText:
    """One window of a source, as text.

    Args:
        channel: Of the source.
        number: Of the window, from 0.
        paths: The files of the source.
        ranges: What of them is in the window, in order.
    """

    channel: str
    number: int
    paths: tuple[Path, ...]
    ranges: tuple[TextRange, ...]


def whole_text(channel: str, paths: Sequence[Path]) -> WindowText:
    """Take all files of a source as its only window."""
    ranges = tuple(TextRange(number, 0, path.stat().st_size, 1) for number, path in enumerate(paths))
    return WindowText(channel=channel, number=0, paths=tuple(paths), ranges=ranges)


def tokenise_windows(texts: Sequence[WindowText], tokenizer: DocumentTokenizer) -> Iterator[Iterator[TokenisedBlock]]:
    """Encode windows, one after another.

    Args:
        texts: At least one line in each.
        tokenizer: Of the base model.

    Yields:
        The blocks of each window, to be taken before the next window; origins are files and lines of its source.

    Raises:
        DatasetError: a line cannot be read.
    """
    files = [_input_file(text, part) for text in texts for part in text.ranges]
    range_of = [(place, part) for place, text in enumerate(texts) for part in text.ranges]
    blocks = tokenise(_Ranges(), files, tokenizer)
    for _, of_window in groupby(blocks, key=lambda block: range_of[block.origins[0]][0]):
        yield (_placed(block, range_of[block.origins[0]][1]) for block in of_window)


def _placed(block: TokenisedBlock, part: TextRange) -> TokenisedBlock:
    """Say of a block, which is of one range, from which file and lines its documents are."""
    origins = np.frombuffer(block.origins, dtype=np.uint64).reshape(-1, 2).copy()
    origins[:, 0] = part.file
    origins[:, 1] += np.uint64(part.line - 1)
    return replace(block, origins=array("Q", origins.tobytes()))


def _input_file(text: WindowText, part: TextRange) -> InputFile:
    path = text.paths[part.file]
    after = f" after line {part.line - 1}" if part.line > 1 else ""
    return InputFile(
        name=f"{part.start}-{part.stop}", path=str(path), shown=f"{path}{after}", size_bytes=part.stop - part.start
    )


class _Ranges:
    """The place of ranges: the name of a file is the range of the bytes at its path."""

    def select(self, path: str) -> Selection:
        """Refuse: ranges are not chosen by a user."""
        raise NotImplementedError(path)

    def open(self, file: InputFile) -> "_RangeStream":
        """Open a range."""
        start, stop = map(int, file.name.split("-"))
        return _RangeStream(Path(file.path), start, stop)


class _RangeStream(InputStream):
    """The bytes of a range of a file, which has been verified and does not change while a job runs."""

    def __init__(self, path: Path, start: int, stop: int) -> None:
        self._file = io.FileIO(path)
        self._file.seek(start)
        self._size = self._rest = stop - start

    @property
    def size_bytes(self) -> int:
        """Give the size of the range."""
        return self._size

    @property
    def version_id(self) -> str:
        """Say that there are no versions."""
        return ""

    @property
    def is_unchanged(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read on, to the end of the range."""
        size = self._file.readinto(memoryview(buffer).cast("B")[: self._rest])
        self._rest -= size
        return size

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
