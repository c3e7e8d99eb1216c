"""Which documents are in more than one of several datasets, found while each of them is checked.

Documents are compared by 64 bits of the hash that the check makes of their text: two different texts share them with a
chance of about 1 in 20 for two datasets of a billion documents each, and of 1 in 20 million for a million each.
Memory: 20 bytes per document of all datasets, and 24 per document of the two that are compared at the moment.
"""

from array import array
from collections.abc import Sequence
from itertools import combinations

from cloudcpt.corpus.extras import require
from cloudcpt.errors import Diagnostic, Place, Related, warning


class Documents:
    """The documents of one dataset, in order; `see` is told of them by `dataset.check.check_in`.

    Args:
        name: The dataset as the user named it.

    Raises:
        SetupError: numpy is not installed.
    """

    def __init__(self, name: str) -> None:
        require("numpy")
        self.name = name
        self.hashes = array("Q")
        self._lines = array("I")
        self._offsets = array("Q")
        self._files: list[tuple[int, str]] = []  # index of the first document, and the file

    def see(self, digest: bytes, shown: str, line: int, byte: int) -> None:
        """Remember a document; see `dataset.overlap.SeeDocument`."""
        if not self._files or self._files[-1][1] != shown:
            self._files.append((len(self.hashes), shown))
        self.hashes.append(int.from_bytes(digest[:8], "little"))
        self._lines.append(line)
        self._offsets.append(byte)

    def place_of(self, index: int) -> Place:
        """Say where a document is."""
        shown = next(shown for start, shown in reversed(self._files) if start <= index)
        return Place(path=shown, line=self._lines[index], byte=self._offsets[index])


def in_several(datasets: Sequence[Documents]) -> tuple[Diagnostic, ...]:
    """Compare every two datasets; give a warning for each two that have documents in common."""
    found = (_compare(earlier, later) for earlier, later in combinations(datasets, 2))
    return tuple(one for one in found if one is not None)


def _compare(earlier: Documents, later: Documents) -> Diagnostic | None:
    import numpy as np

    known, hashes = np.frombuffer(earlier.hashes, np.uint64), np.frombuffer(later.hashes, np.uint64)
    is_shared = np.isin(hashes, known)
    documents = int(is_shared.sum())
    if not documents:
        return None
    first = int(is_shared.argmax())
    same = int((known == hashes[first]).argmax())
    are = "document is" if documents == 1 else "documents are"
    return warning(
        "CPT755",
        f"{documents:,} {are} both in `{later.name}` and in `{earlier.name}`",
        place=later.place_of(first),
        related=(Related(place=earlier.place_of(same), label="the first of them is here"),),
        hint="keep each in one of the two; a validation file that shares text with training measures memory",
    )
