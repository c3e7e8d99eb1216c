"""Numbers read as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.cli.quantities import around, count, duration, gpu_memory, plural, rough, size, sparkline, usd


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536 * 1024, "1.5 MiB"),
        (1024**3 - 1, "1.0 GiB"),
        (2**50, "1024.0 TiB"),
    ],
)
def test_sizes(number: int, text: str) -> None:
    assert size(number) == text


def test_gpu_memory_is_in_the_units_in_which_gpus_are_sold() -> None:
    assert (gpu_memory(80 * 10**9), gpu_memory(10**9), gpu_memory(640 * 10**6)) == ("80.0 GB", "1.0 GB", "640.0 MB")


@given(st.integers(0, 10**13))
def test_rough_numbers_have_three_digits_and_are_close(number: int) -> None:
    assert str(rough(number)).rstrip("0") == str(rough(number))[:3].rstrip("0")
    assert abs(rough(number) - number) <= number * 0.005
    assert rough(number) == number or number > 999


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (80_000, "80,000"),
        (999_999, "999,999"),
        (1_240_000, "1.24 M"),
        (820_000_000, "820.00 M"),
        (8_030_000_000, "8.03 B"),
        (15 * 10**12, "15.00 T"),
    ],
)
def test_counts(number: int, text: str) -> None:
    assert count(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (4 * 3600 + 360, "4 h 06 min"),
        (2 * 86400 + 3 * 3600, "2 d 03 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_money_and_nouns() -> None:
    assert (usd(7.5), usd(1234.5)) == ("$7.50", "$1,234")
    assert (plural(1, "error"), plural(0, "error"), plural(1204, "step")) == ("1 error", "0 errors", "1,204 steps")


def test_a_sparkline_rises_with_its_numbers() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == " ▂▃▄▅▆▇█"
    assert sparkline([], 8) == ""
    assert sparkline([0.0, 0.0], 8) == "  "


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.integers(1, 60))
def test_a_sparkline_is_never_wider_than_asked(numbers: list[float], width: int) -> None:
    assert len(sparkline(numbers, width)) == min(width, len(numbers))


def test_a_range_that_reads_like_its_middle_is_left_out():
    assert around("$0.06", "$0.06", "$0.06") == "about $0.06"
    assert around("$0.06", "$0.06", "$0.07") == "about $0.06 ($0.06 to $0.07)"
