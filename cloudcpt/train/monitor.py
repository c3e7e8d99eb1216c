"""Watches a run: what is odd is recorded with the dataset lines of its batch, and what is not finite is left out.

Loss and gradient norm are the same numbers on every rank, so every rank comes to the same judgement without asking;
rank 0 writes it down. Every finding is an event of `metrics.jsonl` with its numbers, and one line of the log.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cloudcpt.errors import Blame
from cloudcpt.plan.plan import Plan
from cloudcpt.train.batches import step_places
from cloudcpt.train.course import Change, CourseWatch
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.progress import MetricsLog
from cloudcpt.train.rows import SourceRows
from cloudcpt.train.spikes import SpikeWatch
from cloudcpt.train.window import Standing, StepNumbers
from cloudcpt.wire import Failure, Finding

LOSS_FACTOR = 1.1
"""A loss so many times the usual one is a spike, if it also stands out of the noise. Chosen, not measured."""

NORM_FACTOR = 5.0
"""The same for the gradient norm, which varies more. Chosen, not measured."""

PLACES_KEPT = 8
"""Dataset lines in the record of an event."""

PLACES_SHOWN = 3
"""Dataset lines in its sentence."""

MOST_EVENTS = 50
"""Events of one kind in a run; after that they are only counted."""

_WORDS = {
    Finding.BUMP: "the loss rose early, from {floor:.3f} to {level:.3f}, as it does when the learning rate is warmed "
    "up again; normal if it comes back",
    Finding.BUMP_OVER: "the loss is back at {level:.3f} after an early rise to {peak:.3f}: a re-warm bump, normal",
    Finding.DIVERGENCE: "the loss grows, from {floor:.3f} to {level:.3f}; if it goes on, stop the job, lower `lr` and "
    "warm up for longer",
    Finding.RECOVERY: "the loss is back at {level:.3f} after it had grown to {peak:.3f}",
}


class Monitor:
    """The one that watches a run.

    Args:
        plan: Gives the schedule and how many steps may be left out.
        rows: By channel, to name the lines of a batch.
        log: Takes the findings.
        skipped: Steps that earlier attempts of the job have left out.
    """

    def __init__(self, plan: Plan, rows: Mapping[str, SourceRows], log: MetricsLog, *, skipped: int) -> None:
        self._plan = plan
        self._rows = rows
        self._log = log
        self._course = CourseWatch(warmup_steps=plan.schedule.warmup_steps, total_steps=plan.geometry.steps)
        self._loss = SpikeWatch(LOSS_FACTOR)
        self._norm = SpikeWatch(NORM_FACTOR)
        self._changes = 0
        self._skipped = skipped
        self._spikes = 0

    @property
    def standing(self) -> Standing:
        """Say how the run stands."""
        return Standing(course=self._course.course, spikes=self._spikes, skipped=self._skipped)

    def memory(self) -> dict[str, Any]:
        """Give what the watches remember, for a run that is interrupted; as JSON can hold it."""
        watches = {"course": self._course.memory(), "loss": self._loss.memory(), "norm": self._norm.memory()}
        return {**watches, "changes": self._changes, "spikes": self._spikes}

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Go on watching from what `memory` gave: a run that goes on is judged as one that was never interrupted."""
        self._course.recall(memory["course"])
        self._loss.recall(memory["loss"])
        self._norm.recall(memory["norm"])
        self._changes, self._spikes = memory["changes"], memory["spikes"]

    def step(self, step: int, numbers: StepNumbers) -> None:
        """Take a step that moved the optimizer; `step` is its number, from 1."""
        if change := self._course.step(step, loss=numbers.loss, grad_norm=numbers.grad_norm):
            self._note_change(step, change)
        usual, usual_norm = self._loss.usual, self._norm.usual
        # Both watches take the step, whatever the other says.
        if any([self._loss.step(numbers.loss), self._norm.step(numbers.grad_norm)]):
            self._note_spike(step, numbers, usual, usual_norm)

    def leave_out(self, step: int, numbers: StepNumbers) -> None:
        """Take a step that must not move the optimizer, because its loss or its gradient is not finite.

        Raises:
            TrainingFailure: it is one more than the plan leaves out.
        """
        self._skipped += 1
        value = "the gradient" if math.isfinite(numbers.loss) else f"the loss (`{numbers.loss}`)"
        places = step_places(self._plan, self._rows, step - 1)
        where = f"at step {step}, learning rate {numbers.lr:g}; its batch begins with {_quoted(places)}"
        what = f"{value} is not finite {where}"
        limit = self._plan.optimizer.max_skipped_steps
        if self._skipped > limit:
            counted = f"; {self._skipped} such steps, and the plan leaves out at most {limit}" if limit else ""
            hint = "lower `lr`, raise `warmup_steps`, or look at these lines; no model was saved"
            raise TrainingFailure(Failure(code="CPT604", blame=Blame.USER, message=what + counted, hint=hint))
        self._log.event(
            step,
            Finding.SKIPPED_STEP,
            f"left out, number {self._skipped} of at most {limit}: {what}",
            **asdict(numbers),
            places=places[:PLACES_KEPT],
        )

    def _note_change(self, step: int, change: Change) -> None:
        self._changes += 1
        if self._changes <= MOST_EVENTS:
            numbers = {"level": change.level, "floor": change.floor, "peak": change.peak}
            self._log.event(step, change.finding, _WORDS[change.finding].format(**numbers), **numbers)

    def _note_spike(self, step: int, numbers: StepNumbers, usual: float, usual_norm: float) -> None:
        self._spikes += 1
        if self._spikes > MOST_EVENTS:
            return
        places = step_places(self._plan, self._rows, step - 1)
        self._log.event(
            step,
            Finding.SPIKE,
            f"loss {numbers.loss:.3f} at step {step}, usually {usual:.3f}; gradient norm {numbers.grad_norm:.3g}, "
            f"usually {usual_norm:.3g}; its batch begins with {_quoted(places)}",
            **asdict(numbers),
            usual_loss=usual,
            usual_grad_norm=usual_norm,
            places=places[:PLACES_KEPT],
        )


def nothing_to_predict(plan: Plan, rows: Mapping[str, SourceRows], step: int) -> TrainingFailure:
    """Say that no token of a step follows another; `step` is its number, from 1."""
    places = _quoted(step_places(plan, rows, step - 1))
    message = f"step {step} has no token that follows another; its batch begins with {places}"
    hint = "set `max_length` to 2 or more, and give documents of ordinary length"
    return TrainingFailure(Failure(code="CPT612", blame=Blame.USER, message=message, hint=hint))


def _quoted(places: Sequence[str]) -> str:
    return ", ".join(f"`{place}`" for place in places[:PLACES_SHOWN])
