"""How long the documents are: exact counts and extremes, quantiles to a tenth of a percent, in constant memory.

Lengths below 2,048 characters are counted one by one. Above, every octave (2^k to 2^(k+1)) has 1,024 counters, so a
quantile is low by less than 0.1 %. 24,576 counters of 8 bytes reach 2^32 characters; the log2 histogram is their sum
by octave and exact.
"""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_STEPS_BITS: Final = 10
"""Counters per octave, as a power of two."""

_COUNTERS: Final = 24 << _STEPS_BITS
_MOST_FRESH: Final = 1 << 17
"""Lengths that are put aside first: sorted and counted together they cost a tenth of what each costs by itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LengthStats:
    """Lengths of documents in characters; all 0 when there are no documents.

    Args:
        min: Of the shortest document; exact.
        mean: Exact.
        median: The length that half of the documents do not exceed; exact below 2,048, else low by less than 0.1 %.
        p95: The length that 95 % of the documents do not exceed; as exact as the median.
        max: Of the longest document; exact.
        histogram: How many documents have 2^k to 2^(k+1) - 1 characters, k from 0 to that of the longest; exact.
    """

    min: int
    mean: float
    median: int
    p95: int
    max: int
    histogram: tuple[int, ...]


class Lengths:
    """Counts lengths as they come."""

    def __init__(self) -> None:
        self._counters = array("Q", bytes(8 * _COUNTERS))
        self._fresh = array("Q")
        self._shortest = 0
        self._longest = 0
        self.documents = 0
        self.characters = 0

    def add_all(self, lengths: Sequence[int]) -> None:
        """Count some documents, each of at least 1 and less than 2^32 characters."""
        if not lengths:
            return
        shortest = min(lengths)
        self._shortest = min(self._shortest, shortest) if self.documents else shortest
        self._longest = max(self._longest, max(lengths))
        self.documents += len(lengths)
        self.characters += sum(lengths)
        self._fresh.extend(lengths)
        if len(self._fresh) > _MOST_FRESH:
            self._settle()

    def stats(self) -> LengthStats:
        """Sum up what was counted so far."""
        self._settle()
        used = [(index, count) for index, count in enumerate(self._counters) if count]
        return LengthStats(
            min=self._shortest,
            mean=self.characters / self.documents if self.documents else 0.0,
            median=self._quantile(used, 50),
            p95=self._quantile(used, 95),
            max=self._longest,
            histogram=self._histogram(used),
        )

    def _settle(self) -> None:
        """Move what was counted one by one to where it takes no more memory."""
        for length, count in Counter(sorted(self._fresh)).items():
            self._counters[_counter_of(length)] += count
        del self._fresh[:]

    def _quantile(self, used: list[tuple[int, int]], percent: int) -> int:
        wanted = -(-self.documents * percent // 100)
        seen = 0
        for index, count in used:
            seen += count
            if seen >= wanted:
                return max(_lowest_length(index), self._shortest)
        return 0

    def _histogram(self, used: list[tuple[int, int]]) -> tuple[int, ...]:
        octaves = [0] * self._longest.bit_length()
        for index, count in used:
            octaves[_lowest_length(index).bit_length() - 1] += count
        return tuple(octaves)


def _counter_of(length: int) -> int:
    """Index of a length's counter: its leading 11 bits, and how many bits were cut off."""
    cut = max(length.bit_length() - _STEPS_BITS - 1, 0)
    return (cut << _STEPS_BITS) + (length >> cut)


def _lowest_length(index: int) -> int:
    cut = max((index >> _STEPS_BITS) - 1, 0)
    return (index - (cut << _STEPS_BITS)) << cut
