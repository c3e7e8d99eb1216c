r"""How the training loss goes: an early rise that comes back, as after re-warming, told from divergence.

    loss  |        __ bump            /  divergence
          |  _____/  \__             /
          |              \__________/
          +-----|--------------|------------------ step
             warm-up         early

The level is a running median of the loss, the floor its lowest so far. When a pre-trained model's learning rate is
warmed up again, the loss rises before it falls below where it was: normal, when it begins early, stays moderate
and comes back. A rise that goes far beyond that, or comes late, or a gradient norm that has grown many times over
while the loss rises, is divergence.

Everything is judged by levels, so one odd batch changes nothing, and again only after the loss has come back, so that
a rise is reported once.

Source: the rise after re-warming in Gupta et al. 2023, arXiv 2308.04014, and Ibrahim et al. 2024, arXiv 2403.08763,
whose largest is about a fifth of the loss. The limits below are chosen, with simulated curves.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from cloudcpt.wire import Course, Finding

SHORTEST_WINDOW, LONGEST_WINDOW = 16, 128
"""Steps of a level: a fiftieth of the job within these limits. There is no judgement before the shortest."""

RISE = 0.02
"""A rise, as a share of the floor, that is one."""

FAR = 0.5
"""A rise, as a share of the floor, that is divergence even early in the job."""

FAR_LATE = 0.15
"""A rise, as a share of the floor, that is divergence later."""

EARLY = 0.2
"""Share of the job in which a rise can be due to re-warming, however short the warm-up."""

WARMUPS = 3
"""Lengths of the warm-up for which it can be, however long the job."""

NORM_FACTOR = 10.0
"""Growth of the gradient norm that, with a rise of the loss, is divergence."""

_NOISE_FACTOR = 8.0
"""Standard errors of a level that a rise has to exceed: the floor, as the lowest of many levels, is below the mean."""

_DEVIATION_OF_NEIGHBOURS = 1.0483
"""Standard deviation of normal values, by the median distance of neighbours: unlike others, it is blind to a trend."""

_ERROR_OF_MEDIAN = 1.2533
"""Standard error of a median of normal values, by the one of their mean."""

_LAST_NORMS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A change of the course.

    Args:
        finding: What happened.
        level: Running median of the loss now.
        floor: The lowest before the rise.
        peak: The highest since.
    """

    finding: Finding
    level: float
    floor: float
    peak: float


class CourseWatch:
    """Watches the loss and the gradient norm of one job.

    Args:
        warmup_steps: Of the schedule.
        total_steps: Of the job.
    """

    def __init__(self, *, warmup_steps: int, total_steps: int) -> None:
        self._early_until = max(EARLY * total_steps, WARMUPS * warmup_steps)
        window = min(LONGEST_WINDOW, max(SHORTEST_WINDOW, total_steps // 50))
        self._losses: deque[float] = deque(maxlen=window)
        self._jumps: deque[float] = deque(maxlen=LONGEST_WINDOW)
        self._norms: deque[float] = deque(maxlen=LONGEST_WINDOW)
        self._floor = float("inf")
        self._peak = 0.0
        self.course = Course.STEADY

    def step(self, step: int, *, loss: float, grad_norm: float) -> Change | None:
        """Take the numbers of a step, which are finite, and say what has changed.

        Args:
            step: Optimizer steps completed, from 1.
            loss: Of its batch.
            grad_norm: Before clipping.
        """
        if self._losses:
            self._jumps.append(abs(loss - self._losses[-1]))
        self._losses.append(loss)
        self._norms.append(grad_norm)
        if len(self._losses) < SHORTEST_WINDOW:
            return None
        level = median(self._losses)
        self._floor = min(self._floor, level)
        self._peak = max(self._peak, level) if self.course is not Course.STEADY else level
        finding = self._finding(step, rise=level - self._floor)
        if finding is None:
            return None
        self.course = {Finding.BUMP: Course.BUMP, Finding.DIVERGENCE: Course.DIVERGING}.get(finding, Course.STEADY)
        return Change(finding=finding, level=level, floor=self._floor, peak=self._peak)

    def memory(self) -> dict[str, Any]:
        """Give everything that the next judgement rests on, as JSON can hold it."""
        windows = {"losses": [*self._losses], "jumps": [*self._jumps], "norms": [*self._norms]}
        return {**windows, "floor": self._floor, "peak": self._peak, "course": self.course}

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Go on from what `memory` gave."""
        self._losses.extend(memory["losses"])
        self._jumps.extend(memory["jumps"])
        self._norms.extend(memory["norms"])
        self._floor, self._peak, self.course = memory["floor"], memory["peak"], Course(memory["course"])

    def _finding(self, step: int, *, rise: float) -> Finding | None:
        least = self._least_rise()
        may_be_bump = self.course is Course.BUMP or (self.course is Course.STEADY and step <= self._early_until)
        if self.course is not Course.DIVERGING:
            limit = FAR if may_be_bump else FAR_LATE
            if rise > max(limit * self._floor, 2 * least) or (rise > least and self._norm_has_grown()):
                return Finding.DIVERGENCE
        if self.course is Course.STEADY:
            return Finding.BUMP if may_be_bump and rise > least else None
        if rise > least / 4:
            return None
        return Finding.BUMP_OVER if self.course is Course.BUMP else Finding.RECOVERY

    def _least_rise(self) -> float:
        """Say how much a level has to rise for it not to be noise."""
        error = _ERROR_OF_MEDIAN * _DEVIATION_OF_NEIGHBOURS * median(self._jumps) / math.sqrt(len(self._losses))
        return max(RISE * self._floor, _NOISE_FACTOR * error)

    def _norm_has_grown(self) -> bool:
        """Compare the gradient norms of the last few steps with those of the steps before them."""
        norms = list(self._norms)
        recent, before = norms[-_LAST_NORMS:], norms[:-_LAST_NORMS]
        return len(before) >= SHORTEST_WINDOW and median(recent) > NORM_FACTOR * median(before)
