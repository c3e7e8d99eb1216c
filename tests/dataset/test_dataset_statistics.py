"""What is counted about documents, against plain ways to count it."""

import statistics
from hashlib import blake2b
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.dataset.duplicates import Duplicates
from cloudcpt.dataset.lengths import Lengths, LengthStats

LENGTHS = st.lists(st.integers(1, 2047) | st.integers(1, 8 << 20), min_size=1)


def measured(lengths: list[int]) -> LengthStats:
    counted = Lengths()
    for start in range(0, len(lengths), 3):
        counted.add_all(lengths[start : start + 3])
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


DOCUMENTS = st.lists(st.integers(0, 30), max_size=60)


def found(numbers: list[int], most_in_memory: int, first: int, block: int) -> tuple[int, list[int]]:
    """How many documents are repeated, and the lines of the first few, when they come block by block."""
    seen, lines = Duplicates(first, most_in_memory), []
    for start in range(0, len(numbers), block):
        part = numbers[start : start + block]
        its_lines = range(start + 1, start + 1 + len(part))
        digests = [digest(number) for number in part]
        lines += [its_lines[index] for index in seen.add(digests, file=7, lines=its_lines, offsets=its_lines)]
    for spot in seen.late():
        assert (spot.file, spot.byte) == (7, spot.line)
        lines.append(spot.line)
    assert seen.is_complete
    return seen.count, lines[:first]


@given(DOCUMENTS, st.integers(0, 40), st.integers(0, 5), st.integers(1, 20))
def test_repeats_are_those_of_a_set_in_memory_and_on_disk(
    numbers: list[int], most_in_memory: int, first: int, block: int
) -> None:
    repeated = [line for line, number in enumerate(numbers, 1) if number in numbers[: line - 1]]
    assert found(numbers, most_in_memory, first, block) == (len(repeated), repeated[:first])


def test_parts_that_are_too_large_are_parted_again() -> None:
    numbers = [*range(2000), 5, *range(1000)]
    assert found(numbers, 3, 2, 100) == (1001, [2001, 2002])


def test_without_room_on_disk_the_count_is_a_lower_bound_and_says_so(tmp_path: Path) -> None:
    seen = Duplicates(5, 10, tmp_path / "not there")
    for start in range(0, 40, 10):
        digests = [digest(number % 7) for number in range(start, start + 10)]
        assert len(seen.add(digests, file=0, lines=range(10), offsets=range(10))) in (3, 10)
    assert seen.is_complete
    assert seen.add([digest(number) for number in range(20)], file=0, lines=range(20), offsets=range(20))
    assert (seen.is_complete, seen.count, seen.documents) == (False, 40, 60)
    assert seen.add([digest(1)], file=0, lines=[1], offsets=[1]) == []
