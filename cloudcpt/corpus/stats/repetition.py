"""How much of a text was said before in the same text: the same 50 characters once more.

Gopher counts words that lie in an n-gram which came before, with n from 5 to 10; ten English words are about 50
characters, and characters work for scripts that have no spaces. Two windows are the same when their 64-bit polynomial
hashes are: with the windows of a megabyte, two that differ are taken for the same with a chance below 10^-6.

Legend: `C` characters of the text, `W` = C - 49 windows.
Source: Rae et al. 2021 (arXiv:2112.11446), table A1: documents with more than 10 % in repeated 10-grams are left out.
"""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WINDOW: Final = 50
"""Characters that must be the same in a row."""

MOST_CHARACTERS: Final = 1 << 20
"""Of a longer text only so many are looked at, from its beginning; hashes take 60 times as much memory as text."""

_STEPS: Final = (1, 2, 4, 8, 16, 32)
_BASE: Final = 0x9E3779B97F4A7C15
"""Odd, so that no factor is lost when it is multiplied modulo 2^64."""


def repeated_characters(codes: "NDArray[np.uint32]") -> int:
    """Count the characters that lie in a window which came before, without the first time it came.

    Args:
        codes: Code points of a text, [C]; those after `MOST_CHARACTERS` are left out.
    """
    import numpy as np

    codes = codes[:MOST_CHARACTERS]
    if len(codes) <= WINDOW:
        return 0
    hashes = _window_hashes(codes)  # [W]
    ordered = np.sort(hashes)
    if not (ordered[1:] == ordered[:-1]).any():
        return 0  # so it is with most texts, and sorting is cheaper than knowing what came first
    is_first = np.zeros(len(hashes), bool)
    is_first[np.unique(hashes, return_index=True)[1]] = True
    ends = np.zeros(len(codes) + 1, np.int64)
    again = np.flatnonzero(~is_first)
    np.add.at(ends, again, 1)
    np.add.at(ends, again + WINDOW, -1)
    return int(np.count_nonzero(np.cumsum(ends[:-1])))


def _window_hashes(codes: "NDArray[np.uint32]") -> "NDArray[np.uint64]":
    """Hash every window by doubling: of 2n characters from those of n, and 50 = 32 + 16 + 2."""
    import numpy as np

    parts = {1: _mixed(codes.astype(np.uint64))}
    for size in _STEPS[:-1]:
        shorter = parts[size]
        parts[2 * size] = shorter[:-size] * np.uint64(pow(_BASE, size, 1 << 64)) + shorter[size:]
    windows = len(codes) - WINDOW + 1
    whole = parts[32][:windows]
    for size, start in ((16, 32), (2, 48)):
        whole = whole * np.uint64(pow(_BASE, size, 1 << 64)) + parts[size][start : start + windows]
    return whole


def _mixed(values: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    """Spread code points over 64 bits (the finish of splitmix64), for a polynomial of small numbers collides."""
    import numpy as np

    values = (values + np.uint64(1)) * np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(29)
    return values * np.uint64(0x94D049BB133111EB)
