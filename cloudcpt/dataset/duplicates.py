"""Which documents repeat an earlier one, exactly, for any number of documents in bounded memory.

The hashes of the first quarter of a million different documents are in a set, about 30 MB. Beyond that all hashes go to
disk, parted by their first bits, 32 bytes a document; at the end one part after the other is looked through (`spill`).
Two different documents share 128 bits of xxh3 with a chance of 10^-20 among a billion documents, unless somebody means
them to: this counts, and removes nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloudcpt.dataset.spill import Spill

MOST_IN_MEMORY: Final = 1 << 18
"""Hashes of different documents, about 110 bytes each."""


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Spot:
    """Where a document stands: index of its file, line from 1, offset of the line."""

    file: int
    line: int
    byte: int


class Duplicates:
    """Remembers the documents seen so far, by hash.

    Args:
        first: How many repeated documents to be able to name, of those that turn up at the end.
        most_in_memory: Different documents that are remembered in memory.
        folder: For temporary files; the system's when None.

    Attributes:
        count: Documents that are equal to an earlier one, as far as is known yet.
        documents: Seen, as long as they could be compared.
        is_complete: False once there was no more room for hashes on disk.
    """

    def __init__(self, first: int, most_in_memory: int = MOST_IN_MEMORY, folder: Path | None = None) -> None:
        self._first = first
        self._most = most_in_memory
        self._folder = folder
        self._seen: set[bytes] = set()
        self._spill: Spill | None = None
        self.count = 0
        self.documents = 0
        self.is_complete = True

    def add(self, digests: Sequence[bytes], *, file: int, lines: Sequence[int], offsets: Sequence[int]) -> list[int]:
        """Remember some documents; return which of them repeat an earlier one, as far as that can be told at once.

        Args:
            digests: Their hashes, 16 bytes each, in order.
            file: Index of their file.
            lines: Of each, from 1.
            offsets: Of each line in the file.
        """
        if not self.is_complete:
            return []
        self.documents += len(digests)
        if self._spill:
            self._write(self._spill, zip(digests, lines, offsets, strict=True), file)
            return []
        repeated = self._remember(digests)
        self.count += len(repeated)
        if len(self._seen) > self._most:
            self._spill, first_ones, self._seen = Spill(self._folder), self._seen, set()
            # Each of these is the first of its kind and will not be named: it needs no place, only to come first.
            self._write(self._spill, ((digest, 0, 0) for digest in first_ones), 0)
        return repeated

    def late(self) -> list[Spot]:
        """Look for what `add` could not tell at once, count it, and return where the first few of it are; once."""
        if not self._spill:
            return []
        try:
            with self._spill as spill:
                count, spots = spill.repeated(self._first, self._most)
        except OSError:
            count, spots, self.is_complete = 0, [], False
        self._spill = None
        self.count += count
        return [Spot(file=file, line=line, byte=byte) for file, line, byte in spots]

    def _remember(self, digests: Sequence[bytes]) -> list[int]:
        fresh = set(digests)
        if len(fresh) == len(digests) and self._seen.isdisjoint(fresh):
            self._seen |= fresh
            return []
        repeated = []
        for index, digest in enumerate(digests):
            if digest in self._seen:
                repeated.append(index)
            else:
                self._seen.add(digest)
        return repeated

    def _write(self, spill: Spill, records: Iterable[tuple[bytes, int, int]], file: int) -> None:
        try:
            for digest, line, byte in records:
                spill.add(digest, file, line, byte)
        except OSError:  # most likely the disk is full; a count is not worth more than the check that it is part of
            spill.close()
            self._spill, self.is_complete = None, False
