"""A curve as text: braille dots, two across and four down in every character, for terminals and logs.

⠑⢄⡀
⠀⠀⠈⠒⠤⣀⣀⣀⡀      the highest value is in the first line, the lowest in the last
"""

import math
from collections.abc import Sequence
from itertools import pairwise

_BLANK = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bit of each dot by row and column. Source: Unicode block Braille Patterns, U+2800."""


def braille_curve(numbers: Sequence[float], *, width: int, height: int) -> list[str]:
    """Draw numbers from left to right; many are averaged, few are joined by lines.

    Args:
        numbers: Those that are not finite leave a gap.
        width: Characters, at least 1.
        height: Lines, at least 1.

    Returns:
        The lines, from top to bottom, each `width` characters; empty when there is nothing to draw.
    """
    columns = _resampled(numbers, width * 2) if numbers else []
    finite = [value for value in columns if math.isfinite(value)]
    if not finite:
        return []
    low, high = min(finite), max(finite)
    rows = height * 4
    cells = [[_BLANK] * width for _ in range(height)]
    last: int | None = None
    for column, value in enumerate(columns):
        row = _row(value, low, high, rows)
        for dot in _stroke(last, row):
            cells[dot // 4][column // 2] |= _DOTS[dot % 4][column % 2]
        last = row
    return ["".join(map(chr, line)) for line in cells]


def _row(value: float, low: float, high: float, rows: int) -> int | None:
    """Place a value on a row of dots, 0 at the top; None where there is no value."""
    if not math.isfinite(value):
        return None
    return round((high - value) / (high - low) * (rows - 1)) if high > low else rows - 1


def _stroke(last: int | None, row: int | None) -> range:
    """List the rows to fill in one column so that the line hangs together with the column before."""
    if row is None:
        return range(0)
    if last is None or last == row:
        return range(row, row + 1)
    return range(last + 1, row + 1) if last < row else range(row, last)


def _resampled(numbers: Sequence[float], columns: int) -> list[float]:
    """Make one number per column: the mean of a stretch of many, or a point on the way between two of few."""
    if len(numbers) >= columns:
        edges = [column * len(numbers) // columns for column in range(columns + 1)]
        return [_mean(numbers[first:stop]) for first, stop in pairwise(edges)]
    points = []
    for column in range(columns):
        place = column * (len(numbers) - 1) / max(columns - 1, 1)
        left, share = int(place), place % 1
        points.append(numbers[left] if share == 0 else numbers[left] * (1 - share) + numbers[left + 1] * share)
    return points


def _mean(stretch: Sequence[float]) -> float:
    finite = [value for value in stretch if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
