"""How the terminal writes numbers: as the page of the report does, and rounded counts, nouns and rows of bars."""

from collections.abc import Sequence
from itertools import pairwise

from cloudcpt.report.words import duration, size, usd

__all__ = ["around", "count", "duration", "gpu_memory", "plural", "rough", "size", "sparkline", "usd"]

_BARS = "▁▂▃▄▅▆▇█"


def gpu_memory(size_bytes: float) -> str:
    """Write bytes of GPU memory in decimal units, in which GPUs are sold: `640.0 MB`, `80.0 GB`."""
    return f"{size_bytes / 10**9:,.1f} GB" if size_bytes >= 10**9 else f"{size_bytes / 10**6:,.1f} MB"


def count(number: int) -> str:
    """Write a whole number with separators up to a million and with a unit beyond: `80,000`, `1.24 M`, `8.03 B`."""
    if number < 10**6:
        return f"{number:,}"
    for unit, scale in (("M", 10**6), ("B", 10**9), ("T", 10**12)):
        if number < 1000 * scale or unit == "T":
            break
    return f"{number / scale:,.2f} {unit}"


def rough(number: int) -> int:
    """Keep three digits of an estimate, so that it does not look counted: 561,302 is 561,000."""
    return round(number, min(0, 3 - len(str(number))))


def around(middle: str, low: str, high: str) -> str:
    """Write an estimate with its range, where the range is wide enough to be seen: `about $2.10 ($1.60 to $4.20)`."""
    return f"about {middle}" if low == middle == high else f"about {middle} ({low} to {high})"


def plural(number: int, noun: str) -> str:
    """Write a number with its noun: `1 error`, `2 errors`, `2 processes`."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending}"


def sparkline(numbers: Sequence[float], width: int) -> str:
    """Draw numbers as bars from zero to their maximum, the mean of a stretch per bar where there are more than `width`.

    A number above zero never draws as nothing: the lowest bar is visible, zero is a space.
    """
    if not numbers:
        return ""
    width = min(width, len(numbers))
    edges = [index * len(numbers) // width for index in range(width + 1)]
    means = [sum(numbers[low:high]) / (high - low) for low, high in pairwise(edges)]
    top = max(means)
    return "".join(" " if mean <= 0 else _BARS[min(7, int(mean / top * 8))] for mean in means)
