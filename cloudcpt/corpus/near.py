"""Which documents resemble each other: locality-sensitive hashing over MinHash signatures, every pair verified.

    signatures --bands of some slots--> documents with an equal band --similarity estimated--> pairs --> groups

A band is some neighbouring slots of a signature. Two documents of similarity s have a given band of r slots in common
with a chance of s^r, so one of b bands with 1 - (1 - s^r)^b; r is the largest that finds 99 of 100 pairs at the
threshold (8 slots and 32 bands at 0.8). Only a pair whose estimated similarity reaches the threshold counts. Documents
that are connected by such pairs are one group, named by its first document.

In a band that more than `SMALL_BUCKET` documents share, each is compared with the first of them that resembled none
before, and so on, instead of all with all. Two first documents of two groups have then still been compared in every
band that they share, so that none of what is kept resembles another; groups only fall apart where the link between
two of their members is in no smaller band.

The result depends on the documents and their order alone. Memory: about 50 bytes per document, and 512 MiB of hashes
of bands, of which as many are made in one read of the signatures; these may lie in a mapped file (512 bytes each).

Source: Broder 1997; Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, chapter 3.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from cloudcpt.corpus.minhash import SLOTS, STEP, signatures_of
from cloudcpt.corpus.normal_form import mixed
from cloudcpt.dataset.progress import DataProgress, ShowProgress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SMALL_BUCKET: Final = 32
"""Documents that are compared all with all."""

MOST_LEADERS: Final = 1000
"""How many documents of a large bucket the others are compared with; keeps a boilerplate of millions affordable."""

RECALL: Final = 0.99
"""The share of pairs at the threshold that shall have a band in common."""

_ROWS_AT_ONCE: Final = 1 << 14
_KEYS_BYTES: Final = 512 << 20


def near_groups(texts: Iterable[str], *, threshold: float = 0.8) -> "NDArray[np.int64]":
    """Tell which texts resemble each other, directly or through others; see this module.

    Signs the texts one by one here; `signatures_of` in many processes and then `groups_of` give the same.

    Args:
        texts: In order; not kept. Of each, a signature of 512 bytes stays in memory.
        threshold: Least Jaccard similarity of the shingles, 0.5 to 1.

    Returns:
        [N] int64, for each text the number, from 0, of the first text of its group; its own if it is that or alone.
    """
    return groups_of(signatures_of(texts), threshold=threshold)


def groups_of(
    signatures: "NDArray[np.uint16]", *, threshold: float, progress: ShowProgress | None = None
) -> "NDArray[np.int64]":
    """Group documents by their signatures.

    Args:
        signatures: [N, SLOTS] uint16, possibly a mapped file.
        threshold: Least similarity, 0.5 to 1.
        progress: Called after every band.

    Returns:
        [N] int64, for each document the number of the first of its group.
    """
    import numpy as np

    labels = np.arange(len(signatures))
    rows = rows_of_band(threshold)
    for band, keys in enumerate(band_keys(signatures, rows), start=1):
        order, sizes = _buckets(keys)
        for left, right in _candidates(keys, order[(sizes > 1) & (sizes <= SMALL_BUCKET)]):
            _link(signatures, labels, left, right, threshold)
        is_large = sizes > SMALL_BUCKET
        for bucket in _large_buckets(order[is_large], sizes[is_large]):
            _link_bucket(signatures, labels, bucket, threshold)
        _shorten(labels)
        if progress:
            size_bytes = signatures.nbytes
            done_bytes = size_bytes * band // (SLOTS // rows)
            progress(DataProgress(bytes_done=done_bytes, bytes_total=size_bytes, documents=len(labels)))
    return labels


def rows_of_band(threshold: float) -> int:
    """Choose how many slots a band has: as many as still let `RECALL` of the pairs at the threshold be compared."""
    return max(
        rows for rows in range(1, SLOTS + 1) if 1 - (1 - threshold**rows) ** (SLOTS // rows) >= RECALL or rows == 1
    )


def similarity(left: "NDArray[np.uint16]", right: "NDArray[np.uint16]") -> "NDArray[np.float64]":
    """Estimate the similarity of documents, row by row.

    Args:
        left: [P, SLOTS] uint16, signatures.
        right: [P, SLOTS], those to compare with; or one, [SLOTS].
    """
    import numpy as np

    equal: NDArray[np.int64] = np.count_nonzero(left == right, axis=1)
    return equal / SLOTS


def band_keys(signatures: "NDArray[np.uint16]", rows: int) -> "Iterator[NDArray[np.uint64]]":
    """Hash the bands of all signatures, band by band.

    Args:
        signatures: [N, SLOTS] uint16.
        rows: Slots of a band.

    Yields:
        [N] uint64 for each band.
    """
    import numpy as np

    bands = SLOTS // rows
    at_once = max(1, _KEYS_BYTES // (8 * len(signatures) or 1))
    for low in range(0, bands, at_once):
        keys = np.zeros((min(at_once, bands - low), len(signatures)), np.uint64)
        for start in range(0, len(signatures), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            slots = signatures[part, low * rows : (low + len(keys)) * rows].astype(np.uint64)
            for at in range(rows):
                keys[:, part] = mixed(keys[:, part] * np.uint64(STEP) + slots[:, at::rows].T + np.uint64(1))
        yield from keys


def _candidates(
    keys: "NDArray[np.uint64]", shared: "NDArray[np.int64]"
) -> "Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]":
    """Give all pairs of documents within the small buckets, the earlier document on the left.

    Args:
        keys: [N] uint64, of all documents.
        shared: [S] int64, the documents in small buckets, sorted by key.
    """
    import numpy as np

    for distance in range(1, SMALL_BUCKET):
        if len(shared) <= distance:
            return
        left, right = shared[:-distance], shared[distance:]
        is_pair = keys[left] == keys[right]
        if not is_pair.any():
            return
        pairs = np.flatnonzero(is_pair)
        for start in range(0, len(pairs), _ROWS_AT_ONCE):
            some = pairs[start : start + _ROWS_AT_ONCE]
            yield left[some], right[some]


def _large_buckets(large: "NDArray[np.int64]", sizes: "NDArray[np.int64]") -> "Iterator[NDArray[np.int64]]":
    """Give the documents of each large bucket, in order.

    Args:
        large: [L] int64, the documents in large buckets, sorted by key.
        sizes: [L] int64, of the bucket of each.
    """
    start = 0
    while start < len(large):
        end = start + int(sizes[start])
        yield large[start:end]
        start = end


def _buckets(keys: "NDArray[np.uint64]") -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
    """Sort documents by key, those with the same key in their order; give with each how many have its key."""
    import numpy as np

    order = np.argsort(keys, kind="stable")
    bounds = np.flatnonzero(np.diff(keys[order], prepend=~keys[order[:1]], append=~keys[order[-1:]]))
    lengths = np.diff(bounds)
    return order, np.repeat(lengths, lengths)


def _link(
    signatures: "NDArray[np.uint16]",
    labels: "NDArray[np.int64]",
    left: "NDArray[np.int64]",
    right: "NDArray[np.int64]",
    threshold: float,
) -> None:
    """Join the groups of those pairs that resemble each other."""
    is_new = _roots(labels, left) != _roots(labels, right)
    left, right = left[is_new], right[is_new]
    is_near = similarity(signatures[left], signatures[right]) >= threshold
    _unite(labels, left[is_near], right[is_near])


def _link_bucket(
    signatures: "NDArray[np.uint16]", labels: "NDArray[np.int64]", bucket: "NDArray[np.int64]", threshold: float
) -> None:
    """Compare each document of a large bucket with those before it that resembled none before them."""
    import numpy as np

    for _ in range(MOST_LEADERS):
        if len(bucket) < 2:
            return
        leader, rest = bucket[0], bucket[1:]
        is_near = np.concatenate(
            [
                similarity(signatures[rest[start : start + _ROWS_AT_ONCE]], signatures[leader]) >= threshold
                for start in range(0, len(rest), _ROWS_AT_ONCE)
            ]
        )
        found = rest[is_near]
        _unite(labels, np.full(len(found), leader), found)
        bucket = rest[~is_near]


def _unite(labels: "NDArray[np.int64]", left: "NDArray[np.int64]", right: "NDArray[np.int64]") -> None:
    """Let the first document of one group point to that of the other, the earlier one, for each pair."""
    import numpy as np

    while len(left):
        left, right = _roots(labels, left), _roots(labels, right)
        is_apart = left != right
        left, right = left[is_apart], right[is_apart]
        np.minimum.at(labels, np.maximum(left, right), np.minimum(left, right))


def _roots(labels: "NDArray[np.int64]", documents: "NDArray[np.int64]") -> "NDArray[np.int64]":
    """Follow the labels of some documents to the first of their groups."""
    roots = labels[documents]
    while (further := labels[roots] != roots).any():
        roots[further] = labels[roots[further]]
    return roots


def _shorten(labels: "NDArray[np.int64]") -> None:
    """Let every document point to the first of its group."""
    while (further := labels[labels] != labels).any():
        labels[further] = labels[labels[further]]
