"""A few documents that stand for all of a dataset: drawn by their hashes, in bounded memory, while it is read.

The documents with the smallest hashes are kept. A hash has nothing to do with what a text says or where it stands, so
this is a fair draw; and it is the same draw in whatever order, and from whichever place, the files are read.
"""

from heapq import heappush, heapreplace
from typing import Final, NamedTuple

_HASH_BYTES: Final = 16
_NO_LIMIT: Final = b"\xff" * (_HASH_BYTES + 1)
"""Greater than any hash."""

MOST_DOCUMENTS: Final = 500
"""Enough for the frequencies of words: with twice as many, a measured shift changes by 0.01 (docs/numerics.md)."""

EXCERPT_CHARACTERS: Final = 2000
"""Of each document, so that a few long ones do not outweigh the others; 1 MiB of text in all."""


class Excerpt(NamedTuple):
    """A piece of a document, and how many characters the whole document has."""

    text: str
    of_characters: int


class Sample:
    """Keeps excerpts of the drawn documents.

    Args:
        most_documents: How many to keep.
        characters: Longest excerpt.

    Attributes:
        limit: No greater hash is wanted any more.
    """

    def __init__(self, most_documents: int = MOST_DOCUMENTS, characters: int = EXCERPT_CHARACTERS) -> None:
        self._most_documents = most_documents
        self._characters = characters
        self._kept: dict[bytes, Excerpt] = {}
        self._ranks: list[int] = []  # a heap of the negated hashes: the one to give way comes first
        self.limit = _NO_LIMIT
        self._fresh: list[bytes] = []

    def wants(self, digest: bytes) -> bool:
        """Tell whether a document with this hash would be kept: if it is among the smallest so far, and is not there.

        Args:
            digest: Of the text, 16 bytes.
        """
        return digest < self.limit and digest not in self._kept

    def offer(self, digest: bytes, text: str) -> None:
        """Keep an excerpt of a document, if it is wanted.

        Args:
            digest: Of the text, 16 bytes.
            text: The whole document.
        """
        self.add(digest, self._excerpt(digest, text))

    def add(self, digest: bytes, excerpt: Excerpt) -> None:
        """Keep an excerpt that was made elsewhere, if it is wanted."""
        if not self.wants(digest):
            return
        self._kept[digest] = excerpt
        self._fresh.append(digest)
        rank = -int.from_bytes(digest, "big")
        if len(self._ranks) < self._most_documents:
            heappush(self._ranks, rank)
        else:
            del self._kept[self._digest(heapreplace(self._ranks, rank))]
        if len(self._ranks) == self._most_documents:
            self.limit = self._digest(self._ranks[0])

    def take(self) -> tuple[tuple[bytes, Excerpt], ...]:
        """Return what is new since the last time, each with its hash, for the sample of a larger whole."""
        fresh, self._fresh = self._fresh, []
        return tuple((digest, self._kept[digest]) for digest in fresh if digest in self._kept)

    def excerpts(self) -> tuple[str, ...]:
        """Give the excerpts in the order of the hashes, which is no order at all."""
        return tuple(excerpt.text for _, excerpt in sorted(self._kept.items()))

    def lengths(self) -> tuple[int, ...]:
        """Give the characters of the documents that the excerpts are from, in the same order."""
        return tuple(excerpt.of_characters for _, excerpt in sorted(self._kept.items()))

    def _excerpt(self, digest: bytes, text: str) -> Excerpt:
        """Cut a piece out of a long text, wherever the hash says: the beginnings of documents resemble each other."""
        places = max(1, len(text) - self._characters + 1)
        start = int.from_bytes(digest[8:], "big") % places
        return Excerpt(text[start : start + self._characters], len(text))

    def _digest(self, rank: int) -> bytes:
        return (-rank).to_bytes(_HASH_BYTES, "big")
