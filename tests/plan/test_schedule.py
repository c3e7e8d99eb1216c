"""Learning rates against NeMo's check values, an independent transcription of its rules, and hand-worked tables."""

import math
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.plan.plan import Schedule
from cloudcpt.plan.schedule import learning_rate, preview, warmup_steps_of, wsd_decay_steps


def schedule(name="cosine", *, lr=1e-5, min_lr=1e-6, warmup=10, constant=0, steps=100) -> Schedule:
    return Schedule(name=name, lr=lr, min_lr=min_lr, warmup_steps=warmup, constant_steps=constant, steps=steps)


NEMO_VALUES = [
    (10, 0, 0, "9.0909090909e-07"),
    (10, 0, 1, "1.8181818182e-06"),
    (10, 0, 9, "9.0909090909e-06"),
    (10, 0, 10, "1.0000000000e-05"),
    (10, 0, 11, "9.9972587216e-06"),
    (10, 0, 50, "6.2814167995e-06"),
    (10, 0, 55, "5.5000000000e-06"),
    (10, 0, 80, "2.0528000060e-06"),
    (10, 0, 99, "1.0027412784e-06"),
    (10, 0, 100, "1.0000000000e-06"),
    (10, 0, 101, "1.0000000000e-06"),
    (10, 20, 0, "0.0000000000e+00"),
    (10, 20, 1, "1.0000000000e-06"),
    (10, 20, 9, "9.0000000000e-06"),
    (10, 20, 10, "1.0000000000e-05"),
    (10, 20, 11, "9.9954687994e-06"),
    (10, 20, 50, "4.4986557972e-06"),
    (10, 20, 55, "3.5475231740e-06"),
    (10, 20, 79, "1.0045312006e-06"),
    (10, 20, 80, "1.0000000000e-06"),
    (10, 20, 101, "1.0000000000e-06"),
    (0, 0, 0, "1.0000000000e-05"),
    (0, 0, 1, "9.9977795216e-06"),
    (0, 0, 50, "5.5000000000e-06"),
    (0, 0, 99, "1.0022204784e-06"),
    (0, 0, 100, "1.0000000000e-06"),
]
"""Produced by running NeMo's own class with lr 1e-5, min_lr 1e-6, N 100: W, C, s, rate."""


@pytest.mark.parametrize(("warmup", "constant", "completed", "expected"), NEMO_VALUES)
def test_cosine_gives_the_values_that_nemo_gave(warmup, constant, completed, expected):
    assert f"{learning_rate(schedule(warmup=warmup, constant=constant), completed):.10e}" == expected


LAST_DIGITS = [
    (10, 0, 0, "0x1.e81080cedafeap-21"),
    (10, 0, 9, "0x1.310a508148df2p-17"),
    (10, 0, 11, "0x1.4f73cc6ba858ep-17"),
    (10, 0, 50, "0x1.a589eb3d65e89p-18"),
    (10, 0, 79, "0x1.215a620f49e6fp-19"),
    (10, 0, 99, "0x1.0d2bdb1fd08abp-20"),
    (10, 20, 1, "0x1.0c6f7a0b5ed8ep-20"),
    (10, 20, 9, "0x1.2dfd694ccab3fp-17"),
    (10, 20, 11, "0x1.4f646c57110e7p-17"),
    (10, 20, 50, "0x1.2de6516efb0cfp-18"),
    (10, 20, 79, "0x1.0da6dbc48adddp-20"),
    (10, 20, 99, "0x1.0c6f7a0b5ed8dp-20"),
    (0, 0, 9, "0x1.498c82911e75cp-17"),
    (0, 0, 50, "0x1.711947cfa26a2p-18"),
    (0, 0, 99, "0x1.0d08111cdbed5p-20"),
]
"""The same runs, whole: stepping NeMo's CosineAnnealing as a torch scheduler, which read rates like these 120,083 times
for 1,500 random schedules, all of them equal to ours."""


@pytest.mark.parametrize(("warmup", "constant", "completed", "expected"), LAST_DIGITS)
def test_cosine_gives_them_to_the_last_digit(warmup, constant, completed, expected):
    """Two units in the last place are left to the cosine of another C library."""
    rate = learning_rate(schedule(warmup=warmup, constant=constant), completed)
    assert abs(rate - float.fromhex(expected)) <= 2 * math.ulp(rate)


def nemo(lr: float, min_lr: float, warmup: int, constant: int, steps: int, s: int) -> float:
    """Follow the rules of NeMo's CosineAnnealing, in its order of evaluation, written down apart from our code."""
    if constant:
        decay = steps - (constant + warmup)
        if warmup and s <= warmup:
            return lr * float(s) / float(warmup)
        if s > warmup + decay:
            return min_lr
        ratio = float(s - warmup) / float(decay)
        return min_lr + (0.5 * (math.cos(math.pi * ratio) + 1.0)) * (lr - min_lr)
    if warmup and s <= warmup:
        share = (s + 1) / (warmup + 1)
        return lr * share
    if s > steps:
        return min_lr
    mult = 0.5 * (1 + math.cos(math.pi * (s - warmup) / (steps - warmup)))
    return (lr - min_lr) * mult + min_lr


@given(
    warmup=st.integers(0, 30),
    constant=st.integers(0, 30),
    decay=st.integers(1, 200),
    lr=st.floats(1e-6, 1e-2),
    floor=st.floats(0, 0.9),
    completed=st.integers(0, 300),
)
def test_cosine_equals_nemo_to_the_last_digit(warmup, constant, decay, lr, floor, completed):
    steps = warmup + decay + constant
    shape = schedule(lr=lr, min_lr=lr * floor, warmup=warmup, constant=constant, steps=steps)
    assert learning_rate(shape, completed) == nemo(lr, lr * floor, warmup, constant, steps, completed)


def test_the_two_branches_of_the_cosine_are_evaluated_in_their_own_order():
    """With W 3, C 0 and N 52 the other order would differ in the last digit somewhere."""
    shape = schedule(lr=3e-5, min_lr=3e-6, warmup=3, constant=0, steps=52)
    other_order = [3e-6 + 0.5 * (math.cos(math.pi * ((s - 3) / 49)) + 1) * (3e-5 - 3e-6) for s in range(4, 52)]
    ours = [learning_rate(shape, s) for s in range(4, 52)]
    assert ours != other_order
    assert ours == pytest.approx(other_order, rel=1e-12)


def test_a_warm_up_longer_than_the_run_warms_up_to_the_end():
    """The published Nova Lite 2 recipe has 10 steps and 10 warm-up steps."""
    shape = schedule(warmup=10, steps=10)
    assert [learning_rate(shape, s) for s in range(10)] == [1e-5 * ((s + 1) / 11) for s in range(10)]


LINEAR = [(0, 0.2), (1, 0.4), (3, 0.8), (4, 1.0), (5, 0.85), (6, 0.7), (9, 0.25), (10, 0.1), (11, 0.1), (12, 0.1)]
WSD = [(0, 0.5), (1, 1.0), (8, 1.0), (9, 1.0 - 0.9 * math.sqrt(0.5)), (10, 0.1), (11, 0.1)]
CONSTANT = [(0, 1 / 3), (1, 2 / 3), (2, 1.0), (9, 1.0), (10, 1.0)]


@pytest.mark.parametrize(("completed", "expected"), LINEAR)
def test_linear_goes_straight_down_and_keeps_the_tail(completed, expected):
    """W 4, C 2, N 12: six steps from 1.0 to 0.1, 0.15 each."""
    shape = schedule("linear", lr=1.0, min_lr=0.1, warmup=4, constant=2, steps=12)
    assert learning_rate(shape, completed) == pytest.approx(expected)


@pytest.mark.parametrize(("completed", "expected"), WSD)
def test_wsd_holds_the_peak_and_decays_over_the_last_fifth(completed, expected):
    """W 1, N 10: the last two steps go down with 1 - sqrt."""
    shape = schedule("wsd", lr=1.0, min_lr=0.1, warmup=1, steps=10)
    assert wsd_decay_steps(shape) == 2
    assert learning_rate(shape, completed) == pytest.approx(expected)


@pytest.mark.parametrize(("completed", "expected"), CONSTANT)
def test_constant_stays_at_the_peak_after_the_warm_up(completed, expected):
    assert learning_rate(schedule("constant", lr=1.0, warmup=2, steps=10), completed) == pytest.approx(expected)


def in_fractions(name: str, warmup: int, constant: int, steps: int, s: int) -> Fraction:
    """Write the three other shapes down a second time, from 1 to 0, exactly; of a square root enough digits."""
    if s <= warmup and warmup:
        return Fraction(s + 1, warmup + 1)
    end = steps - constant
    if name == "constant":
        return Fraction(1)
    if s >= end:
        return Fraction(0)
    if name == "linear":
        return Fraction(end - s, end - warmup)
    length = max(1, min(steps // 5, end - warmup))
    return 1 - Fraction(math.sqrt(Fraction(max(0, s - (end - length)), length)))


@given(
    name=st.sampled_from(["linear", "wsd", "constant"]),
    warmup=st.integers(0, 20),
    constant=st.integers(0, 20),
    decay=st.integers(1, 100),
    completed=st.integers(0, 150),
)
def test_the_other_shapes_are_what_the_table_says(name, warmup, constant, decay, completed):
    steps = warmup + constant + decay
    rate = learning_rate(schedule(name, lr=1.0, min_lr=0.0, warmup=warmup, constant=constant, steps=steps), completed)
    assert rate == pytest.approx(float(in_fractions(name, warmup, constant, steps, completed)), abs=1e-12)


@given(
    name=st.sampled_from(["cosine", "linear", "wsd", "constant"]),
    warmup=st.integers(0, 20),
    constant=st.integers(0, 20),
    decay=st.integers(1, 100),
)
def test_every_shape_stays_between_its_ends_and_never_rises_after_the_warm_up(name, warmup, constant, decay):
    shape = schedule(name, warmup=warmup, constant=constant, steps=warmup + constant + decay)
    rates = [learning_rate(shape, s) for s in range(shape.steps + 3)]
    assert max(rates) == pytest.approx(shape.lr)
    after = rates[warmup:]
    assert all(later <= earlier * (1 + 1e-12) for earlier, later in pairwise(after))
    assert min(after) >= shape.min_lr * (1 - 1e-12)


@pytest.mark.parametrize(
    ("ratio", "steps", "expected"), [(0.01, 100, 1), (0.01, 101, 2), (0.29, 100, 29), (0.0, 100, 0)]
)
def test_a_warm_up_ratio_is_exact_in_decimals_and_rounds_up(ratio, steps, expected):
    assert warmup_steps_of(ratio, steps) == expected


def test_the_preview_counts_from_one_and_shows_peak_and_end():
    shown = preview(schedule(warmup=10, steps=100), 5)
    assert shown[0] == (1, learning_rate(schedule(), 0))
    assert (11, 1e-5) in shown
    assert shown[-1] == (100, learning_rate(schedule(), 99))
    assert [step for step, _ in shown] == sorted({step for step, _ in shown})


def test_the_preview_of_one_step_is_one_point():
    assert len(preview(schedule(warmup=0, steps=1), 5)) == 1
