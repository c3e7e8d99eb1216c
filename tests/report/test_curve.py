import math

from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.report.curve import braille_curve


def test_a_falling_curve_starts_at_the_top_and_ends_at_the_bottom():
    assert braille_curve([3.0, 2.0, 1.0, 0.0], width=2, height=1) == ["⠑⢄"]


def test_a_curve_of_equal_numbers_is_a_line_at_the_bottom():
    assert braille_curve([2.0] * 8, width=3, height=2) == ["⠀⠀⠀", "⣀⣀⣀"]


def test_a_missing_number_leaves_a_gap():
    (line,) = braille_curve([1.0, 1.0, math.nan, math.nan, 1.0, 1.0], width=3, height=1)
    assert line[1] == "⠀"


def test_nothing_is_drawn_of_nothing():
    assert braille_curve([], width=4, height=2) == []
    assert braille_curve([math.nan], width=4, height=2) == []


@given(st.lists(st.floats(allow_nan=True, width=32), max_size=200), st.integers(1, 40), st.integers(1, 6))
def test_the_curve_has_the_size_that_was_asked_for(numbers, width, height):
    lines = braille_curve(numbers, width=width, height=height)
    assert lines == [] or (len(lines) == height and {len(line) for line in lines} == {width})
    assert all(0x2800 <= ord(char) <= 0x28FF for line in lines for char in line)
