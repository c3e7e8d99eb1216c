"""What is kept of each document to find those that are there already: a record of fixed size.

    exact        16 bytes: a hash of the text
    normalised   16 bytes: a hash of its words (`cloudcpt.corpus.normal_form`)
    near        512 bytes: a MinHash signature (`cloudcpt.corpus.minhash`)

A record depends on its text alone, so records can be made anywhere and in any order. Written in the order of the
documents they are what `repeats.find_repeats` reads.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from cloudcpt.corpus.minhash import SIGNATURE_BYTES, signatures_of
from cloudcpt.corpus.normal_form import word_hashes
from cloudcpt.corpus.recording import Recorder
from cloudcpt.dataset.records import Record


class Method(StrEnum):
    """What makes two documents one."""

    EXACT = "exact"
    NORMALISED = "normalised"
    NEAR = "near"


DIGEST_BYTES: Final = 16

RECORD_BYTES: Final = {
    Method.EXACT: DIGEST_BYTES,
    Method.NORMALISED: DIGEST_BYTES,
    Method.NEAR: SIGNATURE_BYTES,
}


def signer(method: Method) -> Recorder:
    """Choose what makes the records of documents, `RECORD_BYTES` each."""
    return _RECORDERS[method]


def _exact(_: str, documents: Sequence[Record]) -> bytes:
    from xxhash import xxh3_128_digest

    return b"".join(xxh3_128_digest(document.text.encode()) for document in documents)


def _normalised(_: str, documents: Sequence[Record]) -> bytes:
    return b"".join(_normalised_digest(document.text) for document in documents)


def _normalised_digest(text: str) -> bytes:
    from xxhash import xxh3_128_digest

    words = word_hashes(text)
    # A text without a word has no normal form; it equals what is equal to it.
    return xxh3_128_digest(words.tobytes() if len(words) else text.encode())


def _near(_: str, documents: Sequence[Record]) -> bytes:
    return signatures_of(document.text for document in documents).tobytes()


_RECORDERS: Final[dict[Method, Recorder]] = {
    Method.EXACT: _exact,
    Method.NORMALISED: _normalised,
    Method.NEAR: _near,
}
