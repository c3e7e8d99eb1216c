"""The one pass that measures a corpus: every document looked at once, in as many processes as there are cores.

    files --map_blocks--> BlockStats, BlockStats, ... --> CorpusStats

The result is the same for any number of workers and any size of blocks. Everything is exact, except that equal
documents are told by a 128-bit hash, that the lines of many documents are measured on a draw (`drawn_lines`), and that
a language is the guess of a model (`language`).
Memory: a few blocks per process, 20 MB for lines and 30 MB for hashes of documents; more hashes wait on disk
(`dataset.duplicates`).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from cloudcpt.corpus.extras import require
from cloudcpt.corpus.stats.drawn_lines import DRAW_BYTES, FrequentLines, LineTable
from cloudcpt.corpus.stats.tally import FIRST, Hits, Tally
from cloudcpt.corpus.stats.work import BlockStats, make_work
from cloudcpt.dataset.blocks import BLOCK_BYTES, Block
from cloudcpt.dataset.duplicates import Duplicates
from cloudcpt.dataset.lengths import Lengths, LengthStats
from cloudcpt.dataset.parallel import map_blocks
from cloudcpt.dataset.places import DataPlace, InputFile
from cloudcpt.dataset.progress import DataProgress, ShowProgress
from cloudcpt.errors import DatasetError, Place, error

TOP_LINES: Final = 5
"""Lines of many documents that are shown."""

_PROGRESS_INTERVAL_S: Final = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusStats:
    """What a corpus is like.

    Args:
        names: Of the paths, as the user typed them.
        files: How many there are.
        left_out: Files that look like data and are named otherwise.
        size_bytes: Of all files.
        tokenizer: Folder of the tokenizer that counted; empty when none did.
        tally: All counts.
        lengths: Of the documents, in characters.
        tokens: Of the documents, with what begins and ends them; None when they were not counted.
        token_count: Of all documents; 0 when they were not counted.
        repeated: Documents that are equal to an earlier one.
        knows_all_repeated: False when there was no more room on disk to remember all, so there may be more.
        frequent_lines: Lines that occur in many documents of a draw.
    """

    names: tuple[str, ...]
    files: int
    left_out: tuple[InputFile, ...]
    size_bytes: int
    tokenizer: str
    tally: Tally
    lengths: LengthStats
    tokens: LengthStats | None
    token_count: int
    repeated: Hits
    knows_all_repeated: bool
    frequent_lines: FrequentLines


def measure_corpus(
    place: DataPlace,
    paths: Sequence[str],
    *,
    tokenizer_folder: Path | None = None,
    workers: int = 0,
    block_bytes: int = BLOCK_BYTES,
    draw_bytes: int = DRAW_BYTES,
    progress: ShowProgress | None = None,
) -> CorpusStats:
    """Measure everything that some paths mean, as one corpus.

    Args:
        place: Where the data is.
        paths: As the user typed them.
        tokenizer_folder: Of the tokenizer to count tokens with; None to count none.
        workers: Processes; 0 for one per core.
        block_bytes: About how large a block is.
        draw_bytes: About how much data is drawn to compare its lines.
        progress: Called at the end, and a few times per second on the way.

    Raises:
        DatasetError: a path leads nowhere, a file cannot be read, not one line is a document, or the tokenizer is
            unusable.
        SetupError: a library is not installed.
    """
    require("numpy", "py3langid")
    selections = [place.select(path) for path in paths]
    files = [file for selection in selections for file in selection.files]
    total = sum(file.size_bytes for file in files)
    share = min(1.0, draw_bytes / total) if total else 1.0
    whole = _Whole(tuple(file.shown for file in files))
    next_call_s = time.monotonic() + _PROGRESS_INTERVAL_S
    work = partial(make_work, tokenizer_folder, share)
    for block, found in map_blocks(place, files, work, workers=workers, block_bytes=block_bytes):
        whole.add(found, block)
        if progress and time.monotonic() >= next_call_s:
            next_call_s = time.monotonic() + _PROGRESS_INTERVAL_S
            progress(whole.progress(total))
    if progress:
        progress(whole.progress(total))
    names = tuple(selection.shown for selection in selections)
    left_out = tuple(file for selection in selections for file in selection.left_out)
    return whole.stats(names=names, left_out=left_out, tokenizer=str(tokenizer_folder or ""))


class _Whole:
    """What the blocks so far add up to.

    Args:
        files: As the user named them, for places.
    """

    def __init__(self, files: tuple[str, ...]) -> None:
        self._files = files
        self._tally = Tally()
        self._lengths = Lengths()
        self._tokens = Lengths()
        self._seen = Duplicates(FIRST)
        self._repeated = Hits()
        self._lines = LineTable()
        self._documents = 0
        self._size_bytes = 0

    def add(self, found: BlockStats, block: Block) -> None:
        """Add the next block."""
        self._lengths.add_all(found.tally.lengths)
        self._tokens.add_all(found.tally.tokens)
        self._tally.merge(found.tally)
        for at in self._seen.add(found.digests, file=block.file, lines=found.lines, offsets=found.offsets):
            self._repeated.add(1, Place(path=block.shown, line=found.lines[at], byte=found.offsets[at]))
        self._lines.add(found.drawn)
        self._documents += len(found.digests)
        self._size_bytes += len(block.content)

    def progress(self, bytes_total: int) -> DataProgress:
        """Say how far it is."""
        return DataProgress(bytes_done=self._size_bytes, bytes_total=bytes_total, documents=self._documents)

    def stats(self, *, names: tuple[str, ...], left_out: tuple[InputFile, ...], tokenizer: str) -> CorpusStats:
        """Sum up.

        Raises:
            DatasetError: there is nothing.
        """
        if not self._documents:
            hint = "`cloudcpt data check` says what is wrong with each line"
            raise DatasetError(error("CPT757", f"there is no document in `{'`, `'.join(names)}`", hint=hint))
        lengths, tokens = self._lengths.stats(), self._tokens.stats()
        return CorpusStats(
            names=names,
            files=len(self._files),
            left_out=left_out,
            size_bytes=self._size_bytes,
            tokenizer=tokenizer,
            tally=self._tally,
            lengths=lengths,
            tokens=tokens if tokenizer else None,
            token_count=self._tokens.characters,  # what is added up is whatever is counted
            repeated=self._all_repeated(),
            knows_all_repeated=self._seen.is_complete,
            frequent_lines=self._lines.frequent(most=TOP_LINES),
        )

    def _all_repeated(self) -> Hits:
        """Add the repeated documents that could not be told while the corpus was read."""
        late = [Place(path=self._files[spot.file], line=spot.line, byte=spot.byte) for spot in self._seen.late()]
        first = [*self._repeated.first, *late][:FIRST]
        return Hits(self._seen.count, self._seen.count, first)
