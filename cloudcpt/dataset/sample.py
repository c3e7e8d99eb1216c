"""A few documents that stand for all of a dataset: drawn by their hashes, in bounded memory, while it is read.

The documents with the smallest hashes are kept. A hash has nothing to do with what a text says or where it stands, so
this is a fair draw; and it is the same draw in whatever order, and from whichever place, the files are read.
"""

from heapq import heappush, heapreplace
from typing import Final

MOST_DOCUMENTS: Final = 500
"""Enough for the frequencies of words: with twice as many, a measured shift changes by 0.01 (docs/numerics.md)."""

EXCERPT_CHARACTERS: Final = 2000
"""Of each document, so that a few long ones do not outweigh the others; 1 MiB of text in all."""


class Sample:
    """Keeps excerpts of the drawn documents.

    Args:
        most_documents: How many to keep.
        characters: Longest excerpt.
    """

    def __init__(self, most_documents: int = MOST_DOCUMENTS, characters: int = EXCERPT_CHARACTERS) -> None:
        self._most_documents = most_documents
        self._characters = characters
        self._kept: list[tuple[int, str]] = []  # a heap on the negated hash: the one to give way comes first

    def offer(self, digest: bytes, text: str) -> None:
        """Keep an excerpt of a document if its hash is among the smallest so far.

        Args:
            digest: Of the text, 16 bytes; a text that was offered before is not to be offered again.
            text: The whole document.
        """
        rank = -int.from_bytes(digest[:8], "big")
        if len(self._kept) < self._most_documents:
            heappush(self._kept, (rank, self._excerpt(digest, text)))
        elif rank > self._kept[0][0]:
            heapreplace(self._kept, (rank, self._excerpt(digest, text)))

    def excerpts(self) -> tuple[str, ...]:
        """Give the excerpts in the order of the hashes, which is no order at all."""
        return tuple(text for _, text in sorted(self._kept, reverse=True))

    def _excerpt(self, digest: bytes, text: str) -> str:
        """Cut a piece out of a long text, wherever the hash says: the beginnings of documents resemble each other."""
        places = max(1, len(text) - self._characters + 1)
        start = int.from_bytes(digest[8:], "big") % places
        return text[start : start + self._characters]
