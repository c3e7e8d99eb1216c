"""An early rise is told from divergence, on curves whose nature is known."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.train.course import Change, CourseWatch
from cloudcpt.wire import Course, Finding

STEPS = 1000
WARMUP = 20


def changes(losses: list[float], norms: list[float] | None = None, *, warmup_steps: int = WARMUP) -> list[Change]:
    """What happens on a curve, one loss per step."""
    watch = CourseWatch(warmup_steps=warmup_steps, total_steps=len(losses))
    found = [
        watch.step(step, loss=loss, grad_norm=norm)
        for step, (loss, norm) in enumerate(zip(losses, norms or [1.0] * len(losses), strict=True), start=1)
    ]
    return [change for change in found if change]


def findings(losses: list[float], **settings: object) -> list[Finding]:
    return [change.finding for change in changes(losses, **settings)]


def curve(shape: object, *, noise: float, seed: int, steps: int = STEPS) -> list[float]:
    """A curve with the noise of batches on it."""
    draw = random.Random(seed)
    return [shape(step) + draw.gauss(0, noise) for step in range(1, steps + 1)]


def falling(step: float) -> float:
    return 2.0 + 0.8 * math.exp(-step / 200)


def bump(height: float, *, middle: float = 70, width: float = 40):
    return lambda step: 2.2 - 0.2 * step / STEPS + height * math.exp(-(((step - middle) / width) ** 2))


def growing(first: float):
    return lambda step: min(11.0, 2.0 * math.exp(max(0.0, step - first) / 40))


seeds = st.integers(0, 10**6)


@settings(deadline=None, max_examples=25)
@given(seed=seeds, noise=st.floats(0, 0.4))
def test_a_curve_that_falls_is_steady_whatever_its_noise(seed, noise):
    assert findings(curve(falling, noise=noise, seed=seed)) == []


@settings(deadline=None, max_examples=25)
@given(seed=seeds, height=st.floats(0.2, 0.6), noise=st.floats(0, 0.04))
def test_an_early_rise_that_comes_back_is_a_bump_and_never_divergence(seed, height, noise):
    assert findings(curve(bump(height), noise=noise, seed=seed)) == [Finding.BUMP, Finding.BUMP_OVER]


@settings(deadline=None, max_examples=25)
@given(seed=seeds, first=st.integers(220, 800), noise=st.floats(0, 0.15))
def test_a_late_rise_without_end_is_divergence_long_before_it_is_over(seed, first, noise):
    (change,) = changes(curve(growing(first), noise=noise, seed=seed))
    assert change.finding is Finding.DIVERGENCE
    assert change.level < 4.0


def test_an_early_rise_that_does_not_end_is_first_a_bump_and_then_divergence():
    assert findings(curve(growing(40), noise=0.02, seed=1)) == [Finding.BUMP, Finding.DIVERGENCE]


def test_what_a_bump_is_told_with_are_its_floor_and_its_peak():
    _, over = changes(curve(bump(0.4), noise=0.0, seed=0))
    assert over.floor == pytest.approx(2.2, abs=0.05)
    assert over.peak == pytest.approx(2.585, abs=0.03)
    assert over.level == pytest.approx(over.floor, rel=0.01)


def test_a_gradient_norm_that_grows_many_times_over_makes_a_rise_divergence():
    losses = curve(lambda step: 2.0 + max(0, step - 400) / 2500, noise=0.01, seed=3)
    norms = [1.0 if step < 450 else 30.0 for step in range(STEPS)]
    assert findings(losses) == []
    (change,) = changes(losses, norms)
    assert change.finding is Finding.DIVERGENCE
    assert change.level < 2.1


def test_a_gradient_norm_that_grows_while_the_loss_falls_is_nothing():
    assert findings(curve(falling, noise=0.01, seed=3), norms=[1.0] * 500 + [50.0] * 500) == []


def test_a_rise_is_early_for_three_warm_ups_too():
    late = curve(bump(0.3, middle=300), noise=0.01, seed=5)
    assert findings(late, warmup_steps=20) == []  # too late for a bump, too small for divergence
    assert findings(late, warmup_steps=100) == [Finding.BUMP, Finding.BUMP_OVER]


def test_a_loss_that_comes_back_from_far_has_recovered():
    watch = CourseWatch(warmup_steps=WARMUP, total_steps=STEPS)
    losses = [2.0] * 300 + [4.0] * 100 + [1.9] * 100
    found = [watch.step(step, loss=loss, grad_norm=1.0) for step, loss in enumerate(losses, start=1)]
    assert [change.finding for change in found if change] == [Finding.DIVERGENCE, Finding.RECOVERY]
    assert watch.course is Course.STEADY


@pytest.mark.parametrize("batches", [1, 3, 7])
def test_a_few_odd_batches_are_not_a_course(batches):
    losses = curve(falling, noise=0.01, seed=2)
    losses[100 : 100 + batches] = [9.0] * batches
    assert findings(losses) == []


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e300), st.floats(0, 1e300)), max_size=80))
def test_no_finite_numbers_stop_the_watch_and_findings_alternate(numbers):
    found = findings([loss for loss, _ in numbers], norms=[norm for _, norm in numbers])
    rises = {Finding.BUMP, Finding.DIVERGENCE}
    for one, other in pairwise(found):
        assert other not in rises or one not in rises or (one, other) == (Finding.BUMP, Finding.DIVERGENCE)
