"""A file whose bytes are hashed as they are read, so that data is read once and what was checked has a name."""

import io
from typing import TYPE_CHECKING

from cloudcpt.dataset.places import InputStream

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class HashedFile(io.RawIOBase):
    """Pass the bytes of a file on to a buffered reader and hash each block on the way.

    Args:
        stream: Opened at its start; closed by its owner.
    """

    def __init__(self, stream: InputStream) -> None:
        from blake3 import blake3

        self._stream = stream
        self._hasher = blake3()
        self.size_bytes = 0
        self.is_at_end = False

    def readable(self) -> bool:
        """Say yes: it is for reading."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read the next block, as `io.RawIOBase` asks."""
        size = self._stream.readinto(buffer)
        self._hasher.update(memoryview(buffer)[:size])
        self.size_bytes += size
        self.is_at_end = size == 0
        return size

    @property
    def is_unchanged(self) -> bool:
        """Whether the file still is what it was when it was opened, and as long as what was read of it."""
        return self._stream.is_unchanged and (not self.is_at_end or self._stream.size_bytes == self.size_bytes)

    def blake3(self) -> str:
        """Return the hash of the whole file, 64 hex digits; empty if it was not read to its end."""
        return self._hasher.hexdigest() if self.is_at_end else ""
