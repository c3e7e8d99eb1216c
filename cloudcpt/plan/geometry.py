"""Rows, batches and steps, in integers only: how documents become rows and rows become optimizer steps.

A row is one packed sequence of `seq_len` tokens, the recipe's "sample". The planner counts rows with `pack`, the
trainer fills them with the same `pack`, so that the two cannot disagree.

    documents   aaaaaaaaaaa bbb cc dddd          lengths 11, 3, 2, 4; seq_len 5
    best_fit    aaaaa | aaaaa | dddda | bbbcc    a document longer than a row is cut; what remains is packed like one
    concat      aaaaa | aaaaa | abbbc | cdddd    one stream in document order, cut at row ends

Every token is in exactly one row; only the end of a row can be empty.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Literal, NamedTuple

Packing = Literal["best_fit", "concat"]


class Piece(NamedTuple):
    """Consecutive tokens of one document, `start` included and `stop` not."""

    document: int
    start: int
    stop: int


Row = tuple[Piece, ...]


def pack(lengths: Sequence[int], seq_len: int, packing: Packing) -> list[Row]:
    """Put every token of every document into exactly one row.

    Rows come in the order of their first document and pieces in the order of documents, so that the first rows of a
    held-out set are its first documents and not its longest.

    Args:
        lengths: Tokens of each document, boundary token included; a document of 0 tokens is in no row.
        seq_len: Tokens that fit in a row, at least 1.
        packing: `best_fit` keeps documents whole where they fit; `concat` cuts one long stream.

    Returns:
        The pieces of each row, never empty, together at most `seq_len` tokens.

    Source: best-fit decreasing as in "Fewer Truncations Improve Language Modeling", arXiv 2404.10830.
    """
    assert seq_len >= 1, f"a row holds at least 1 token, not {seq_len}"
    if packing == "concat":
        return list(_cut_stream(lengths, seq_len))
    full_rows, remainders = _cut_long(lengths, seq_len)
    rows = full_rows + [tuple(sorted(row)) for row in _best_fit(remainders, lengths, seq_len)]
    rows.sort()
    return rows


def cut_documents(rows: Iterable[Row]) -> set[int]:
    """Name the documents that are in more than one piece: one of the pieces then starts inside the document."""
    return {piece.document for row in rows for piece in row if piece.start > 0}


def _cut_stream(lengths: Sequence[int], seq_len: int) -> Iterator[Row]:
    row: list[Piece] = []
    room = seq_len
    for document, length in enumerate(lengths):
        start = 0
        while start < length:
            stop = min(length, start + room)
            row.append(Piece(document, start, stop))
            room -= stop - start
            start = stop
            if room == 0:
                yield tuple(row)
                row, room = [], seq_len
    if row:
        yield tuple(row)


def _cut_long(lengths: Sequence[int], seq_len: int) -> tuple[list[Row], list[list[int]]]:
    """Cut full rows off long documents and sort what remains by length.

    Returns:
        The full rows, and for each length 0..seq_len - 1 or seq_len the documents whose remainder has it. Sorting
        by counting keeps documents of one length in order, which makes the result deterministic.
    """
    full_rows: list[Row] = []
    by_length: list[list[int]] = [[] for _ in range(seq_len + 1)]
    for document, length in enumerate(lengths):
        start = 0
        while length - start > seq_len:
            full_rows.append((Piece(document, start, start + seq_len),))
            start += seq_len
        by_length[length - start].append(document)
    return full_rows, by_length


def _best_fit(by_length: Sequence[list[int]], lengths: Sequence[int], seq_len: int) -> list[list[Piece]]:
    """Place the longest first, each into the row that it fills best.

    `open_rows[space]` lists the rows with so much space left, and bit `space` of `occupied` says that there are
    some: the best row for a piece is found with one shift, whatever the number of rows.
    """
    rows: list[list[Piece]] = []
    open_rows: list[list[int]] = [[] for _ in range(seq_len + 1)]
    occupied = 0
    for length in range(seq_len, 0, -1):
        for document in by_length[length]:
            piece = Piece(document, lengths[document] - length, lengths[document])
            fitting = occupied >> length
            if fitting:
                space = length + (fitting & -fitting).bit_length() - 1
                index = open_rows[space].pop()
                if not open_rows[space]:
                    occupied ^= 1 << space
                rows[index].append(piece)
                space -= length
            else:
                index, space = len(rows), seq_len - length
                rows.append([piece])
            if space:
                open_rows[space].append(index)
                occupied |= 1 << space
    return rows


# --- steps ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """One source of training rows, as far as the number of steps is concerned.

    Args:
        rows: Packed rows of the source, at least 1.
        tokens: Tokens in them, padding not counted, at least 1.
        weight: Share of the training tokens; the weights of all sources add up to 1.
    """

    rows: int
    tokens: int
    weight: Fraction

    @property
    def rows_per_token(self) -> Fraction:
        """Tell how many rows one trained token takes on average, padding included."""
        return Fraction(self.rows, self.tokens)


def rows_per_epoch(domain: Share, replay: Sequence[Share]) -> Fraction:
    """Count the rows trained in one pass over the domain, with the replay rows that keep its share of the tokens."""
    tokens = Fraction(domain.tokens) / domain.weight
    return tokens * sum((share.weight * share.rows_per_token for share in (domain, *replay)), Fraction(0))


def steps_of_epochs(epochs: Fraction, domain: Share, replay: Sequence[Share], global_batch_rows: int) -> int:
    """Count the full optimizer steps in so many passes over the domain; what is left over is not trained."""
    return floor(epochs * rows_per_epoch(domain, replay) / global_batch_rows)


def passes(share: Share, domain: Share, replay: Sequence[Share], train_rows: int) -> Fraction:
    """Tell how many times a run of `train_rows` rows goes over one of its sources."""
    trained_tokens = train_rows * Fraction(domain.tokens) / domain.weight / rows_per_epoch(domain, replay)
    return trained_tokens * share.weight / share.tokens


def trained_tokens(domain: Share, replay: Sequence[Share], train_rows: int) -> int:
    """Count the tokens in a run of `train_rows` rows, padding not counted."""
    return round(sum(passes(share, domain, replay, train_rows) * share.tokens for share in (domain, *replay)))


# --- batches ----------------------------------------------------------------------------------------------------


def rows_of_rank(global_batch_rows: int, *, rank: int, world_size: int) -> range:
    """Give the rows of a step that one process takes, counted from the first row of the step.

    Parts are consecutive, one process after another, and balanced: equal where the batch divides evenly, and no two
    further apart than one row elsewhere.

    Args:
        global_batch_rows: Rows of the step over all processes.
        rank: Of the process.
        world_size: Processes, no more than there are rows.
    """
    assert world_size <= global_batch_rows, f"{world_size} processes share {global_batch_rows} rows, one has none"
    return range(global_batch_rows * rank // world_size, global_batch_rows * (rank + 1) // world_size)


def largest_part(global_batch_rows: int, world_size: int) -> int:
    """Count the rows of a step on the processes that take most; the others fill up with rows of padding."""
    return -(-global_batch_rows // world_size)


def padding_share(global_batch_rows: int, world_size: int) -> Fraction:
    """Tell which share of the rows that a step computes is padding, because parts are uneven; 0 where they are even."""
    computed = world_size * largest_part(global_batch_rows, world_size)
    return Fraction(computed - global_batch_rows, computed)


def micro_batches(rows_per_process: int, cap: int) -> tuple[int, ...]:
    """List the micro-batches that divide a process's rows of one step, largest first, none above `cap`."""
    return tuple(rows for rows in range(min(cap, rows_per_process), 0, -1) if rows_per_process % rows == 0)
