"""On which side of a split each document is: a hash of its text and the seed decides, for near-duplicates together.

    text --rank--> 64 bits --of a group of near-duplicates: the smallest--> --stirred--> below the limit? validation

So a document's side depends on no other document, on no order of files and on no other file, except on documents
that resemble it: those always are on one side. Equal texts have equal ranks, so they need no group.

Memory: 8 bytes per document, and with near-duplicates 8 to 32 more while they are looked for; their signatures, 512
bytes per document, lie in a file that has no name and goes with the process.
"""

import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from heapq import nsmallest
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from cloudcpt.corpus.draw import RANKS, ranker, stirred
from cloudcpt.corpus.extras import require
from cloudcpt.dataset.blocks import Block, records_of
from cloudcpt.dataset.findings import Findings
from cloudcpt.dataset.parallel import map_blocks
from cloudcpt.dataset.places import DataPlace, InputFile
from cloudcpt.dataset.progress import DataProgress, ShowProgress
from cloudcpt.dataset.records import Record
from cloudcpt.errors import DatasetError, Diagnostic, Severity, error

if TYPE_CHECKING:
    from numpy.typing import NDArray

THRESHOLD: Final = 0.8
"""Least similarity of near-duplicates; see `cloudcpt.corpus.near`."""

_SHOWN_FINDINGS: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Sides:
    """The sides of all documents.

    Args:
        validation: Of each file, the lines that are for validation, from 1, in order.
        documents: Of each file.
        groups: Of near-duplicates that are no exact ones; 0 when they were not looked for.
    """

    validation: tuple[tuple[int, ...], ...]
    documents: tuple[int, ...]
    groups: int


@dataclass(frozen=True, slots=True)
class _Ranked:
    """What is known of a block: a rank for each document, signatures as bytes, and the errors in it."""

    ranks: "array[int]"
    signatures: bytes
    errors: tuple[Diagnostic, ...]


def find_sides(
    place: DataPlace,
    files: Sequence[InputFile],
    *,
    validation: float | int,
    seed: int,
    near: bool,
    scratch: Path,
    workers: int = 0,
    progress: ShowProgress | None = None,
) -> Sides:
    """Decide for every document on which side it is.

    Args:
        place: Where the files are.
        files: In order.
        validation: The share of documents that are for validation; or, as an integer, how many at most.
        seed: Another one, another split.
        near: Keep near-duplicates on one side.
        scratch: A folder with room for the signatures.
        workers: Processes; 0 for one per core.
        progress: Called after every block.

    Raises:
        DatasetError: a line is no document; with the first errors of each kind.
        SetupError: a library is missing that near-duplicates need.
    """
    if near:
        require("numpy", "rensa")
    findings = Findings(_SHOWN_FINDINGS)
    ranks, documents = array("Q"), [0] * len(files)
    with ExitStack() as resources:
        signatures = resources.enter_context(tempfile.TemporaryFile(dir=scratch)) if near else None
        for number, ranked in _read(place, files, seed, near, workers, progress or (lambda _: None)):
            ranks.extend(ranked.ranks)
            documents[number] += len(ranked.ranks)
            for found in ranked.errors:
                findings.add(found)
            if signatures:
                signatures.write(ranked.signatures)
        if findings.error_count:
            raise DatasetError(*findings.diagnostics())
        groups = _gather(ranks, signatures) if signatures and ranks else 0
    limit = _limit(ranks, validation)
    return Sides(validation=_lines_below(limit, ranks, documents), documents=tuple(documents), groups=groups)


def rank_block(seed: int, near: bool) -> Callable[[Block], _Ranked]:
    """Make what ranks the documents of a block."""
    rank = ranker(seed)

    def work(block: Block) -> _Ranked:
        ranks, texts, errors = array("Q"), [], []
        for item in records_of(block):
            if isinstance(item, Record):
                ranks.append(rank(item.text.encode()))
                if near:
                    texts.append(item.text)
            elif item.severity is Severity.ERROR:
                errors.append(item)
        return _Ranked(ranks, _signatures(texts) if near else b"", tuple(errors))

    return work


def _signatures(texts: Sequence[str]) -> bytes:
    from cloudcpt.corpus.minhash import signatures_of

    return signatures_of(texts).tobytes()


def _read(
    place: DataPlace, files: Sequence[InputFile], seed: int, near: bool, workers: int, progress: ShowProgress
) -> Iterator[tuple[int, _Ranked]]:
    bytes_total = sum(file.size_bytes for file in files)
    bytes_done = documents = 0
    for block, ranked in map_blocks(place, files, partial(rank_block, seed, near), workers=workers):
        bytes_done, documents = bytes_done + len(block.content), documents + len(ranked.ranks)
        progress(DataProgress(bytes_done=bytes_done, bytes_total=bytes_total, documents=documents))
        yield block.file, ranked


def _gather(ranks: "array[int]", signatures: IO[bytes]) -> int:
    """Give near-duplicates the smallest rank among them; return how many groups there are of different texts."""
    import numpy as np

    from cloudcpt.corpus.minhash import SLOTS
    from cloudcpt.corpus.near import groups_of

    signatures.flush()
    labels = groups_of(np.memmap(signatures, np.uint16, mode="r", shape=(len(ranks), SLOTS)), threshold=THRESHOLD)
    own: NDArray[np.uint64] = np.frombuffer(ranks, np.uint64)
    smallest = own.copy()
    np.minimum.at(smallest, labels, own)
    shared = smallest[labels]
    groups = len(np.unique(labels[own != shared]))
    own[:] = shared
    return groups


def _limit(ranks: "array[int]", validation: float | int) -> int:
    """Find below which stirred rank a document is for validation.

    Raises:
        DatasetError: there are no more documents than were asked for.
    """
    if isinstance(validation, float):
        return int(validation * RANKS)
    if validation >= len(ranks):
        hint = "ask for fewer, or for a share such as `--validation 1%`"
        message = f"{validation:,} documents for validation leave none of {len(ranks):,} to train on"
        raise DatasetError(error("CPT386", message, hint=hint))
    # Those that share a rank are on one side: where the next document has the rank of the last one, both stay out.
    return nsmallest(validation + 1, map(stirred, ranks))[-1]


def _lines_below(limit: int, ranks: "array[int]", documents: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    found, start = [], 0
    for count in documents:
        own = ranks[start : start + count]
        found.append(tuple(line for line, rank in enumerate(own, start=1) if stirred(rank) < limit))
        start += count
    return tuple(found)
