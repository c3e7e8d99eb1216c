"""Which lines occur in many documents, measured on a draw of documents so that memory has a bound.

    document --drawn by its hash--> lines of 20 characters or more, each once --> in how many documents of the draw

The draw takes documents whose hash is below a share of all hashes, and the share is such that about `DRAW_BYTES` of
data are drawn: all of a small corpus. A hash does not depend on where a document stands, so the draw is the same for
any number of workers and any order. Equal documents are drawn together, as often as they are there. Of a pipe nobody
knows how much it will be; there the first documents are the draw.

Memory: 16 bytes per different line of the draw, and some 40 more while they are sorted: usually 20 MB, at most 150 MB,
if all lines have 20 characters. Text is kept of lines in `MANY_DOCUMENTS` or more only.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cloudcpt.corpus.stats.lines import long_lines
from cloudcpt.corpus.stats.personal import masked

if TYPE_CHECKING:
    from numpy.typing import NDArray

DRAW_BYTES: Final = 32 << 20
"""Of data, whose lines are compared: some 5,000 documents of a usual corpus."""

MANY_DOCUMENTS: Final = 3
"""A line in so many documents of the draw, and in `MANY_SHARE` of them, is boilerplate."""

MANY_SHARE: Final = 0.001

_EXCERPT: Final = 200
"""Characters of a line that are kept to show some of them, when everything personal in them has been found."""

_SHOWN: Final = 80

HELD_LINES: Final = 1 << 16
"""Lines that wait before they are summed up, with their text some 30 MB."""

_LONG_WORD: Final = re.compile(r"[A-Za-z0-9+/=_-]{32,}")
"""No word of a language: the body of a key, for one, whose head is another line."""


def is_drawn(digest: int, share: float) -> bool:
    """Tell whether a document belongs to a draw.

    Args:
        digest: Hash of its text, 64 bits.
        share: Of all documents, 0 to 1.
    """
    return digest < share * 2.0**64


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnDocument:
    """The lines of one document of the draw, each once.

    Args:
        lines: Hash, characters and beginning of each line.
        characters: Of the document.
    """

    lines: tuple[tuple[int, int, str], ...]
    characters: int


def drawn_document(text: str) -> DrawnDocument:
    """Take the lines out of a document."""
    from xxhash import xxh3_64_intdigest

    different = dict.fromkeys(long_lines(text))
    lines = tuple((xxh3_64_intdigest(line.encode()), len(line), line[:_EXCERPT]) for line in different)
    return DrawnDocument(lines=lines, characters=len(text))


@dataclass(frozen=True, kw_only=True, slots=True)
class FrequentLine:
    """A line that many documents have.

    Args:
        documents: Of the draw, that have it.
        characters: Of the whole line.
        excerpt: Its beginning, with nothing personal in it.
    """

    documents: int
    characters: int
    excerpt: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FrequentLines:
    """What the draw shows.

    Args:
        drawn_documents: In the draw.
        drawn_characters: Of these documents.
        characters: In lines that occur in many documents, once per document.
        lines: How many such lines there are.
        top: Those of most characters over all documents.
    """

    drawn_documents: int
    drawn_characters: int
    characters: int
    lines: int
    top: tuple[FrequentLine, ...]


class LineTable:
    """Counts the documents of every line.

    Args:
        most_characters: Of documents to count; later ones are left out.
        held_lines: How many wait before they are summed up.
    """

    def __init__(self, most_characters: int = 2 * DRAW_BYTES, held_lines: int = HELD_LINES) -> None:
        import numpy as np

        self._most_characters = most_characters
        self._held_lines = held_lines
        columns = [("hash", np.uint64), ("documents", np.uint32), ("characters", np.uint32)]
        self._rows: NDArray[np.void] = np.empty(0, columns)
        self._held: list[tuple[int, int, int]] = []
        self._excerpts: dict[int, str] = {}
        self._documents = 0
        self._characters = 0

    def add(self, documents: Iterable[DrawnDocument]) -> None:
        """Count the lines of some documents."""
        for document in documents:
            if self._characters >= self._most_characters:
                return
            self._documents += 1
            self._characters += document.characters
            for digest, characters, excerpt in document.lines:
                self._held.append((digest, 1, characters))
                self._excerpts.setdefault(digest, excerpt)
        if len(self._held) >= self._held_lines:
            self._sum_up()

    def frequent(self, *, most: int) -> FrequentLines:
        """Sum up what was counted.

        Args:
            most: How many lines to show.
        """
        import numpy as np

        self._sum_up()
        many = max(MANY_DOCUMENTS, MANY_SHARE * self._documents)
        rows = self._rows[self._rows["documents"] >= many]
        weights = rows["documents"].astype(np.int64) * rows["characters"]
        order = np.lexsort((rows["hash"], -weights))[:most]
        return FrequentLines(
            drawn_documents=self._documents,
            drawn_characters=self._characters,
            characters=int(weights.sum()),
            lines=len(rows),
            top=tuple(
                FrequentLine(
                    documents=int(rows["documents"][at]),
                    characters=int(rows["characters"][at]),
                    excerpt=_shown(self._excerpts[int(rows["hash"][at])]),
                )
                for at in order
            ),
        )

    def _sum_up(self) -> None:
        """Put what waits into the rows, one for each line, and forget the text of lines that few documents have."""
        import numpy as np

        rows = np.concatenate([self._rows, np.array(self._held, self._rows.dtype)])
        self._held = []
        _, first, which = np.unique(rows["hash"], return_index=True, return_inverse=True)
        documents = np.bincount(which, rows["documents"], len(first))
        self._rows = rows[first]
        self._rows["documents"] = documents
        # A line has its text here whenever it comes to be one of many, for then it is among those that waited.
        many = set(self._rows["hash"][documents >= MANY_DOCUMENTS].tolist())
        self._excerpts = {digest: text for digest, text in self._excerpts.items() if digest in many}


def _shown(excerpt: str) -> str:
    """Hide what is personal; of a line that was cut, what may be the beginning of something personal goes too."""
    whole = excerpt.rsplit(None, 1)[0] if len(excerpt) == _EXCERPT else excerpt
    shown = _LONG_WORD.sub("[...]", masked(whole))
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…"
