"""Packing and step arithmetic, against plain references and properties."""

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.plan.geometry import (
    Piece,
    Share,
    largest_part,
    micro_batches,
    pack,
    padding_share,
    passes,
    rows_of_rank,
    rows_per_epoch,
    steps_of_epochs,
    trained_tokens,
)

LENGTHS = st.lists(st.integers(0, 40), max_size=60)
PACKINGS = st.sampled_from(["best_fit", "concat"])


@given(lengths=LENGTHS, seq_len=st.integers(1, 17), packing=PACKINGS)
def test_every_token_is_in_exactly_one_row(lengths, seq_len, packing):
    rows = pack(lengths, seq_len, packing)
    seen = sorted((piece.document, token) for row in rows for piece in row for token in range(piece.start, piece.stop))
    assert seen == [(document, token) for document, length in enumerate(lengths) for token in range(length)]


@given(lengths=LENGTHS, seq_len=st.integers(1, 17), packing=PACKINGS)
def test_no_row_is_empty_or_overfull_and_no_piece_is_empty(lengths, seq_len, packing):
    for row in pack(lengths, seq_len, packing):
        assert row
        assert sum(piece.stop - piece.start for piece in row) <= seq_len
        assert all(piece.start < piece.stop for piece in row)


@given(lengths=LENGTHS, seq_len=st.integers(1, 17))
def test_concat_fills_every_row_but_the_last(lengths, seq_len):
    sizes = [sum(piece.stop - piece.start for piece in row) for row in pack(lengths, seq_len, "concat")]
    assert all(size == seq_len for size in sizes[:-1])


@given(lengths=LENGTHS, seq_len=st.integers(1, 17))
def test_best_fit_cuts_only_documents_longer_than_a_row(lengths, seq_len):
    for row in pack(lengths, seq_len, "best_fit"):
        for piece in row:
            if lengths[piece.document] <= seq_len:
                assert piece == Piece(piece.document, 0, lengths[piece.document])
            else:
                assert piece.start % seq_len == 0


def plain_best_fit_decreasing(lengths: list[int], capacity: int) -> list[int]:
    """Fill bins the slow way, and return how full each is."""
    bins: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [index for index, used in enumerate(bins) if used + length <= capacity]
        if fitting:
            bins[max(fitting, key=lambda index: bins[index])] += length
        else:
            bins.append(length)
    return bins


@given(lengths=st.lists(st.integers(1, 30), max_size=80), seq_len=st.integers(1, 30))
def test_best_fit_fills_rows_as_the_plain_algorithm_does(lengths, seq_len):
    remainders = [(length - 1) % seq_len + 1 for length in lengths]
    full = [seq_len for length in lengths for _ in range((length - 1) // seq_len)]
    rows = pack(lengths, seq_len, "best_fit")
    sizes = [sum(piece.stop - piece.start for piece in row) for row in rows]
    assert sorted(sizes) == sorted(full + plain_best_fit_decreasing(remainders, seq_len))


def test_the_drawing_in_the_module_is_what_happens():
    lengths = [11, 3, 2, 4]
    assert pack(lengths, 5, "best_fit") == [
        (Piece(0, 0, 5),),
        (Piece(0, 5, 10),),
        (Piece(0, 10, 11), Piece(3, 0, 4)),
        (Piece(1, 0, 3), Piece(2, 0, 2)),
    ]
    assert pack(lengths, 5, "concat") == [
        (Piece(0, 0, 5),),
        (Piece(0, 5, 10),),
        (Piece(0, 10, 11), Piece(1, 0, 3), Piece(2, 0, 1)),
        (Piece(2, 1, 2), Piece(3, 0, 4)),
    ]


@given(lengths=LENGTHS, seq_len=st.integers(1, 17))
def test_rows_come_in_the_order_of_their_first_document(lengths, seq_len):
    rows = pack(lengths, seq_len, "best_fit")
    assert rows == sorted(rows)
    assert all(row == tuple(sorted(row)) for row in rows)


def test_a_hundred_thousand_documents_pack_in_well_under_their_share_of_seconds():
    """A million in a few seconds: a tenth of that here, with room for a busy machine."""
    lengths = [17 + (document * 7919) % 5000 for document in range(100_000)]
    started = time.process_time()
    rows = pack(lengths, 8192, "best_fit")
    assert time.process_time() - started < 3
    assert sum(lengths) / (len(rows) * 8192) > 0.99


# --- steps ------------------------------------------------------------------------------------------------------


def share(rows: int, tokens: int, weight: str) -> Share:
    return Share(rows=rows, tokens=tokens, weight=Fraction(weight))


def test_one_epoch_without_replay_is_the_full_batches_of_its_rows():
    """100,000 samples at a global batch of 256 are 390 full steps, 160 samples left over."""
    domain = share(100_000, 100_000 * 8192, "1")
    assert steps_of_epochs(Fraction(1), domain, [], 256) == 390
    assert steps_of_epochs(Fraction(2), domain, [], 256) == 781
    assert steps_of_epochs(Fraction("0.5"), domain, [], 256) == 195


def test_replay_rows_come_on_top_of_the_domain_rows_by_tokens():
    """900 full domain rows at 75 % of the tokens need 300 full replay rows, or 600 half-full ones."""
    domain = share(900, 900 * 100, "0.75")
    assert rows_per_epoch(domain, [share(50, 50 * 100, "0.25")]) == 1200
    assert rows_per_epoch(domain, [share(50, 50 * 50, "0.25")]) == 1500


def test_less_than_one_batch_is_no_step():
    assert steps_of_epochs(Fraction(1), share(31, 31, "1"), [], 32) == 0
    assert steps_of_epochs(Fraction(1), share(32, 32, "1"), [], 32) == 1


@given(
    domain_rows=st.integers(1, 500),
    replay_rows=st.integers(1, 500),
    domain_fill=st.integers(1, 64),
    replay_fill=st.integers(1, 64),
    percent=st.integers(1, 99),
    train_rows=st.integers(1, 10_000),
)
def test_passes_add_up_to_the_rows_and_keep_the_shares(
    domain_rows, replay_rows, domain_fill, replay_fill, percent, train_rows
):
    domain = Share(rows=domain_rows, tokens=domain_rows * domain_fill, weight=1 - Fraction(percent, 100))
    replay = Share(rows=replay_rows, tokens=replay_rows * replay_fill, weight=Fraction(percent, 100))
    domain_passes, replay_passes = (passes(one, domain, [replay], train_rows) for one in (domain, replay))
    assert domain_passes * domain.rows + replay_passes * replay.rows == train_rows
    tokens = domain_passes * domain.tokens + replay_passes * replay.tokens
    assert replay_passes * replay.tokens / tokens == replay.weight
    assert trained_tokens(domain, [replay], train_rows) == round(tokens)


# --- batches ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows_per_process", "cap", "expected"),
    [(8, 8, (8, 4, 2, 1)), (8, 5, (4, 2, 1)), (6, 5, (3, 2, 1)), (7, 6, (1,)), (4, 100, (4, 2, 1)), (1, 1, (1,))],
)
def test_micro_batches_divide_the_rows_of_a_process_and_respect_the_cap(rows_per_process, cap, expected):
    assert micro_batches(rows_per_process, cap) == expected


batches = st.integers(1, 300).flatmap(lambda rows: st.tuples(st.just(rows), st.integers(1, rows)))


@given(batch=batches)
def test_the_parts_of_all_ranks_are_the_step_in_order_and_differ_by_one_row_at_most(batch):
    global_batch_rows, world_size = batch
    parts = [rows_of_rank(global_batch_rows, rank=rank, world_size=world_size) for rank in range(world_size)]
    assert [row for part in parts for row in part] == list(range(global_batch_rows))
    sizes = {len(part) for part in parts}
    assert max(sizes) - min(sizes) <= (global_batch_rows % world_size != 0)
    assert max(sizes) == largest_part(global_batch_rows, world_size)
    fill = sum(max(sizes) - len(part) for part in parts)
    assert padding_share(global_batch_rows, world_size) == Fraction(fill, global_batch_rows + fill)


@pytest.mark.parametrize(
    ("global_batch_rows", "world_size", "expected"),
    [(256, 8, 0), (256, 48, Fraction(32, 288)), (256, 192, Fraction(1, 3)), (7, 7, 0), (7, 4, Fraction(1, 8))],
)
def test_padding_by_hand(global_batch_rows, world_size, expected):
    assert padding_share(global_batch_rows, world_size) == expected


def test_a_process_without_a_row_is_our_mistake():
    with pytest.raises(AssertionError, match="9 processes share 8 rows"):
        rows_of_rank(8, rank=0, world_size=9)
