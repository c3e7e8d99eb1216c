"""Which documents repeat an earlier one, decided from their records (`cloudcpt.corpus.signing`) alone.

Documents are numbered from 0 in the order in which they were given; the first of those that are equal, or resemble each
other, stays. The records lie in one file, in this order.

Equal documents are found by sorting their hashes, those of about 4 million documents at a time, by how they begin: half
a gigabyte of memory, whatever their number. For what resembles, see `cloudcpt.corpus.near`. Beside that, 24 bytes for
each document that goes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloudcpt.corpus.minhash import SLOTS
from cloudcpt.corpus.near import groups_of, similarity
from cloudcpt.corpus.signing import DIGEST_BYTES, Method
from cloudcpt.dataset.progress import ShowProgress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DIGESTS_AT_ONCE: Final = 1 << 22
_ROWS_AT_ONCE: Final = 1 << 14


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """The documents that go, in order.

    Args:
        dropped: [D] int64, their numbers, rising.
        kept: [D] int64, for each the earlier document that stays instead.
        similarity: [D] float64, of the two: 1 for equal ones; for near ones the estimate, which is below the threshold
            where others stand between them.
    """

    dropped: "NDArray[np.int64]"
    kept: "NDArray[np.int64]"
    similarity: "NDArray[np.float64]"


def find_repeats(records: Path, method: Method, *, threshold: float, progress: ShowProgress | None = None) -> Repeats:
    """Decide which documents go.

    Args:
        records: A file of one record per document, in order.
        method: Of the records.
        threshold: Least similarity of near documents; not looked at by other methods.
        progress: Called now and then while near documents are looked for; the others take no time worth telling.
    """
    return _near(records, threshold, progress) if method is Method.NEAR else _equal(records)


def _equal(records: Path) -> Repeats:
    import numpy as np

    documents = records.stat().st_size // DIGEST_BYTES
    parts = 1 + documents // _DIGESTS_AT_ONCE
    found = [_equal_in_part(records, part, parts) for part in range(parts)]
    dropped, kept = (np.concatenate(columns) for columns in zip(*found, strict=True))
    order = np.argsort(dropped)
    return Repeats(dropped=dropped[order], kept=kept[order], similarity=np.ones(len(order)))


def _equal_in_part(records: Path, part: int, parts: int) -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
    """Find what is equal among the hashes that begin in one of `parts` equal ranges.

    Returns:
        The documents that go, and for each the one that stays.
    """
    import numpy as np

    some, numbers, start = [], [], 0
    with records.open("rb") as file:
        while read := file.read(DIGEST_BYTES * _DIGESTS_AT_ONCE):
            digests = np.frombuffer(read, np.uint64).reshape(-1, 2)
            chosen = np.flatnonzero((digests[:, 0] >> np.uint64(40)) * np.uint64(parts) >> np.uint64(24) == part)
            some.append(digests[chosen])
            numbers.append(chosen + start)
            start += len(digests)
    if not some:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    digests, documents = np.concatenate(some), np.concatenate(numbers)
    order = np.lexsort((digests[:, 1], digests[:, 0]))  # stable: equal ones stay in the order of the documents
    digests, documents = digests[order], documents[order]
    is_first = np.ones(len(digests), np.bool_)
    is_first[1:] = (digests[1:] != digests[:-1]).any(axis=1)
    first = documents[is_first][np.cumsum(is_first) - 1]
    return documents[~is_first], first[~is_first]


def _near(records: Path, threshold: float, progress: ShowProgress | None) -> Repeats:
    import numpy as np

    is_empty = records.stat().st_size == 0  # which cannot be mapped
    slots = np.empty(0, np.uint16) if is_empty else np.memmap(records, np.uint16, "r")
    signatures = slots.reshape(-1, SLOTS)
    first = groups_of(signatures, threshold=threshold, progress=progress)
    dropped = np.flatnonzero(first != np.arange(len(first)))
    kept = first[dropped]
    parts = [slice(start, start + _ROWS_AT_ONCE) for start in range(0, len(dropped), _ROWS_AT_ONCE)]
    similar = [similarity(signatures[dropped[part]], signatures[kept[part]]) for part in parts]
    return Repeats(dropped=dropped, kept=kept, similarity=np.concatenate([np.empty(0), *similar]))
