import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.report.svg import MOST_POINTS, WIDTH, Series, line_chart, thinned, ticks

VALUES = st.one_of(st.floats(-1e12, 1e12), st.just(math.nan), st.just(math.inf))


def chart(values: list[float], **settings: object) -> str:
    series = Series(name="loss", colour="c1", points=list(enumerate(values)))
    return line_chart([series], label="loss", steps=(0, len(values)), height=200, **settings)


@given(st.lists(VALUES, max_size=50), st.sampled_from([None, 0.0]))
def test_every_point_is_on_the_paper_whatever_the_numbers(values, floor):
    drawn = chart(values, floor=floor)
    for x, y in re.findall(r'cx="([^"]+)" cy="([^"]+)"', drawn):
        assert 0 <= float(x) <= WIDTH
        assert 0 <= float(y) <= 200
    assert "nan" not in drawn.replace("not a number", "")


def test_a_chart_without_a_number_says_so():
    assert chart([math.nan, math.inf]) == '<p class="none">loss: no numbers</p>'


def test_the_line_is_broken_where_a_number_is_missing():
    path = re.search(r' d="([^"]+)"', chart([1.0, 2.0, math.nan, 3.0, 4.0]))[1]
    assert re.sub(r"[\d. -]", "", path) == "MLML"


def test_higher_is_higher():
    heights = [float(y) for y in re.findall(r'cy="([^"]+)"', chart([1.0, 3.0, 2.0]))]
    assert heights[1] < heights[2] < heights[0]


def test_each_point_says_its_step_and_value_when_touched():
    assert "<title>loss, step 1: 2.5</title>" in chart([1.0, 2.5])


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(2, 12))
def test_ticks_are_few_round_and_inside(low, span, most):
    high = low + span
    if high - low < abs(low) * 1e-9:  # closer together than a double can count
        return
    found = ticks(low, high, most)
    assert len(found) <= most + 1
    slack = (high - low) * 1e-6
    assert all(low - slack <= value <= high + slack for value in found)


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (0, 80, 8, [0, 10, 20, 30, 40, 50, 60, 70, 80]),
        (4.4, 5.9, 3, [4.5, 5.0, 5.5]),
        (0, 0.003, 3, [0, 0.001, 0.002, 0.003]),
    ],
)
def test_ticks_are_the_ones_that_a_person_would_choose(low, high, most, expected):
    assert ticks(low, high, most) == pytest.approx(expected)


@given(st.lists(VALUES, min_size=11, max_size=60))
def test_thinning_keeps_the_extremes_the_ends_and_the_order(values):
    points = list(enumerate(values))
    kept = thinned(points, 10)
    finite = [value for value in values if math.isfinite(value)]
    assert kept == sorted(set(kept) & set(points), key=lambda point: point[0])
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    if finite:
        shown = [value for _, value in kept if math.isfinite(value)]
        assert (min(shown), max(shown)) == (min(finite), max(finite))


def test_thinning_leaves_few_points_of_many():
    assert len(thinned([(step, step % 17) for step in range(100_000)])) <= MOST_POINTS + 2


def test_one_missing_number_among_many_still_breaks_the_line():
    points = [(step, math.nan if step == 5001 else 1.0) for step in range(10_000)]
    assert any(math.isnan(value) for _, value in thinned(points))
