"""Hashes of documents on disk, parted by their first bits, so that each part can be looked through in memory.

    digest, 16 bytes | file and line, 8 | offset, 8   ... in files without a name, which end with the process

A part with more different hashes than memory should hold is parted again, by the next bits.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from heapq import nsmallest
from pathlib import Path
from struct import Struct
from typing import IO, Final, Self

_RECORD: Final = Struct("<16sQQ")
_LINE_BITS: Final = 40
_PARTS_BITS: Final = 6
"""Of each byte of a hash: 64 files at a time, and as many again while one of them is parted."""

_BUFFER_BYTES: Final = 1 << 15

_Place = tuple[int, int, int]
"""File, line and offset."""


class Spill:
    """Records in files; a context that closes them.

    Args:
        folder: For the files; the system's folder for such files when None.
        depth: Which byte of a hash tells its part.
    """

    def __init__(self, folder: Path | None = None, *, depth: int = 0) -> None:
        self._folder = folder
        self._depth = depth
        self._parts: dict[int, IO[bytes]] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget everything."""
        self._open.close()

    def add(self, digest: bytes, file: int, line: int, byte: int) -> None:
        """Write one record down; see `Spot`.

        Raises:
            OSError: there is no room, or no folder for temporary files.
        """
        self._part_of(digest).write(_RECORD.pack(digest, file << _LINE_BITS | line, byte))

    def repeated(self, first: int, most_in_memory: int) -> tuple[int, list[_Place]]:
        """Count the records whose hash an earlier record has.

        Args:
            first: How many of them to return.
            most_in_memory: Different hashes to hold at a time.

        Returns:
            Their number; and file, line and offset of the first few, in order.

        Raises:
            OSError: there is no room to part a part.
        """
        spots: list[_Place] = []
        count = 0
        for part in self._parts.values():
            found, earliest = self._repeated_in(part, first, most_in_memory)
            count += found
            spots = nsmallest(first, [*spots, *earliest])
            part.close()
        return count, spots

    def _part_of(self, digest: bytes) -> IO[bytes]:
        key = digest[self._depth] >> (8 - _PARTS_BITS)
        part = self._parts.get(key)
        if part is None:
            from tempfile import TemporaryFile

            part = self._parts[key] = TemporaryFile(buffering=_BUFFER_BYTES, dir=self._folder)  # noqa: SIM115 closed in `close`
            self._open.enter_context(part)
        return part

    def _repeated_in(self, part: IO[bytes], first: int, most_in_memory: int) -> tuple[int, list[_Place]]:
        """Look one part through, in the order in which it was written."""
        seen: set[bytes] = set()
        spots: list[_Place] = []
        count = 0
        for digest, place, byte in _records(part):
            if digest not in seen:
                seen.add(digest)
                if len(seen) > most_in_memory and self._depth + 1 < len(digest):
                    seen.clear()
                    return self._parted_again(part, first, most_in_memory)
                continue
            count += 1
            if len(spots) < first:
                spots.append((place >> _LINE_BITS, place & ((1 << _LINE_BITS) - 1), byte))
        return count, spots

    def _parted_again(self, part: IO[bytes], first: int, most_in_memory: int) -> tuple[int, list[_Place]]:
        with Spill(self._folder, depth=self._depth + 1) as finer:
            for digest, place, byte in _records(part):
                finer.add(digest, place >> _LINE_BITS, place & ((1 << _LINE_BITS) - 1), byte)
            return finer.repeated(first, most_in_memory)


def _records(part: IO[bytes]) -> Iterator[tuple[bytes, int, int]]:
    part.seek(0)
    while piece := part.read(_RECORD.size << 12):
        yield from _RECORD.iter_unpack(piece)
