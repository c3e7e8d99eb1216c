"""Rows on disk: what tokenised and packed documents look like to every process of a node.

    tokens.npy      [R, T] uint32   the rows; padding holds the boundary id
    pieces.npy      [P, 3] int64    document, start, stop (token offsets in the document), in row order
    row_starts.npy  [R+1]  int64    pieces of row r are pieces[row_starts[r]:row_starts[r+1]]
    documents.npy   [D, 2] int64    file (index into the header's names) and line of each document, from 1
    rows.json                       the header, below

Everything is mapped, not read: eight processes share one copy in the page cache, and a row costs one page fault.

A large source is many such folders, one for each of its windows (`cloudcpt.train.windows`); `SourceRows` is what the
two have in common.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

TOKENS_FILE = "tokens.npy"
PIECES_FILE = "pieces.npy"
ROW_STARTS_FILE = "row_starts.npy"
DOCUMENTS_FILE = "documents.npy"
HEADER_FILE = "rows.json"


ROWS_VERSION = 2
"""Rows that were kept by another version are not reused. Raise it whenever the same documents become other rows: when
`cloudcpt.dataset.records`, `cloudcpt.dataset.tokens`, `cloudcpt.plan.geometry.pack`, this layout or the way in which
`cloudcpt.train.windows` cuts a source changes."""

Origin = Literal["tokenised", "reused", "repaired", "received"]
"""Made from text; taken from the rows kept on this machine; made from text because the kept ones were damaged; made by
another node."""


@dataclass(frozen=True, kw_only=True)
class RowsHeader:
    """What the arrays do not say.

    Args:
        seq_len_tokens: T, positions in a row.
        boundary_id: Ends each document and fills the padding.
        num_tokens: Token ids of all documents, boundary tokens included, padding not.
        text_bytes: UTF-8 bytes of the text of all documents.
        files: Names of the source's files, relative to its channel.
        origin: Where these rows come from.
    """

    seq_len_tokens: int
    boundary_id: int
    num_tokens: int
    text_bytes: int
    files: tuple[str, ...]
    origin: Origin

    def to_json(self) -> str:
        """Write the header as the text of `rows.json`."""
        return json.dumps(asdict(self), indent=2)


class InWindow(NamedTuple):
    """Where a row of a source is: in which window, which row of it, and how many rows that window has."""

    window: int
    row: int
    size: int


class SourceRows(Protocol):
    """All rows of a source, in one window or in many; some of them may still be in the making.

    Rows are numbered through, one window after another.
    """

    @property
    def num_windows(self) -> int:
        """Say how many windows there are."""

    @property
    def num_rows(self) -> int:
        """Count the rows of all windows, waiting for them."""

    def window(self, number: int) -> "Rows":
        """Open a window, waiting for it if need be."""

    def find(self, row: int) -> InWindow | None:
        """Find a row by its number, waiting for the windows up to it; None where the source has fewer rows."""

    def most_pieces(self, window: int) -> int:
        """Tell how many pieces the most divided row has in the windows up to this one."""

    def inspect(self, look: Callable[["Rows"], None]) -> None:
        """Have somebody look at every window: at those that are open now, at the others when they are opened."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The packed rows of one source, or of one window of it, mapped into memory.

    Args:
        header: Sizes and names.
        tokens: [R, T] uint32.
        pieces: [P, 3] int64.
        row_starts: [R+1] int64.
        documents: [D, 2] int64.
    """

    header: RowsHeader
    tokens: npt.NDArray[np.uint32]
    pieces: npt.NDArray[np.int64]
    row_starts: npt.NDArray[np.int64]
    documents: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def num_windows(self) -> int:
        """Say that these rows are a source of one window."""
        return 1

    @property
    def num_rows(self) -> int:
        """Count the rows."""
        return len(self)

    def window(self, number: int) -> "Rows":
        """Return the only window."""
        assert number == 0, f"there is no window {number} in a source of one"
        return self

    def find(self, row: int) -> InWindow | None:
        """Find a row by its number; None where there are fewer rows."""
        return InWindow(0, row, len(self)) if row < len(self) else None

    def inspect(self, look: Callable[["Rows"], None]) -> None:
        """Have somebody look at these rows."""
        look(self)

    @property
    def padding_share(self) -> float:
        """Tell which share of all positions holds no token."""
        return 1 - self.header.num_tokens / self.tokens.size

    def most_pieces(self, window: int) -> int:
        """Tell how many pieces the most divided row has."""
        return int(np.diff(self.window(window).row_starts).max())

    def count_cut(self) -> tuple[int, int]:
        """Count the documents that are in more than one piece, and their tokens: one piece starts inside them."""
        document, start, stop = self.pieces.T
        is_cut = np.zeros(len(self.documents), dtype=np.bool_)
        is_cut[document[start > 0]] = True
        return int(is_cut.sum()), int((stop - start)[is_cut[document]].sum())

    def piece_lengths(self, row: int) -> npt.NDArray[np.int64]:
        """Count the tokens of each piece of a row, in order: [pieces of the row] int64."""
        pieces = self.pieces[self.row_starts[row] : self.row_starts[row + 1]]
        return pieces[:, 2] - pieces[:, 1]

    def places(self, row: int) -> tuple[str, ...]:
        """Name the line of the dataset that each piece of a row comes from, as `file:line`."""
        numbers = self.pieces[self.row_starts[row] : self.row_starts[row + 1], 0]
        return tuple(f"{self.header.files[file]}:{line}" for file, line in self.documents[numbers].tolist())


def make_room(path: Path, *, num_rows: int, seq_len: int) -> npt.NDArray[np.uint32]:
    """Create the file of a [num_rows, seq_len] uint32 array and map it for writing.

    The disk gives it all of its blocks now. Without them, a disk that fills up would end this process with SIGBUS, and
    without a word, at the first mapped page that finds no place.

    Raises:
        OSError: the disk has no room.
    """
    mapped = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint32, shape=(num_rows, seq_len))
    with path.open("rb+") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return np.asarray(mapped)


def open_header(path: Path) -> RowsHeader:
    """Read `rows.json`."""
    header: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return RowsHeader(**{**header, "files": tuple(header["files"])})


def open_rows(folder: Path) -> Rows:
    """Map the rows that `cloudcpt.train.pack` wrote into a folder."""
    return Rows(
        header=open_header(folder / HEADER_FILE),
        tokens=_map(folder / TOKENS_FILE),
        pieces=_map(folder / PIECES_FILE),
        row_starts=_map(folder / ROW_STARTS_FILE),
        documents=_map(folder / DOCUMENTS_FILE),
    )


def _map(path: Path) -> npt.NDArray[Any]:
    """Map one array read-only, as a plain ndarray: slicing `np.memmap` itself is several times slower."""
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    return np.asarray(mapped)
