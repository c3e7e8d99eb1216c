"""How a large source is cut into windows, each of which becomes rows by itself: the first step waits for one of them.

    files        |---- a.jsonl ----|------- b.jsonl -------|
    blocks       | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 |      BLOCK bytes; a line belongs to where it begins
    windows      0: 1 4 8    1: 0 5 9    2: 2 3 6 7             in an order drawn from all blocks

Every window holds blocks from all over the source, so that rows which are shuffled within a window have neighbours
from everywhere. Content decides alone: the sizes of the files and where their lines begin. A source that is not large
is one window, all of its files from first to last, and its rows are what they would be without windows.

A window bounds what packing needs in memory, some 200 bytes per document: 64 MiB of documents of 1 KiB take 13 MB, and
of a hundred bytes 130 MB, whatever the size of the source.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cloudcpt.train.shuffle import shuffle_key, shuffled

_NEWLINE = ord("\n")


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Where sources are cut, in bytes of their files.

    Args:
        whole_bytes: A source of at most so many is one window.
        window_bytes: About how many a window of a larger source has.
        block_bytes: Of consecutive text; a fraction of a window.
    """

    whole_bytes: int
    window_bytes: int
    block_bytes: int


CUT = Cut(whole_bytes=256 << 20, window_bytes=64 << 20, block_bytes=1 << 20)
"""64 MiB are some 2,000 rows of 8192 tokens, eight steps of 256 rows; best-fit packing fills them as well as those of a
whole source (bench/rows.py). Blocks of 1 MiB put 64 places of the source into each."""


class TextRange(NamedTuple):
    """Consecutive whole lines of a file: its index, the first byte and the one after the last, and the first line."""

    file: int
    start: int
    stop: int
    line: int


@dataclass(frozen=True, kw_only=True)
class Windows:
    """A source that is cut.

    Args:
        blocks: [B, 4] int64, each a `TextRange` with at least one line; files in order and blocks in the order of their
            file.
        cut: How it was cut.
    """

    blocks: npt.NDArray[np.int64]
    cut: Cut

    def __len__(self) -> int:
        return max(1, len(self.blocks) * self.cut.block_bytes // self.cut.window_bytes)

    def ranges(self, window: int) -> list[TextRange]:
        """List the text of one window, in the order of the files."""
        size, count = len(self.blocks), len(self)
        drawn = range(size * window // count, size * (window + 1) // count)
        chosen = sorted(shuffled(index, size, self._key) for index in drawn)
        return [TextRange(*block) for block in self.blocks[chosen].tolist()]

    @cached_property
    def _key(self) -> bytes:
        return shuffle_key("windows", len(self.blocks))


def is_cut(sizes: Sequence[int], cut: Cut) -> bool:
    """Tell whether files of so many bytes are more than one window."""
    return sum(sizes) > cut.whole_bytes


def cut_files(paths: Sequence[Path], cut: Cut) -> Windows:
    """Find the blocks of a source: one look at every byte, a tenth of a second of CPU per gigabyte.

    Args:
        paths: The files of the source, in order.
        cut: Where to cut.
    """
    found = [block for number, path in enumerate(paths) for block in _blocks(number, path, cut.block_bytes)]
    return Windows(blocks=np.array(found, dtype=np.int64).reshape(-1, 4), cut=cut)


def _blocks(number: int, path: Path, block_bytes: int) -> Iterator[TextRange]:
    """Cut one file; a block in which no line begins belongs to the one before."""
    size = path.stat().st_size
    if size == 0:
        return
    starts = list(_first_lines(path, block_bytes))
    for (start, line), (stop, _) in zip(starts, [*starts[1:], (size, 0)], strict=True):
        yield TextRange(number, start, stop, line)


def _first_lines(path: Path, block_bytes: int) -> Iterator[tuple[int, int]]:
    """Tell byte and number of the first line that begins in each block in which one begins."""
    size = path.stat().st_size
    content: npt.NDArray[Any] = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
    line = 1
    for start in range(0, size, block_bytes):
        # A line begins after a line end: those from the byte before the block to the last but one in it.
        before = max(0, start - 1)
        ends = content[before : min(size - 1, start + block_bytes - 1)] == _NEWLINE
        count = int(np.count_nonzero(ends))
        if start == 0:
            yield 0, 1
        elif count:
            yield before + int(ends.argmax()) + 1, line + 1
        line += count


def save_windows(windows: Windows, path: Path) -> None:
    """Write the blocks for the other processes of this node, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        np.save(file, windows.blocks)
    temporary.rename(path)


def read_windows(path: Path, cut: Cut) -> Windows:
    """Map the blocks that `save_windows` wrote."""
    return Windows(blocks=np.asarray(np.load(path, mmap_mode="r", allow_pickle=False)), cut=cut)
