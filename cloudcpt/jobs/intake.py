"""The files of a published model on their way here: a few at a time, counted, and all called off when one fails."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cloudcpt.jobs.crew import Crew
from cloudcpt.jobs.receive import CalledOff, Order, receive
from cloudcpt.plan.staged import StagedFile

LANES = 4
"""Files on their way at a time. One connection to a store seldom fills a network, and hashing a file with SHA-256 and
BLAKE3 takes a core: 450 MB/s, measured on two shared cores, 2026-11."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StagingProgress:
    """How far a staging is.

    Args:
        files: To be brought.
        size_bytes: Of all of them.
        fetched_bytes: Brought by this run; more than needed when something arrived damaged.
        kept_bytes: Here before this run, and still good.
    """

    files: int
    size_bytes: int
    fetched_bytes: int
    kept_bytes: int

    @property
    def done_bytes(self) -> int:
        """Count what is here."""
        return self.fetched_bytes + self.kept_bytes


class Intake:
    """Counts what comes, from any thread.

    Args:
        files: Number of files to be brought.
        size_bytes: Of all of them.
        show: Called after every change, never by two threads at once.
    """

    def __init__(self, files: int, size_bytes: int, show: Callable[[StagingProgress], None]) -> None:
        self._files = files
        self._size_bytes = size_bytes
        self._show = show
        self._fetched = self._kept = 0
        self._lock = threading.Lock()

    def __call__(self, size_bytes: int, *, is_new: bool) -> None:
        """Count bytes that are here; see `cloudcpt.jobs.receive.Tell`."""
        with self._lock:
            if is_new:
                self._fetched += size_bytes
            else:
                self._kept += size_bytes
            self._show(self.progress())

    def progress(self) -> StagingProgress:
        """Give the present state."""
        return StagingProgress(
            files=self._files, size_bytes=self._size_bytes, fetched_bytes=self._fetched, kept_bytes=self._kept
        )

    def take(self, orders: Sequence[Order], folder: Path) -> tuple[StagedFile, ...]:
        """Bring every file into a folder.

        Returns:
            What each was found to be, in the order of the orders.

        Raises:
            CloudcptError: the first that one of them met; see `receive`.
            OSError: likewise.
        """
        is_over = threading.Event()
        with Crew(LANES) as crew:
            coming = [crew.give(partial(receive, order, folder, self, is_over.is_set)) for order in orders]
            try:
                wait(coming, return_when=FIRST_EXCEPTION)
            finally:
                is_over.set()
            # Nothing may be written any more once the folder is no longer ours. After Ctrl-C nobody waits for that: the
            # threads end with the process, and what they leave is not believed anyway.
            crew.call_off(coming)
        _raise_first(coming)
        return tuple(future.result() for future in coming)


def _raise_first(coming: Sequence[Future[StagedFile]]) -> None:
    """Raise what went wrong, and not that others were called off because of it."""
    for future in coming:
        problem = None if future.cancelled() else future.exception()
        if problem is not None and not isinstance(problem, CalledOff):
            raise problem
