"""Drawing some documents of a dataset, each with the same chance, in one read, in the order in which they stand.

    block --ranks of places--> may be drawn, as far as its process knows --> spill --those below the final limit--> out

A document's rank comes from the seed and from where it stands (file and line), so that of equal documents each is
drawn on its own. How far ranks may go is known at the end only; what may still be drawn waits in a file without a name:
about ln(documents / drawn) times what is drawn. Memory: some 50 bytes for each document that is drawn.
"""

import struct
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, Literal

from cloudcpt.corpus.draw import Draw, Share, ranker
from cloudcpt.corpus.lines import lines_of
from cloudcpt.corpus.work import work_of
from cloudcpt.dataset.blocks import BLOCK_BYTES, Block
from cloudcpt.dataset.findings import Findings
from cloudcpt.dataset.parallel import map_blocks
from cloudcpt.dataset.places import DataPlace, Selection
from cloudcpt.dataset.progress import DataProgress, ShowProgress
from cloudcpt.errors import DatasetError, Diagnostic, error

_HEAD: Final = struct.Struct("<QI")
"""In front of a line that waits: its rank and its length."""

_SHOWN_FINDINGS: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """How much to draw.

    Args:
        unit: What is counted.
        number: How many documents, or bytes of lines, at most; or the chance of each document, between 0 and 1.
    """

    unit: Literal["documents", "bytes", "share"]
    number: float

    def of(self, line: bytes) -> int:
        """Tell how much of a number a line takes."""
        return len(line) if self.unit == "bytes" else 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """What a sample came to.

    Args:
        documents: Drawn.
        size_bytes: Of their lines.
        of_documents: How many there were to draw from.
    """

    documents: int
    size_bytes: int
    of_documents: int


@dataclass(frozen=True, slots=True)
class _Candidates:
    """What is known of a block: how many documents, those that may be drawn with their ranks, and the errors in it."""

    documents: int
    lines: tuple[tuple[int, bytes], ...]
    errors: tuple[Diagnostic, ...]


def sample_work(selection: Selection, amount: Amount, seed: int) -> Mapping[str, Any]:
    """Describe a sample for its output."""
    return work_of("data sample", selection.files, **asdict(amount), seed=seed)


def sample(
    place: DataPlace,
    selection: Selection,
    amount: Amount,
    seed: int,
    target: BinaryIO,
    *,
    scratch: Path | None = None,
    workers: int = 0,
    block_bytes: int = BLOCK_BYTES,
    progress: ShowProgress | None = None,
) -> Drawn:
    """Draw documents and write their lines, byte for byte.

    Args:
        place: Where the dataset is.
        selection: Its files.
        amount: How much to draw.
        seed: Another one, another draw.
        target: Written to at the end only, when nothing is wrong.
        scratch: A folder with room for what waits; the system's when None.
        workers: Processes; 0 for one per core.
        block_bytes: Read at once.
        progress: Called after every block.

    Raises:
        DatasetError: a line is no document, with the first errors of each kind; or nothing was drawn.
    """
    work = partial(draw_from_blocks, tuple(file.name for file in selection.files), amount, seed)
    blocks = map_blocks(place, selection.files, work, workers=workers, block_bytes=block_bytes)
    bytes_total = sum(file.size_bytes for file in selection.files)
    draw, findings, documents, bytes_done = draw_of(amount), Findings(_SHOWN_FINDINGS), 0, 0
    with tempfile.TemporaryFile(dir=scratch) as spill:
        for block, found in blocks:
            for rank, line in found.lines:
                if draw.offer(rank, amount.of(line)):
                    spill.write(_HEAD.pack(rank, len(line)) + line)
            for fault in found.errors:
                findings.add(fault)
            documents, bytes_done = documents + found.documents, bytes_done + len(block.content)
            if progress:
                progress(DataProgress(bytes_done=bytes_done, bytes_total=bytes_total, documents=documents))
        if findings.error_count:
            raise DatasetError(*findings.diagnostics())
        draw.settle()
        drawn, size_bytes = _write(spill, draw.limit, target)
    if not drawn:
        hint = "ask for more, or for a number of documents such as `--documents 10`"
        raise DatasetError(error("CPT386", f"not one of {documents:,} documents was drawn", hint=hint))
    return Drawn(documents=drawn, size_bytes=size_bytes, of_documents=documents)


def draw_of(amount: Amount) -> Draw | Share:
    """Make the draw of an amount."""
    return Share(amount.number) if amount.unit == "share" else Draw(int(amount.number))


def draw_from_blocks(names: tuple[str, ...], amount: Amount, seed: int) -> Callable[[Block], _Candidates]:
    """Make what ranks the documents of blocks and keeps those that may be drawn, by all that this process has seen.

    Args:
        names: Of the files.
        amount: How much to draw of all of them.
        seed: Of the ranks.
    """
    rank_of, draw = ranker(seed), draw_of(amount)

    def work(block: Block) -> _Candidates:
        documents, lines, errors = 0, [], []
        name = names[block.file].encode()
        for item in lines_of(block):
            if isinstance(item, Diagnostic):
                errors.append(item)
                continue
            record, line = item
            documents += 1
            rank = rank_of(b"%s\0%d" % (name, record.line))
            if draw.offer(rank, amount.of(line)):
                lines.append((rank, line))
        return _Candidates(documents, tuple(lines), tuple(errors))

    return work


def _write(spill: IO[bytes], limit: int, target: BinaryIO) -> tuple[int, int]:
    """Write the lines below the limit, in order; return how many that are, and their bytes."""
    documents = size_bytes = 0
    spill.seek(0)
    while head := spill.read(_HEAD.size):
        rank, length = _HEAD.unpack(head)
        line = spill.read(length)
        if rank < limit:
            target.write(line)
            documents, size_bytes = documents + 1, size_bytes + length
    return documents, size_bytes
