"""What the monitor sees is written down once, with its numbers and the dataset lines of the batch."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cloudcpt.plan.plan import Plan, read_plan
from cloudcpt.train.batches import step_places
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.monitor import MOST_EVENTS, PLACES_KEPT, Monitor, nothing_to_predict
from cloudcpt.train.progress import MetricsLog
from cloudcpt.train.rows import Rows, RowsHeader
from cloudcpt.train.spikes import PAUSE
from cloudcpt.train.window import StepNumbers
from cloudcpt.wire import Course, MlFolder

pytestmark = pytest.mark.train

PLAN = read_plan(Path(__file__).with_name("data_plan.json"))


def plan_of(*, steps: int, max_skipped_steps: int = 0) -> Plan:
    return replace(
        PLAN,
        geometry=replace(PLAN.geometry, steps=steps),
        schedule=replace(PLAN.schedule, steps=steps, warmup_steps=10),
        optimizer=replace(PLAN.optimizer, max_skipped_steps=max_skipped_steps),
    )


def rows_of_lines(count: int) -> Rows:
    """One document per row, and one row per line of the only file."""
    return Rows(
        header=RowsHeader(
            seq_len_tokens=4,
            boundary_id=0,
            num_tokens=4 * count,
            text_bytes=9 * count,
            files=("a.jsonl",),
            origin="tokenised",
        ),
        tokens=np.zeros((count, 4), dtype=np.uint32),
        pieces=np.array([(row, 0, 4) for row in range(count)], dtype=np.int64),
        row_starts=np.arange(count + 1),
        documents=np.array([(0, row + 1) for row in range(count)], dtype=np.int64),
    )


ROWS = {source.channel: rows_of_lines(100) for source in PLAN.sources}


@pytest.fixture
def ml(tmp_path: Path) -> MlFolder:
    return MlFolder(tmp_path)


def events(ml: MlFolder) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in ml.metrics.read_text("utf-8").splitlines()]
    return [row for row in rows if row["kind"] == "event"]


def watched(ml: MlFolder, losses: list[float], plan: Plan) -> Monitor:
    """Let a monitor take these losses; one that is not finite is left out."""
    with MetricsLog(plan, ml, enabled=True) as log:
        monitor = Monitor(plan, ROWS, log, skipped=0)
        for step, loss in enumerate(losses, start=1):
            numbers = StepNumbers(loss=loss, grad_norm=1.0, lr=1e-3)
            if numbers.are_finite:
                monitor.step(step, numbers)
            else:
                monitor.leave_out(step, numbers)
        log.end(len(losses), "stopped")
    return monitor


def test_a_spike_is_an_event_with_the_lines_of_its_batch(ml):
    plan = plan_of(steps=60)
    monitor = watched(ml, [2.0] * 40 + [5.0] + [2.0] * 19, plan)
    (event,) = events(ml)
    places = step_places(plan, ROWS, 40)
    assert (event["name"], event["step"]) == ("spike", 41)
    assert (event["loss"], event["usual_loss"], event["grad_norm"], event["usual_grad_norm"]) == (5.0, 2.0, 1.0, 1.0)
    assert event["places"] == places[:PLACES_KEPT]
    assert f"`{places[0]}`" in event["message"]
    assert (monitor.standing.spikes, monitor.standing.course) == (1, Course.STEADY)


def test_a_gradient_norm_can_spike_alone(ml):
    plan = plan_of(steps=40)
    with MetricsLog(plan, ml, enabled=True) as log:
        monitor = Monitor(plan, ROWS, log, skipped=0)
        for step in range(1, 41):
            monitor.step(step, StepNumbers(loss=2.0, grad_norm=80.0 if step == 30 else 1.0, lr=1e-3))
        log.end(40, "stopped")
    assert [(event["name"], event["step"]) for event in events(ml)] == [("spike", 30)]


def test_many_spikes_are_counted_and_no_storm_of_events(ml):
    losses = ([2.0] * (PAUSE + 5) + [9.0]) * (MOST_EVENTS + 20)
    monitor = watched(ml, losses, plan_of(steps=len(losses)))
    assert len(events(ml)) == MOST_EVENTS
    assert monitor.standing.spikes > MOST_EVENTS + 10


def test_a_bump_is_called_normal_once_it_is_over(ml):
    losses = [2.0 + 0.4 * math.exp(-(((step - 60) / 25) ** 2)) - step / 5000 for step in range(500)]
    watched(ml, losses, plan_of(steps=500))
    first, last = events(ml)
    assert (first["name"], last["name"]) == ("bump", "bump-over")
    assert "normal if it comes back" in first["message"]
    assert "a re-warm bump, normal" in last["message"]
    assert last["peak"] == pytest.approx(2.38, abs=0.03)


def test_divergence_comes_with_advice(ml):
    losses = [2.0] * 300 + [2.0 + step / 20 for step in range(60)]
    monitor = watched(ml, losses, plan_of(steps=len(losses)))
    found = {event["name"]: event["message"] for event in events(ml)}
    assert "lower `lr` and warm up for longer" in found["divergence"]
    assert monitor.standing.course is Course.DIVERGING


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_without_a_limit_the_first_step_that_is_not_finite_ends_the_job(ml, bad):
    plan = plan_of(steps=60)
    with pytest.raises(TrainingFailure) as caught:
        watched(ml, [2.0, 2.0, bad], plan)
    first = ", ".join(f"`{place}`" for place in step_places(plan, ROWS, 2)[:3])
    said = f"CPT604: the loss (`{bad}`) is not finite at step 3, learning rate 0.001; its batch begins with {first}"
    assert str(caught.value) == said
    assert events(ml) == []


def test_steps_within_the_limit_are_left_out_and_recorded(ml):
    plan = plan_of(steps=60, max_skipped_steps=2)
    monitor = watched(ml, [2.0, math.nan, 2.0, math.inf, 2.0], plan)
    assert monitor.standing.skipped == 2
    assert [(event["name"], event["step"], event["loss"]) for event in events(ml)] == [
        ("skipped-step", 2, None),
        ("skipped-step", 4, None),
    ]
    assert events(ml)[1]["places"] == step_places(plan, ROWS, 3)[:PLACES_KEPT]
    assert events(ml)[1]["message"].startswith("left out, number 2 of at most 2: the loss (`inf`) is not finite")


def test_one_more_than_the_limit_ends_the_job_with_the_count(ml):
    with pytest.raises(TrainingFailure, match=r"step 4, .*; 3 such steps, and the plan leaves out at most 2"):
        watched(ml, [math.nan, math.nan, 2.0, math.nan], plan_of(steps=60, max_skipped_steps=2))


def test_steps_that_earlier_attempts_left_out_count(ml):
    plan = plan_of(steps=60, max_skipped_steps=2)
    with MetricsLog(plan, ml, enabled=True) as log:
        monitor = Monitor(plan, ROWS, log, skipped=2)
        assert monitor.standing.skipped == 2
        with pytest.raises(TrainingFailure, match="3 such steps"):
            monitor.leave_out(9, StepNumbers(loss=math.nan, grad_norm=1.0, lr=1e-3))
        log.end(9, "failed")


def test_a_gradient_that_is_not_finite_is_called_so(ml):
    with MetricsLog(PLAN, ml, enabled=False) as log, pytest.raises(TrainingFailure, match="the gradient is not finite"):
        Monitor(PLAN, ROWS, log, skipped=0).leave_out(1, StepNumbers(loss=2.0, grad_norm=math.inf, lr=1e-3))


def test_a_batch_without_anything_to_predict_is_named_by_its_lines():
    failure = nothing_to_predict(PLAN, ROWS, 2)
    assert str(failure).startswith("CPT612: step 2 has no token that follows another; its batch begins with `")
    assert step_places(PLAN, ROWS, 1)[0] in str(failure)
