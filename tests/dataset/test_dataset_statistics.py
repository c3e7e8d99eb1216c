"""What is counted about documents, against plain ways to count it."""

import statistics
from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.dataset.duplicates import Duplicates
from cloudcpt.dataset.lengths import Lengths, LengthStats

LENGTHS = st.lists(st.integers(1, 2047) | st.integers(1, 8 << 20), min_size=1)


def measured(lengths: list[int]) -> LengthStats:
    counted = Lengths()
    for length in lengths:
        counted.add(length)
    return counted.stats()


@given(LENGTHS)
def test_extremes_mean_and_histogram_are_exact(lengths: list[int]) -> None:
    stats = measured(lengths)
    assert (stats.min, stats.max) == (min(lengths), max(lengths))
    assert stats.mean == statistics.fmean(lengths)
    octaves = [sum(2**k <= length < 2 ** (k + 1) for length in lengths) for k in range(max(lengths).bit_length())]
    assert list(stats.histogram) == octaves


@given(LENGTHS)
def test_quantiles_are_exact_below_2048_and_low_by_less_than_a_tenth_of_a_percent_above(lengths: list[int]) -> None:
    stats, ordered = measured(lengths), sorted(lengths)
    for percent, found in ((50, stats.median), (95, stats.p95)):
        exact = ordered[-(-len(ordered) * percent // 100) - 1]
        assert found == exact if exact < 2048 else exact * 0.999 < found <= exact


def test_no_documents_have_lengths_of_zero() -> None:
    assert measured([]) == LengthStats(min=0, mean=0.0, median=0, p95=0, max=0, histogram=())


def digest(number: int) -> bytes:
    return blake2b(number.to_bytes(4, "little"), digest_size=16).digest()


@given(
    st.lists(
        st.binary(min_size=16, max_size=16)
        | st.sampled_from([bytes(16), b"\x01" + bytes(15), bytes(8) + b"\x01" + bytes(7)])
    )
)
def test_repeats_are_those_of_a_set(digests: list[bytes]) -> None:
    table, seen = Duplicates(), set()
    for found in digests:
        # The hash 0 marks an empty slot and shares its place with the hash 1.
        key = bytes(8) + b"\x01" + bytes(7) if found == bytes(16) else found
        assert table.is_repeated(found) == (key in seen)
        seen.add(key)


def test_the_table_grows_without_forgetting() -> None:
    table = Duplicates()
    assert not any(table.is_repeated(digest(number)) for number in range(20_000))
    assert all(table.is_repeated(digest(number)) for number in range(20_000))
    assert table.is_complete


def test_a_full_table_still_recognises_what_it_holds_and_says_that_it_is_full() -> None:
    table = Duplicates(most_slots=64)
    assert not any(table.is_repeated(digest(number)) for number in range(100))
    assert not table.is_complete
    assert table.documents == 43
    assert all(table.is_repeated(digest(number)) for number in range(43))
    assert not table.is_repeated(digest(99))
