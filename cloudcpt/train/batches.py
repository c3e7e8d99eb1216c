"""Batches: rows of token ids as the tensors that one forward pass takes, and who takes which row.

    B rows of one micro-batch, T positions of a row, S segments (pieces of documents, and the padding of each row)

    tokens      7 4 9 0 | 5 2 0 | 0 0 0      two documents and padding, boundary id 0
    labels      4 9 0 . | 2 0 . | . . .      the next token of the same piece; `.` is IGNORE
    positions   0 1 2 3 | 0 1 2 | 0 1 2
    cu_seqlens  0         4       7       10

Step s trains slots s*G to (s+1)*G - 1 of the global order (`cloudcpt.train.mix`), G rows per step over all processes.
Rank r takes the r-th of consecutive parts, which differ by at most one row, and cuts it into micro-batches; rows of
padding fill the last ones up, so that every rank takes part in every collective. So the step alone says where in the
data a run is, and the rows of a step, ranks one after another, are the same for any number of processes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from cloudcpt.plan.geometry import largest_part, rows_of_rank
from cloudcpt.plan.plan import Plan
from cloudcpt.train.mix import Mix, make_mix
from cloudcpt.train.rows import Rows, SourceRows

IGNORE = -100
"""Label of a position that has no next token: the end of a piece, and padding. The value that torch ignores."""

Pick = tuple[Rows, int | None]
"""A row and the source it is from; None for a row of padding."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One micro-batch of packed rows, on the CPU.

    Args:
        tokens: [B, T] int64; padding holds the boundary id.
        labels: [B, T] int64; IGNORE where nothing is predicted.
        positions: [B, T] int64; 0 at the start of each piece.
        cu_seqlens: [S+1] int32; where each segment starts in the flattened B*T positions, and B*T. Segments never
            cross a row; the padding of a row is a segment of its own. The last ones are empty, so that S is the same
            in all batches of a source, or of a mix of sources, and what was compiled for one batch fits the next.
        num_labels: Positions with a label.
        num_tokens: Tokens of documents, padding not counted.
        piece_lengths: [P] int64; of the segments that are text.
        text_bytes: UTF-8 bytes of the text: of each row, its tokens times the mean bytes per token of its source.
    """

    tokens: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    cu_seqlens: torch.Tensor
    num_labels: int
    num_tokens: int
    piece_lengths: npt.NDArray[np.int64]
    text_bytes: float

    @property
    def is_whole(self) -> bool:
        """Tell whether every row is one piece from its first position to its last."""
        rows, positions = self.tokens.shape
        return len(self.piece_lengths) == rows and bool((self.piece_lengths == positions).all())


def train_batches(
    plan: Plan, rows: Mapping[str, SourceRows], *, rank: int, world_size: int, first_step: int = 0
) -> Iterator[list[Batch]]:
    """Yield this rank's micro-batches of each optimizer step, one list per step, to the end of the plan.

    All lists of all ranks are equally long. Where a rank has fewer rows than that, its last batches hold rows of
    nothing but padding, which have no labels; a whole batch of them has `num_labels` 0.

    Args:
        plan: Rows per step and per micro-batch, number of steps, seed and weights.
        rows: By channel; a window that is still in the making is waited for by the step that needs it.
        rank: Of this process, over all nodes.
        world_size: Processes over all nodes, at most as many as there are rows in a step.
        first_step: Optimizer steps already completed.
    """
    geometry = plan.geometry
    micro = geometry.micro_batch_rows
    part = rows_of_rank(geometry.global_batch_rows, rank=rank, world_size=world_size)
    passes = -(-largest_part(geometry.global_batch_rows, world_size) // micro)  # of every rank alike
    mix = make_mix(plan, rows)
    padding = (rows[mix.sources[0].channel].window(0), None)
    for step in range(first_step, geometry.steps):
        first = step * geometry.global_batch_rows
        # By the windows that this and earlier steps need, not by those that are there: the same at any speed.
        windows = mix.windows_used(first + geometry.global_batch_rows)
        room = _segment_room(max(rows[name].most_pieces(max(0, number - 1)) for name, number in windows.items()), micro)
        picked: list[Pick] = [_pick(mix, rows, first + row) for row in part]
        picked += [padding] * (micro * passes - len(part))
        yield [_with_room(make_batch(picked[start : start + micro]), room) for start in range(0, len(picked), micro)]


def _pick(mix: Mix, rows: Mapping[str, SourceRows], slot: int) -> tuple[Rows, int]:
    channel, row = mix.row_at(slot)
    return _found(rows[channel], row)


def _found(source: SourceRows, row: int) -> tuple[Rows, int]:
    found = source.find(row)
    assert found is not None, f"the order leads to row {row}, and there are {source.num_rows}"
    return source.window(found.window), found.row


def step_places(plan: Plan, rows: Mapping[str, SourceRows], step: int) -> list[str]:
    """Name the dataset lines in the global batch of one step, as `channel/file:line`, to explain what went wrong in it.

    Args:
        plan: As for `train_batches`.
        rows: By channel.
        step: Optimizer steps completed before it, so the first step is 0.
    """
    mix = make_mix(plan, rows)
    first = step * plan.geometry.global_batch_rows
    picked = [mix.row_at(slot) for slot in range(first, first + plan.geometry.global_batch_rows)]
    return [f"{channel}/{place}" for channel, row in picked for place in _places(rows[channel], row)]


def _places(source: SourceRows, row: int) -> tuple[str, ...]:
    window, row = _found(source, row)
    return window.places(row)


def eval_batches(rows: Rows, *, max_rows: int, micro_batch_rows: int, rank: int, world_size: int) -> Iterator[Batch]:
    """Yield this rank's batches of a held-out set, the same number on every rank.

    Ranks take batches in turn. Where rows run out, rows of nothing but padding fill the batch, because every rank
    has to take part in every collective; such a batch can have `num_labels` 0.

    Args:
        rows: Of the held-out set.
        max_rows: Rows to use, from the start; 0 for all.
        micro_batch_rows: Rows per batch.
        rank: Of this process.
        world_size: Processes in all.
    """
    num_rows = min(len(rows), max_rows) if max_rows else len(rows)
    room = _segment_room(rows.most_pieces(0), micro_batch_rows)
    for first in range(0, num_rows, world_size * micro_batch_rows):
        mine = first + rank * micro_batch_rows
        picked = [(rows, row if row < num_rows else None) for row in range(mine, mine + micro_batch_rows)]
        yield _with_room(make_batch(picked), room)


def _segment_room(most_pieces: int, micro_batch_rows: int) -> int:
    """Find how many segments a micro-batch may have: a power of two, so that most sources and windows agree."""
    most = micro_batch_rows * (most_pieces + 1)  # a row may have padding
    return 1 << (most - 1).bit_length()


def _with_room(batch: Batch, segments: int) -> Batch:
    empty = segments + 1 - len(batch.cu_seqlens)
    return replace(batch, cu_seqlens=F.pad(batch.cu_seqlens, (0, empty), value=batch.tokens.numel()))


def make_batch(picked: Sequence[Pick]) -> Batch:
    """Assemble rows into the tensors of one forward pass, without empty segments.

    Args:
        picked: At least one row, all of one length.
    """
    tokens = np.stack([_row_tokens(rows, row) for rows, row in picked])  # [B, T]
    segments = [_segments(rows, row) for rows, row in picked]
    lengths = np.concatenate([lengths for lengths, _ in segments])  # [S]
    is_text = np.concatenate([text for _, text in segments])  # [S]
    bounds = np.concatenate([[0], np.cumsum(lengths)])  # [S+1]
    positions = np.arange(tokens.size) - np.repeat(bounds[:-1], lengths)
    labels = np.where(np.repeat(is_text, lengths), np.roll(tokens.reshape(-1), -1), IGNORE)
    labels[bounds[1:] - 1] = IGNORE  # the next token belongs to another piece
    return Batch(
        tokens=torch.from_numpy(tokens),
        labels=torch.from_numpy(labels.reshape(tokens.shape)),
        positions=torch.from_numpy(positions.reshape(tokens.shape)),
        cu_seqlens=torch.from_numpy(bounds.astype(np.int32)),
        num_labels=int((labels != IGNORE).sum()),
        num_tokens=int(lengths[is_text].sum()),
        piece_lengths=lengths[is_text],
        text_bytes=sum(_text_bytes(rows, row) for rows, row in picked),
    )


def _row_tokens(rows: Rows, row: int | None) -> npt.NDArray[np.int64]:
    """Copy one row: [T] int64."""
    if row is None:
        return np.full(rows.header.seq_len_tokens, rows.header.boundary_id, dtype=np.int64)
    tokens: npt.NDArray[np.int64] = rows.tokens[row].astype(np.int64)
    return tokens


def _text_bytes(rows: Rows, row: int | None) -> float:
    """Estimate how much text a row holds; exact over a whole pass."""
    if row is None:
        return 0.0
    return int(rows.piece_lengths(row).sum()) * rows.header.text_bytes / rows.header.num_tokens


def _segments(rows: Rows, row: int | None) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Measure the segments of one row and tell text from padding: two arrays of the same length."""
    pieces = rows.piece_lengths(row) if row is not None else np.empty(0, dtype=np.int64)
    padding = rows.header.seq_len_tokens - int(pieces.sum())
    lengths = np.append(pieces, padding) if padding else pieces
    is_text = np.arange(len(lengths)) < len(pieces)
    return lengths, is_text
