from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.train.shuffle import shuffle_key, shuffled


@given(size=st.integers(1, 400), seed=st.integers(0, 2**64))
def test_every_element_comes_exactly_once(size: int, seed: int) -> None:
    key = shuffle_key(seed, "train", 0)
    assert sorted(shuffled(index, size, key) for index in range(size)) == list(range(size))


def test_the_order_is_pinned_so_that_no_version_or_platform_changes_it() -> None:
    """A changed value here means that a resumed or repeated run would read its data in another order."""
    key = shuffle_key(42, "train", 0)
    assert [shuffled(index, 10, key) for index in range(10)] == [2, 0, 4, 6, 1, 5, 9, 3, 8, 7]


def test_other_epochs_seeds_and_sources_have_other_orders() -> None:
    keys = [
        shuffle_key(*parts) for parts in [(42, "train", 0), (42, "train", 1), (43, "train", 0), (42, "replay-a", 0)]
    ]
    orders = {tuple(shuffled(index, 50, key) for index in range(50)) for key in keys}
    assert len(orders) == 4


@pytest.mark.parametrize("size", [4, 5, 13])
def test_every_element_is_equally_likely_at_every_place(size: int) -> None:
    """Over 2,000 keys, no (place, element) count is further than 6 standard deviations from its mean."""
    keys = [shuffle_key(seed, "train", 0) for seed in range(2000)]
    counts = Counter((index, shuffled(index, size, key)) for key in keys for index in range(size))
    mean = len(keys) / size
    spread = (mean * (1 - 1 / size)) ** 0.5
    assert all(abs(counts[place, element] - mean) < 6 * spread for place in range(size) for element in range(size))


def test_neighbours_are_torn_apart() -> None:
    key = shuffle_key(7, "train", 0)
    order = [shuffled(index, 1000, key) for index in range(1000)]
    assert sum(abs(after - before) == 1 for before, after in pairwise(order)) < 15
