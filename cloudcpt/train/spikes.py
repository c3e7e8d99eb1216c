"""Sudden rises of a number that is read at every step, told from its usual noise.

Usual is a running median, which no single step can move; noise is the median distance from it. A value counts as a
spike when it lies above both the median of the window and that of the last few steps, by a factor and by many times
the noise: the last few steps keep a quick but steady rise, such as the one after a warm-up, from being called sudden.

One spike is reported once, however many steps it lasts, and another one only after a pause.

Source: the stability monitor of allenai/OLMo-core counts values beyond 6 standard deviations of the last 128; here
with medians, because the deviation of a window with a spike in it hides the next one. Sizes chosen by simulation.
"""

from collections import deque
from collections.abc import Mapping
from statistics import median
from typing import Any

WINDOW = 64
"""Steps that say what is usual."""

ENOUGH = 16
"""Steps before the first judgement."""

LAST_FEW = 5

NOISE_FACTOR = 6.0
"""Times the standard deviation that the noise amounts to."""

PAUSE = 10
"""Steps after a spike in which there is no other one."""

_DEVIATION_OF_MEDIAN = 1.4826
"""Standard deviation of a normal distribution, by the median distance from its median."""


class SpikeWatch:
    """Watches one number.

    Args:
        factor: A spike is at least so many times the median.
    """

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._values: deque[float] = deque(maxlen=WINDOW)
        self._quiet = 0
        self._is_high = False

    @property
    def usual(self) -> float:
        """Give the running median; 0 before there is a value."""
        return median(self._values) if self._values else 0.0

    def step(self, value: float) -> bool:
        """Take the value of the next step, which is finite, and say whether a spike begins with it."""
        is_high = len(self._values) >= ENOUGH and value > self._limit()
        begins = is_high and not self._is_high and self._quiet == 0
        self._quiet = PAUSE if begins else max(0, self._quiet - 1)
        self._is_high = is_high
        self._values.append(value)
        return begins

    def memory(self) -> dict[str, Any]:
        """Give everything that the next judgement rests on, as JSON can hold it."""
        return {"values": [*self._values], "quiet": self._quiet, "is_high": self._is_high}

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Go on from what `memory` gave."""
        self._values.extend(memory["values"])
        self._quiet, self._is_high = memory["quiet"], memory["is_high"]

    def _limit(self) -> float:
        usual = self.usual
        noise = _DEVIATION_OF_MEDIAN * median(abs(value - usual) for value in self._values)
        recent = median(list(self._values)[-LAST_FEW:])
        return max(usual, recent) + max((self._factor - 1) * usual, NOISE_FACTOR * noise)
