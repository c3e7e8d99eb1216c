"""The rows of a source of many windows, in one sequence, while the later windows are still in the making."""

from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from threading import Lock

from cloudcpt.train.rows import InWindow, Rows

_OPEN_WINDOWS = 256
"""Windows that a process keeps mapped at a time: the kernel allows some 65,000 mappings, and a window has four."""


class WindowedRows:
    """The rows of a source of many windows, each opened when it is asked for.

    Args:
        num_windows: Windows of the source.
        open_window: Opens one by its number, from 0; waits until it is there.
    """

    def __init__(self, num_windows: int, open_window: Callable[[int], Rows]) -> None:
        self._num_windows = num_windows
        self._open = lru_cache(maxsize=_OPEN_WINDOWS)(open_window)
        self._looks: list[Callable[[Rows], None]] = []
        self._ends: list[int] = []
        self._most_pieces: list[int] = []
        self._lock = Lock()

    @property
    def num_windows(self) -> int:
        """Say how many windows there are."""
        return self._num_windows

    @property
    def num_rows(self) -> int:
        """Count the rows of all windows, waiting for them."""
        while self._count_another():
            pass
        return self._ends[-1]

    def window(self, number: int) -> Rows:
        """Open a window, waiting for it if need be."""
        return self._open(number)

    def find(self, row: int) -> InWindow | None:
        """Find a row by its number, waiting for the windows up to it; None where the source has fewer rows."""
        while not self._ends or self._ends[-1] <= row:
            if not self._count_another():
                return None
        number = bisect_right(self._ends, row)
        start = self._ends[number - 1] if number else 0
        return InWindow(number, row - start, self._ends[number] - start)

    def most_pieces(self, window: int) -> int:
        """Tell how many pieces the most divided row has in the windows up to this one."""
        while len(self._ends) <= window:
            self._count_another()
        return self._most_pieces[window]

    def inspect(self, look: Callable[[Rows], None]) -> None:
        """Have somebody look at every window: now, or when a row of it is first asked for."""
        with self._lock:
            for number in range(len(self._ends)):
                look(self.window(number))
            self._looks.append(look)

    def _count_another(self) -> bool:
        """Learn the size of the next window; False where there is none."""
        with self._lock:  # the loop asks, and so does the thread that makes its batches
            number = len(self._ends)
            if number == self._num_windows:
                return False
            rows = self.window(number)
            for look in self._looks:
                look(rows)
            self._most_pieces.append(max([*self._most_pieces[-1:], rows.most_pieces(0)]))
            self._ends.append((self._ends[-1] if self._ends else 0) + len(rows))
            return True
