"""One file cut into blocks while it is read: once, in order, hashed on the way, in constant memory.

    stream --read--> buffer --last line end--> Cut; what comes after the line end begins the next buffer

The two names of the content come out of the same read: BLAKE3, its identity, and CRC64NVME, which S3 verifies.
"""

from dataclasses import dataclass
from typing import Final

from cloudcpt.dataset.checksum import as_text, crc64nvme
from cloudcpt.dataset.disguise import HEAD_BYTES, disguise_of
from cloudcpt.dataset.places import InputStream
from cloudcpt.dataset.records import BUFFER_BYTES, LINE_LIMIT_BYTES, SKIP_LIMIT_BYTES, nothing_there, too_long
from cloudcpt.errors import Diagnostic

BUFFER_LIMIT_BYTES: Final = LINE_LIMIT_BYTES + 2
"""Room for the longest line and its end; a buffer of this size holds whatever a file holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """What stands at the beginning of a buffer now: some whole lines, or word of something that is not read.

    Args:
        file: Index of the file among those that are read.
        shown: The file as the user named it.
        line: Number of the first line, from 1.
        byte: Offset of the first line in the file.
        size_bytes: Of the lines, in the buffer.
        refused: As in `Block`; then there is nothing in the buffer.
    """

    file: int
    shown: str
    line: int
    byte: int
    size_bytes: int
    refused: Diagnostic | None = None


class CutFile:
    """A file on its way through buffers.

    Args:
        stream: At its start; closed by its owner.
        file: Index of the file among those that are read.
        shown: The file as the user named it.
        block_bytes: About how many bytes to cut off at a time; it takes more where a line is longer.

    Attributes:
        lines: Read so far, good and bad.
        byte: How far it has been read, in whole lines.
    """

    def __init__(self, stream: InputStream, *, file: int, shown: str, block_bytes: int) -> None:
        import stringzilla
        from blake3 import blake3

        self._last = stringzilla.rfind
        self._count = stringzilla.count
        self._hasher = blake3()
        self._stream = stream
        self._file = file
        self._shown = shown
        self._block_bytes = min(block_bytes, BUFFER_LIMIT_BYTES)
        self._rest = b""
        self._is_at_end = False
        self._is_stopped = False
        self._crc = 0
        self._bytes_read = 0
        self.lines = 0
        self.byte = 0

    def fill(self, buffer: memoryview) -> Cut | None:
        """Read the next lines into a buffer; None when there are no more.

        Args:
            buffer: Of `BUFFER_LIMIT_BYTES`.

        Raises:
            OSError: the system does not let us read.
            DatasetError: the file cannot be read, or is another one by now.
        """
        if self._is_stopped:
            return None
        size, end = self._read_lines(buffer)
        if not self.byte and (refused := self._disguise(buffer[:size])):
            self._is_stopped = True
            return self._cut(0, refused)
        if not end and size:
            return self._skip_line(buffer)
        self._rest = bytes(buffer[end:size])
        if not end:
            self._is_stopped = True
            return None
        cut = self._cut(end)
        self.lines += self._count(buffer[:end], b"\n") + (buffer[end - 1] != ord("\n"))
        self.byte += end
        return cut

    @property
    def is_unchanged(self) -> bool:
        """Whether the file still is what it was when it was opened, and as long as what was read of it."""
        return self._stream.is_unchanged and (not self._is_whole or self._stream.size_bytes == self._bytes_read)

    @property
    def blake3(self) -> str:
        """Name the content, 64 hex digits; empty if it was not read to its end."""
        return self._hasher.hexdigest() if self._is_whole else ""

    @property
    def crc64nvme(self) -> str:
        """Give the checksum of the content as S3 writes it; empty if it was not read to its end."""
        return as_text(self._crc) if self._is_whole else ""

    @property
    def _is_whole(self) -> bool:
        """Whether the file was read to its end and handed on: one that turns out to be something else is not."""
        return self._is_at_end and self.byte == self._bytes_read

    def _read_lines(self, buffer: memoryview) -> tuple[int, int]:
        """Fill a buffer; return how full it is, and where the last line in it ends: 0 when that is not to be seen."""
        size = len(self._rest)
        buffer[:size] = self._rest
        goal = max(self._block_bytes, 1)
        while True:
            while size < goal and not self._is_at_end:
                size += self._read(buffer[size : min(goal, size + BUFFER_BYTES)])
            end = self._last(buffer[:size], b"\n") + 1
            if end or size == BUFFER_LIMIT_BYTES:
                return size, end
            if self._is_at_end:
                return size, size
            goal = min(max(2 * size, goal), BUFFER_LIMIT_BYTES)

    def _read(self, into: memoryview) -> int:
        """Read and hash piece by piece: the bytes are still in the processor's cache when they are hashed."""
        size = self._stream.readinto(into)
        self._hasher.update(into[:size])
        self._crc = crc64nvme(into[:size], self._crc)
        self._bytes_read += size
        self._is_at_end = size == 0
        return size

    def _disguise(self, content: memoryview) -> Diagnostic | None:
        if not content:
            return nothing_there(self._shown)
        line, end, _ = bytes(content[:HEAD_BYTES]).partition(b"\n")
        return disguise_of(line + end, self._shown)

    def _skip_line(self, buffer: memoryview) -> Cut:
        """Read on to the end of a line that is too long, within the limit, and say how long it is."""
        skipped, is_ended = 0, self._is_at_end
        while not is_ended and skipped < SKIP_LIMIT_BYTES:
            size = self._read(buffer[: min(BUFFER_BYTES, SKIP_LIMIT_BYTES - skipped)])
            end = bytes(buffer[:size]).find(b"\n") + 1
            skipped += end or size
            self._rest = bytes(buffer[end:size]) if end else b""
            is_ended = bool(end) or self._is_at_end
        length = BUFFER_LIMIT_BYTES + skipped
        cut = self._cut(0, too_long(self._shown, self.lines + 1, self.byte, length, is_ended=is_ended))
        self.lines += 1
        self.byte += length
        self._is_stopped = not is_ended
        return cut

    def _cut(self, size: int, refused: Diagnostic | None = None) -> Cut:
        return Cut(
            file=self._file, shown=self._shown, line=self.lines + 1, byte=self.byte, size_bytes=size, refused=refused
        )
