"""Time and cost against the vendor's table and sums done by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.plan.cost import ANCHOR_POSITIONS, cpu_duration, gpu_duration, nova_duration, priced
from cloudcpt.plan.instances import find_instance


@pytest.mark.parametrize(
    ("size_class", "replicas", "hours", "usd"),
    [("micro", 8, 4, 2_025), ("lite", 16, 4, 4_051), ("pro", 24, 10, 15_191)],
)
def test_a_hundred_thousand_full_samples_take_and_cost_what_the_table_says(size_class, replicas, hours, usd):
    duration = nova_duration(size_class, ANCHOR_POSITIONS, replicas)
    estimate = priced(duration, find_instance("ml.p5.48xlarge"), replicas)
    assert estimate.hours == hours
    assert round(estimate.usd) == usd
    assert estimate.usd_per_instance_hour == 63.296


@given(positions=st.integers(1, 10**12), replicas=st.integers(1, 32))
def test_nova_time_is_linear_in_positions_and_inverse_in_replicas(positions, replicas):
    one = nova_duration("lite", positions, replicas)
    assert nova_duration("lite", 2 * positions, replicas).hours == pytest.approx(2 * one.hours)
    assert nova_duration("lite", positions, 2 * replicas).hours == pytest.approx(one.hours / 2)
    assert one.low < one.hours < one.high


def test_gpu_time_is_flops_over_delivered_flops():
    """4 PFLOP on 8 GPUs of 1 PFLOP/s at 40 % are 1.25 s; recomputing makes it 5/3 s."""
    plain = gpu_duration(4e15, gpus=8, tflops=1000, recompute=False, startup_hours=0)
    again = gpu_duration(4e15, gpus=8, tflops=1000, recompute=True, startup_hours=0)
    assert plain.hours * 3600 == pytest.approx(1.25)
    assert again.hours * 3600 == pytest.approx(5 / 3)
    assert plain.low * 3600 == pytest.approx(0.5 / 0.55)
    assert plain.high * 3600 == pytest.approx(0.5 / 0.25)


def test_starting_up_is_added_once():
    late = gpu_duration(4e15, gpus=8, tflops=1000, recompute=False, startup_hours=0.25)
    assert late.hours == pytest.approx(0.25 + 1.25 / 3600)
    assert "15 min to start" in late.source


def test_every_source_says_that_nothing_was_measured_here():
    durations = [
        nova_duration("pro", 1, 6),
        gpu_duration(1.0, gpus=1, tflops=1, recompute=False, startup_hours=0),
        cpu_duration(1e12, cpus=2, startup_hours=0.0),
    ]
    assert all("not measured here" in duration.source for duration in durations)
    assert "full convention" in durations[1].source


def test_the_machine_at_hand_costs_nothing():
    estimate = priced(cpu_duration(1e12, cpus=2, startup_hours=0.0), None, 1)
    assert (estimate.usd, estimate.usd_low, estimate.usd_high, estimate.usd_per_instance_hour) == (0, 0, 0, 0)
    assert estimate.hours > 0


def test_cost_is_hours_times_replicas_times_price_at_both_ends():
    duration = nova_duration("lite", ANCHOR_POSITIONS, 4)
    estimate = priced(duration, find_instance("ml.p5.48xlarge"), 4)
    assert estimate.usd_low == pytest.approx(duration.low * 4 * 63.296)
    assert estimate.usd_high == pytest.approx(duration.high * 4 * 63.296)
    assert "2026" in estimate.price_source
