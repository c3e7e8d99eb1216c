"""An object as a stream: a few ranges ahead of the reader, in memory that does not depend on the object's size."""

import contextlib
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from cloudcpt.aws.s3_ranges import Block, StoredContent, read_range
from cloudcpt.dataset.places import InputStream
from cloudcpt.jobs.crew import Crew

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

RANGE_BYTES = 8 << 20
"""Source: Amazon S3 user guide, performance guidelines: ranges of 8 to 16 MB. Also what one request may cost again."""

AHEAD = 4
"""Ranges on their way while one is read: one connection gives 50 to 90 MB/s, a core checks 350. 40 MiB in all."""


class S3Stream(InputStream):
    """One content of one object, from its start to its end, or a stretch of it.

    Args:
        client: Of S3.
        stored: What to read.
        range_bytes: Asked for at once.
        start: Position of the first byte.
        stop: Position after the last one; the end when None.
    """

    def __init__(
        self,
        client: Any,
        stored: StoredContent,
        *,
        range_bytes: int = RANGE_BYTES,
        start: int = 0,
        stop: int | None = None,
    ) -> None:
        self._client = client
        self._stored = stored
        self._range_bytes = range_bytes
        self._stop = stored.size_bytes if stop is None else stop
        self._starts = iter(range(start, self._stop, range_bytes))
        self._coming: deque[Future[Block]] = deque()
        self._block = memoryview(b"")
        self._version_id = ""
        self._resources = contextlib.ExitStack()
        ranges = -(-(self._stop - start) // range_bytes)
        self._crew = self._resources.enter_context(Crew(min(AHEAD, ranges)))
        for _ in range(AHEAD):
            self._ask_for_next()

    @property
    def size_bytes(self) -> int:
        """Give the size that was listed."""
        return self._stored.size_bytes

    @property
    def version_id(self) -> str:
        """Name the version that is read, once something was read."""
        return self._version_id

    @property
    def is_unchanged(self) -> bool:
        """Say yes: every range was asked for under the condition that it is."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read the next bytes; see `read_range` for what it raises."""
        if not self._block and self._coming:
            self._block = memoryview(b"")
            block = self._coming.popleft().result()
            self._ask_for_next()
            self._block, self._version_id = memoryview(block.content), block.version_id
        target = memoryview(buffer).cast("B")
        size = min(len(target), len(self._block))
        target[:size] = self._block[:size]
        self._block = self._block[size:]
        return size

    def close(self) -> None:
        """Ask for no more. What is on its way is not waited for: the threads that wait for it are daemons."""
        for future in self._coming:
            future.cancel()
        self._coming.clear()
        self._resources.close()
        super().close()

    def _ask_for_next(self) -> None:
        start = next(self._starts, None)
        if start is None:
            return
        stop = min(start + self._range_bytes, self._stop)
        self._coming.append(self._crew.give(lambda: read_range(self._client, self._stored, start, stop)))
