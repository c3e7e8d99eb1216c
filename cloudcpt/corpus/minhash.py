"""MinHash signatures: 512 bytes per document whose agreement estimates how many of their shingles two documents share.

    text --normal_form--> words --runs of five--> shingles --rensa--> 256 slots of 32 bits --low half--> signature

Two documents have the same content in a slot as often as a shingle of either is one of both (Jaccard similarity), so
the share of equal slots estimates it with a standard error of at most 0.031, and 0.025 at a similarity of 0.8. Half of
each slot is thrown away: two different ones then agree with a chance of 2^-16, which no decision notices.

Shingles are runs of five words, where a Han, Kana or Thai character is a word (`cloudcpt.corpus.normal_form`).
Five words are what Lee et al. 2022 (arXiv:2107.06499, appendix A) and datatrove use; a document of fewer words is one
shingle. Signatures are made by rensa, which needs no Python object per shingle.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from cloudcpt.corpus.normal_form import mixed, word_hashes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SLOTS: Final = 256
"""Of a signature; each is a uint16."""

SIGNATURE_BYTES: Final = 2 * SLOTS

SHINGLE_WORDS: Final = 5

_SEED: Final = 1
STEP: Final = 0x9FB21C651E98DF25
"""Odd; what a rolling hash is multiplied with before the next part is added."""

_MOST_SHINGLES: Final = 1 << 18


def signatures_of(texts: Iterable[str]) -> "NDArray[np.uint16]":
    """Make the signature of each text; it depends on the text alone.

    Texts without a word, such as rows of dots, resemble only texts that are equal to them.

    Returns:
        [N, SLOTS] uint16.
    """
    import numpy as np

    parts = [_signatures(group) for group in _groups(map(shingles_of, texts))]
    return np.concatenate(parts) if parts else np.empty((0, SLOTS), np.uint16)


def shingles_of(text: str) -> "NDArray[np.uint64]":
    """Hash each run of `SHINGLE_WORDS` words of a text, in order; one that repeats is there as often."""
    words = word_hashes(text)
    return runs_of(words, SHINGLE_WORDS) if len(words) else _only_itself(text)


def runs_of(words: "NDArray[np.uint64]", length: int) -> "NDArray[np.uint64]":
    """Hash each run of words, in order; fewer words than the length are one run.

    Args:
        words: [W] uint64, at least one.
        length: Of a run, in words.
    """
    import numpy as np

    length = min(length, len(words))
    count = len(words) - length + 1
    runs = words[:count]
    for at in range(1, length):
        runs = runs * np.uint64(STEP) + words[at : at + count]
    return mixed(runs)


def _only_itself(text: str) -> "NDArray[np.uint64]":
    import numpy as np
    from xxhash import xxh3_64_intdigest

    return np.array([xxh3_64_intdigest(text.encode())], np.uint64)


def _groups(shingles: "Iterable[NDArray[np.uint64]]") -> "Iterator[Sequence[NDArray[np.uint64]]]":
    """Gather as many documents as are worth a call and fit into little memory."""
    group: list[NDArray[np.uint64]] = []
    size = 0
    for some in shingles:
        group.append(some)
        size += len(some)
        if size >= _MOST_SHINGLES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _signatures(shingles: "Sequence[NDArray[np.uint64]]") -> "NDArray[np.uint16]":
    import numpy as np
    from rensa import RMinHash

    ends = np.cumsum([0, *map(len, shingles)]).astype(np.uint64)
    slots = RMinHash.digest_matrix_from_flat_token_hashes(np.concatenate(shingles), ends, SLOTS, _SEED)
    return np.array(slots.to_rows(), np.uint32).astype(np.uint16)
