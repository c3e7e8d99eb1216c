"""Findings as they come in: all counted, the first few of each kind kept, in order."""

from collections import Counter
from dataclasses import replace

from cloudcpt.errors import Diagnostic, Severity


class Findings:
    """Collects diagnostics in memory that does not grow with the dataset.

    Args:
        first: How many of each code to keep.
    """

    def __init__(self, first: int) -> None:
        self._first = first
        self._kept: list[Diagnostic] = []
        self._counts: Counter[str] = Counter()
        self.error_count = 0

    @property
    def total(self) -> int:
        """Findings of all severities so far."""
        return self._counts.total()

    def add(self, found: Diagnostic) -> None:
        """Count a finding, and keep it if few of its kind came before."""
        self._counts[found.code] += 1
        self.error_count += found.severity is Severity.ERROR
        if self._counts[found.code] <= self._first:
            self._kept.append(found)

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return the kept findings in the order they came, each with the count of its kind."""
        return tuple(replace(found, count=self._counts[found.code]) for found in self._kept)
