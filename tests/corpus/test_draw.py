"""Drawing by rank: exactly what a sort of everything would draw, in whatever order things come by."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.corpus.draw import RANKS, Draw, Share, ranker, stirred

ITEMS = st.lists(st.tuples(st.integers(0, RANKS - 1), st.integers(1, 50)), max_size=200, unique_by=lambda item: item[0])


def by_sorting(items: list[tuple[int, int]], most: int) -> set[int]:
    drawn, total = set(), 0
    for rank, weight in sorted(items):
        total += weight
        if total > most:
            break
        drawn.add(rank)
    return drawn


def by_drawing(items: list[tuple[int, int]], most: int) -> set[int]:
    draw = Draw(most)
    waiting = [rank for rank, weight in items if draw.offer(rank, weight)]
    draw.settle()
    return {rank for rank in waiting if rank < draw.limit}


@given(items=ITEMS, most=st.integers(1, 3000), order=st.randoms(use_true_random=False))
def test_a_draw_is_that_of_a_sort_in_any_order(items: list[tuple[int, int]], most: int, order: random.Random) -> None:
    order.shuffle(items)
    assert by_drawing(items, most) == by_sorting(items, most)


def test_a_long_draw_forgets_what_is_out_of_it() -> None:
    numbers = random.Random(1)
    items = [(numbers.randrange(RANKS), 1) for _ in range(100_000)]
    draw = Draw(100)
    waiting = [rank for rank, weight in items if draw.offer(rank, weight)]
    draw.settle()
    assert {rank for rank in waiting if rank < draw.limit} == by_sorting(items, 100)
    assert len(waiting) < 12_000, "what waits is a small part of what came by"


def test_what_several_draw_from_their_parts_holds_what_one_draws_from_all() -> None:
    numbers = random.Random(2)
    items = [(numbers.randrange(RANKS), numbers.randrange(1, 9)) for _ in range(20_000)]
    parts = [Draw(500) for _ in range(4)]
    offered = [item for number, item in enumerate(items) if parts[number % 4].offer(*item)]
    assert by_drawing(offered, 500) == by_sorting(items, 500)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_share_is_a_share(share: float) -> None:
    rank, draw = ranker(7), Share(share)
    drawn = sum(draw.offer(rank(b"%d" % number), 1) for number in range(20_000))
    assert abs(drawn / 20_000 - share) < 4 * (share * (1 - share) / 20_000) ** 0.5


def test_another_seed_ranks_otherwise_and_the_same_seed_alike() -> None:
    assert ranker(1)(b"a") == ranker(1)(b"a")
    assert len({ranker(seed)(b"a") for seed in range(-50, 50)}) == 100


@given(left=st.integers(0, RANKS - 1), right=st.integers(0, RANKS - 1))
def test_stirring_loses_nothing(left: int, right: int) -> None:
    assert 0 <= stirred(left) < RANKS
    assert (stirred(left) == stirred(right)) == (left == right)


def test_the_smallest_of_many_is_drawn_as_often_as_a_single_one() -> None:
    """Without stirring, 40 % of the groups of five would be below a tenth of all ranks."""
    numbers = random.Random(3)
    groups = [min(numbers.randrange(RANKS) for _ in range(5)) for _ in range(20_000)]
    below = Counter(stirred(rank) < RANKS // 10 for rank in groups)
    assert abs(below[True] / 20_000 - 0.1) < 4 * (0.09 / 20_000) ** 0.5
