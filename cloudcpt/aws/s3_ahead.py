"""Small objects, asked for before anybody opens them: one after another, each would cost a whole round trip.

    select --> what comes next --open--> the object, and so many after it, each in a thread of its own
                                   '--> its bytes, which are on their way, or there

Whoever reads a selection in its order gets its small objects from here. What is opened out of order is asked for then.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from cloudcpt.aws.s3_ranges import Block
from cloudcpt.dataset.places import InputFile, InputStream

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SMALL_BYTES = 2 << 20
"""An object of this size takes about as long to begin as to arrive, at 50 to 90 MB/s and a round trip of 30 ms."""

AHEAD = 16
"""Objects on their way at a time; 32 MiB at most, about what one large object takes (`s3_stream`)."""


class ReadAhead:
    """Asks for the next small objects of a selection.

    Args:
        read: Reads a whole object.
        ahead: How many are on their way at a time.
    """

    def __init__(self, read: Callable[[InputFile], Block], *, ahead: int = AHEAD) -> None:
        self._read = read
        self._ahead = ahead
        self._positions: dict[InputFile, tuple[Sequence[InputFile], int]] = {}
        self._coming: dict[InputFile, Future[Block]] = {}

    def expect(self, files: Sequence[InputFile]) -> None:
        """Learn in which order some files will probably be opened; nothing is asked for yet."""
        self._positions |= {file: (files, position) for position, file in enumerate(files)}

    def take(self, file: InputFile) -> "Future[Block] | None":
        """Give the bytes of a small object, and ask for those that come next; None for any other file."""
        files, position = self._positions.get(file, ((), 0))
        window = [one for one in files[position : position + self._ahead] if 0 < one.size_bytes <= SMALL_BYTES]
        self._coming = {one: self._coming.get(one) or self._ask(one) for one in window}
        return self._coming.pop(file, None)

    def _ask(self, file: InputFile) -> "Future[Block]":
        future: Future[Block] = Future()

        def run() -> None:
            try:
                future.set_result(self._read(file))
            except BaseException as exc:  # noqa: BLE001 - whoever opens the file gets it
                future.set_exception(exc)

        # A daemon: after Ctrl-C nobody waits for it.
        threading.Thread(target=run, name=f"ahead {file.name}", daemon=True).start()
        return future


class SmallStream(InputStream):
    """A small object that is on its way, as a whole.

    Args:
        size_bytes: As it was listed.
        coming: Its bytes.
    """

    def __init__(self, size_bytes: int, coming: "Future[Block]") -> None:
        self._size_bytes = size_bytes
        self._coming = coming
        self._position = 0
        self._version_id = ""

    @property
    def size_bytes(self) -> int:
        """Give the size that was listed."""
        return self._size_bytes

    @property
    def version_id(self) -> str:
        """Name the version that is read, once something was read."""
        return self._version_id

    @property
    def is_unchanged(self) -> bool:
        """Say yes: it was asked for under the condition that it is."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read the next bytes; see `read_range` for what it raises."""
        block = self._coming.result()
        content, self._version_id = memoryview(block.content), block.version_id
        target = memoryview(buffer).cast("B")
        size = min(len(target), len(content) - self._position)
        target[:size] = content[self._position : self._position + size]
        self._position += size
        return size
