"""Findings as they come in: all counted, the first few of each kind kept, in the order of the lines they are about."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from cloudcpt.errors import Diagnostic, Severity

_WHOLE_FILE: Final = sys.maxsize
"""Where a finding stands that is about no line: after those about its lines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SomeFindings:
    """What was found in a part of a dataset.

    Args:
        kept: The first few of each code, in order.
        counts: How many there are of each code.
        errors: How many of them are errors.
    """

    kept: tuple[Diagnostic, ...] = ()
    counts: Counter[str] = field(default_factory=Counter)
    errors: int = 0


class Findings:
    """Collects diagnostics in memory that does not grow with the dataset.

    Args:
        first: How many of each code to keep.
    """

    def __init__(self, first: int) -> None:
        self._first = first
        self._kept: list[tuple[tuple[int, int], Diagnostic]] = []
        self._kept_counts: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self.error_count = 0

    @property
    def total(self) -> int:
        """Findings of all severities so far."""
        return self._counts.total()

    def add(self, found: Diagnostic, *, file: int = 0) -> None:
        """Count a finding, and keep it if few of its kind came before.

        Args:
            found: About a line of the file, or the file as a whole.
            file: Its number in the dataset.
        """
        self._counts[found.code] += 1
        self.error_count += found.severity is Severity.ERROR
        self._keep(found, file)

    def add_all(self, found: SomeFindings, *, file: int) -> None:
        """Count what was found in a part of a file, after what was found in the parts before it."""
        self._counts += found.counts
        self.error_count += found.errors
        for one in found.kept:
            self._keep(one, file)

    def add_some(self, count: int, kept: Sequence[tuple[int, Diagnostic]]) -> None:
        """Count findings of one code, of which only the first few were ever made; none of them is an error.

        Args:
            count: How many there are.
            kept: The first few, in order, each with the number of its file.
        """
        if kept:
            self._counts[kept[0][1].code] += count
        for file, found in kept:
            self._keep(found, file)

    def some(self) -> SomeFindings:
        """Return what was found, to be counted with what was found elsewhere."""
        return SomeFindings(kept=tuple(found for _, found in self._kept), counts=self._counts, errors=self.error_count)

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return the kept findings in the order of files and lines, each with the count of its kind."""
        ordered = sorted(self._kept, key=lambda one: one[0])
        return tuple(replace(found, count=self._counts[found.code]) for _, found in ordered)

    def _keep(self, found: Diagnostic, file: int) -> None:
        if self._kept_counts[found.code] < self._first:
            self._kept_counts[found.code] += 1
            line = found.place.line if found.place else None
            self._kept.append(((file, line or _WHOLE_FILE), found))
