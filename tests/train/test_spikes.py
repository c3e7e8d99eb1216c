"""A spike is reported once, noise and trends never."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.train.spikes import ENOUGH, PAUSE, SpikeWatch


def spikes(values: list[float], factor: float = 1.1) -> list[int]:
    """Give the places of the values at which a spike begins."""
    watch = SpikeWatch(factor)
    return [place for place, value in enumerate(values) if watch.step(value)]


def noisy(seed: int, count: int, noise: float = 0.03) -> list[float]:
    draw = random.Random(seed)
    return [2.0 + draw.gauss(0, noise) for _ in range(count)]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), noise=st.floats(0, 0.3))
def test_noise_is_not_a_spike(seed, noise):
    assert spikes(noisy(seed, 400, noise)) == []


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10**6), place=st.integers(ENOUGH, 150), length=st.integers(1, 8), height=st.floats(0.5, 50))
def test_a_spike_is_reported_at_its_first_step_and_once_however_long_it_lasts(seed, place, length, height):
    values = noisy(seed, 200)
    values[place : place + length] = [value + height for value in values[place : place + length]]
    assert spikes(values) == [place]


@pytest.mark.parametrize("steps_to_double", [20, 60, 200])
def test_a_steady_rise_is_not_sudden(steps_to_double):
    assert spikes([2.0 * 2 ** (step / steps_to_double) for step in range(300)]) == []


@pytest.mark.parametrize("a_step", [0.01, 0.03, 0.05])
def test_a_rise_that_begins_and_goes_on_is_not_sudden(a_step):
    assert spikes([2.0] * 64 + [2.0 + a_step * step for step in range(60)]) == []


def test_the_first_steps_are_only_looked_at():
    assert spikes([2.0] * (ENOUGH - 1) + [50.0]) == []
    assert spikes([2.0] * ENOUGH + [50.0]) == [ENOUGH]


def test_a_number_that_never_changes_needs_more_than_a_hair():
    assert spikes([2.0] * 50 + [2.0001] + [2.0] * 50 + [2.19] + [2.0] * 50 + [2.21]) == [152]


def test_the_factor_says_how_far_above_the_usual():
    values = [1.0] * 50 + [4.9] + [1.0] * 50 + [5.1]
    assert spikes(values, factor=5.0) == [101]


def test_two_spikes_close_together_are_one_and_two_apart_are_two():
    close = [2.0] * 50 + [9.0, 2.0, 2.0, 9.0] + [2.0] * 50
    apart = [2.0] * 50 + [9.0] + [2.0] * PAUSE + [9.0] + [2.0] * 50
    assert spikes(close) == [50]
    assert spikes(apart) == [50, 51 + PAUSE]


def test_a_new_level_is_usual_before_long():
    assert spikes([2.0] * 100 + [3.0] * 100 + [9.0]) == [100, 200]


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e300), max_size=150))
def test_no_numbers_make_a_storm(values):
    found = spikes(values)
    assert all(later - earlier > PAUSE for earlier, later in pairwise(found))


def test_what_is_usual_is_the_median_of_what_was_seen():
    watch = SpikeWatch(1.1)
    assert watch.usual == 0.0
    for value in (1.0, 5.0, 2.0):
        watch.step(value)
    assert math.isclose(watch.usual, 2.0)
