import math
from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.plan.geometry import pack
from cloudcpt.plan.plan import read_plan
from cloudcpt.train.batches import IGNORE, Batch, eval_batches, make_batch, step_places, train_batches
from cloudcpt.train.mix import make_mix
from cloudcpt.train.rows import Rows, RowsHeader

PLAN = read_plan(Path(__file__).with_name("data_plan.json"))
T = PLAN.geometry.seq_len_tokens
BOUNDARY = 0


def rows_of(documents: Sequence[Sequence[int]]) -> Rows:
    """Pack documents into rows in memory; document d is line d + 1 of the only file."""
    packed = pack([len(document) for document in documents], T, "best_fit")
    tokens = np.full((len(packed), T), BOUNDARY, dtype=np.uint32)
    for row, pieces in enumerate(packed):
        flat = [token for piece in pieces for token in documents[piece.document][piece.start : piece.stop]]
        tokens[row, : len(flat)] = flat
    return Rows(
        header=RowsHeader(
            seq_len_tokens=T,
            boundary_id=BOUNDARY,
            num_tokens=sum(map(len, documents)),
            text_bytes=3 * sum(map(len, documents)),
            files=("d.jsonl",),
            origin="tokenised",
        ),
        tokens=tokens,
        pieces=np.array([piece for pieces in packed for piece in pieces], dtype=np.int64),
        row_starts=np.cumsum([0, *map(len, packed)]),
        documents=np.array([(0, document + 1) for document in range(len(documents))], dtype=np.int64),
    )


# Token ids name their place: document d, offset o is 100 * d + o + 1, so that a test can tell where a token is from.
def numbered(lengths: Sequence[int]) -> list[list[int]]:
    return [[100 * document + offset + 1 for offset in range(length)] for document, length in enumerate(lengths)]


lengths_strategy = st.lists(st.integers(1, 40), min_size=1, max_size=30)


def slow_labels(rows: Rows, row: int) -> tuple[list[int], list[int]]:
    """Labels and positions of one row, one token at a time."""
    labels, positions = [], []
    for length in rows.piece_lengths(row).tolist():
        first = len(labels)
        for offset in range(length):
            is_last = offset == length - 1
            labels.append(IGNORE if is_last else int(rows.tokens[row, first + offset + 1]))
            positions.append(offset)
    padding = T - len(labels)
    return labels + [IGNORE] * padding, positions + list(range(padding))


@given(lengths=lengths_strategy)
def test_labels_and_positions_equal_a_slow_reference(lengths: list[int]) -> None:
    rows = rows_of(numbered(lengths))
    batch = make_batch([(rows, row) for row in range(len(rows))])
    expected = [slow_labels(rows, row) for row in range(len(rows))]
    assert batch.labels.tolist() == [labels for labels, _ in expected]
    assert batch.positions.tolist() == [positions for _, positions in expected]
    assert batch.tokens.tolist() == rows.tokens.tolist()
    assert batch.num_tokens == sum(lengths)
    assert batch.num_labels == sum(label != IGNORE for labels, _ in expected for label in labels)


@given(lengths=lengths_strategy)
def test_segments_tile_the_batch_and_hold_one_document_each(lengths: list[int]) -> None:
    rows = rows_of(numbered(lengths))
    batch = make_batch([(rows, row) for row in range(len(rows))])
    bounds = batch.cu_seqlens.tolist()
    assert bounds[0] == 0
    assert bounds[-1] == batch.tokens.numel()
    assert all(start < stop for start, stop in pairwise(bounds))
    assert set(range(0, batch.tokens.numel(), T)) <= set(bounds), "a segment crosses a row"
    flat = batch.tokens.reshape(-1)
    for start, stop in pairwise(bounds):
        segment = flat[start:stop]
        documents = {int(token) // 100 for token in segment if token != BOUNDARY}
        assert len(documents) <= 1
        assert (segment == BOUNDARY).all() or (segment != BOUNDARY).all()


def test_the_layout_drawn_in_the_docstring() -> None:
    rows = rows_of([[7, 4, 9, 5], [5, 2, 3]])
    batch = make_batch([(rows, 0)])
    assert batch.tokens[0].tolist() == [7, 4, 9, 5, 5, 2, 3] + [0] * 9
    assert batch.labels[0].tolist() == [4, 9, 5, IGNORE, 2, 3] + [IGNORE] * 10
    assert batch.positions[0].tolist() == [0, 1, 2, 3, 0, 1, 2, *range(9)]
    assert batch.cu_seqlens.tolist() == [0, 4, 7, 16]
    assert (batch.num_labels, batch.num_tokens) == (5, 7)


def test_all_batches_of_a_run_have_boundaries_of_one_shape() -> None:
    crumbs = rows_of(numbered([1] * 3 * T + [T]))
    plan = replace(PLAN, geometry=replace(PLAN.geometry, steps=9, global_batch_rows=4, micro_batch_rows=2))
    steps = train_batches(plan, SOURCES | {"train": crumbs}, rank=0, world_size=1)
    batches = [batch for step in steps for batch in step]
    assert len({len(batch.cu_seqlens.unique()) for batch in batches}) > 1
    assert {batch.cu_seqlens.shape for batch in batches} == {(2 * T * 2 + 1,)}  # a row may have padding too
    assert all(batch.cu_seqlens[-1] == batch.tokens.numel() for batch in batches)
    assert all((batch.cu_seqlens.diff() >= 0).all() for batch in batches)


@pytest.mark.parametrize(("lengths", "is_whole"), [([T, T], True), ([T, T - 1], False), ([T, 5, T - 5], False)])
def test_a_batch_is_whole_when_every_row_is_one_piece(lengths: list[int], is_whole: bool) -> None:
    rows = rows_of(numbered(lengths))
    assert make_batch([(rows, row) for row in range(len(rows))]).is_whole is is_whole


def test_dtypes_are_the_ones_that_the_model_takes() -> None:
    batch = make_batch([(rows_of(numbered([5, 20])), 0)])
    assert [batch.tokens.dtype, batch.labels.dtype, batch.positions.dtype] == [torch.int64] * 3
    assert batch.cu_seqlens.dtype == torch.int32


# --- who takes which row ----------------------------------------------------------------------------------------

SOURCES = {"train": rows_of(numbered([9, 16, 30, 4, 7] * 4)), "replay-books": rows_of(numbered([12, 50, 3]))}


def batches_by_rank(world_size: int, micro: int, rows: int, first_step: int = 0) -> list[list[list[Batch]]]:
    """What each rank gets in each step, for a batch of so many rows."""
    plan = replace(PLAN, geometry=replace(PLAN.geometry, global_batch_rows=rows, micro_batch_rows=micro))
    return [
        list(train_batches(plan, SOURCES, rank=rank, world_size=world_size, first_step=first_step))
        for rank in range(world_size)
    ]


def rows_by_step(
    world_size: int, micro: int, rows: int = PLAN.geometry.global_batch_rows, first_step: int = 0
) -> list[list[list[int]]]:
    """Rows of each step as ranks one after another use them, each as its token ids; padding left out."""
    ranks = batches_by_rank(world_size, micro, rows, first_step)
    return [
        [row for rank in ranks for batch in rank[step] for row in batch.tokens.tolist() if set(row) != {BOUNDARY}]
        for step in range(len(ranks[0]))
    ]


@pytest.mark.parametrize("world_size", range(1, 8))
@pytest.mark.parametrize("micro", [1, 2, 8])
def test_a_step_trains_the_same_rows_in_the_same_order_on_any_number_of_processes(world_size: int, micro: int) -> None:
    reference = rows_by_step(1, 2)
    assert len(reference) == PLAN.geometry.steps
    assert all(len(rows) == PLAN.geometry.global_batch_rows for rows in reference)
    assert rows_by_step(world_size, micro) == reference


shapes = st.integers(1, 11).flatmap(lambda rows: st.tuples(st.just(rows), st.integers(1, rows), st.integers(1, 5)))


@given(shape=shapes)
@settings(deadline=None)
def test_uneven_parts_hold_the_step_in_order_and_are_filled_up_with_padding(shape: tuple[int, int, int]) -> None:
    rows, world_size, micro = shape
    ranks = batches_by_rank(world_size, micro, rows)
    passes = math.ceil(math.ceil(rows / world_size) / micro)
    lengths = {len(batches) for rank in ranks for batches in rank}
    assert lengths == {passes}, "with another number, a rank would wait for the others for ever"
    assert all(batch.tokens.shape == (micro, T) for rank in ranks for batches in rank for batch in batches)
    mix = make_mix(PLAN, SOURCES)
    slots = [mix.row_at(slot) for slot in range(PLAN.geometry.steps * rows)]
    expected = [SOURCES[channel].tokens[row].tolist() for channel, row in slots]
    by_step = rows_by_step(world_size, micro, rows)
    assert [row for step in by_step for row in step] == expected
    whole = [make_batch([(SOURCES[channel], row)]) for channel, row in slots]
    for count in ("num_labels", "num_tokens"):
        computed = sum(getattr(batch, count) for rank in ranks for batches in rank for batch in batches)
        assert computed == sum(getattr(batch, count) for batch in whole), "padding counts for nothing"


def same(one: Batch, other: Batch) -> bool:
    """Tell whether two batches are equal in every field, shapes and types included."""
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(Batch)]
    return all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else np.array_equal(np.asarray(a), np.asarray(b))
        for a, b in pairs
    )


@pytest.mark.parametrize("world_size", range(1, 8))
@given(first_step=st.integers(0, PLAN.geometry.steps), rows=st.sampled_from([7, 8]))
@settings(deadline=None, max_examples=10)
def test_a_run_that_starts_at_a_step_goes_on_as_the_whole_run_does(world_size: int, first_step: int, rows: int) -> None:
    """Every rank gets the very batches that it would have had, and from another number of processes the same rows."""
    whole, resumed = batches_by_rank(world_size, 2, rows), batches_by_rank(world_size, 2, rows, first_step)
    for rank, steps in enumerate(whole):
        assert len(resumed[rank]) == PLAN.geometry.steps - first_step
        for one, other in zip(steps[first_step:], resumed[rank], strict=True):
            assert all(map(same, one, other))
    assert rows_by_step(world_size, 2, rows, first_step) == rows_by_step(1, 1, rows)[first_step:]


def test_a_rank_without_a_row_is_our_mistake() -> None:
    with pytest.raises(AssertionError, match="9 processes share 8 rows"):
        next(train_batches(PLAN, SOURCES, rank=0, world_size=9))


def test_the_places_of_a_step_are_the_lines_of_its_documents() -> None:
    """Ids say which document a token is from, and document d is line d + 1."""
    batches = next(train_batches(PLAN, SOURCES, rank=0, world_size=1))
    lines = {int(token) // 100 + 1 for batch in batches for token in batch.tokens.reshape(-1) if token != BOUNDARY}
    places = step_places(PLAN, SOURCES, 0)
    assert {int(place.rpartition(":")[2]) for place in places} == lines
    assert {place.rpartition(":")[0] for place in places} == {"train/d.jsonl", "replay-books/d.jsonl"}


# --- held-out sets ----------------------------------------------------------------------------------------------


def evaluated(rows: Rows, *, max_rows: int, micro: int, world_size: int) -> list[list[Batch]]:
    return [
        list(eval_batches(rows, max_rows=max_rows, micro_batch_rows=micro, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]


@given(lengths=lengths_strategy, max_rows=st.integers(0, 12), micro=st.integers(1, 4), world_size=st.integers(1, 5))
def test_evaluation_sees_every_row_once_and_every_rank_has_as_many_batches(
    lengths: list[int], max_rows: int, micro: int, world_size: int
) -> None:
    rows = rows_of(numbered(lengths))
    ranks = evaluated(rows, max_rows=max_rows, micro=micro, world_size=world_size)
    assert len({len(batches) for batches in ranks}) == 1
    assert all(batch.tokens.shape == (micro, T) for batches in ranks for batch in batches)
    used = [row for turn in zip(*ranks, strict=True) for batch in turn for row in batch.tokens.tolist()]
    num_rows = min(len(rows), max_rows) if max_rows else len(rows)
    assert used[:num_rows] == rows.tokens[:num_rows].tolist()
    assert all(set(row) == {BOUNDARY} for row in used[num_rows:])
    one = make_batch([(rows, row) for row in range(num_rows)])
    assert sum(batch.num_labels for batches in ranks for batch in batches) == one.num_labels
    assert sum(batch.num_tokens for batches in ranks for batch in batches) == one.num_tokens


def test_a_rank_without_rows_gets_a_batch_without_labels() -> None:
    (_, other) = evaluated(rows_of(numbered([4])), max_rows=0, micro=1, world_size=2)
    assert [batch.num_labels for batch in other] == [0]
    assert (other[0].labels == IGNORE).all()
