"""Pickled messages between a parent and its worker over a socket; lighter to load than `multiprocessing.connection`."""

import os
import pickle
from struct import Struct
from typing import Any, Final

_LENGTH: Final = Struct("<Q")
_PIECE_BYTES: Final = 1 << 20


class Channel:
    """One end of a socket pair.

    Args:
        descriptor: Of the socket; closed by `close`.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Give the descriptor, as `select` asks."""
        return self._descriptor

    def close(self) -> None:
        """Hang up."""
        os.close(self._descriptor)

    def send(self, pickled: bytes) -> None:
        """Send one message.

        Raises:
            ConnectionError: nobody is there any more.
        """
        rest = memoryview(_LENGTH.pack(len(pickled)) + pickled)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def receive(self) -> Any:
        """Wait for one message and unpickle it; who sends is ourselves.

        Raises:
            ConnectionError: nobody is there any more.
        """
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        return pickle.loads(self._read(length))  # noqa: S301

    def _read(self, length: int) -> bytearray:
        content = bytearray()
        while len(content) < length:
            piece = os.read(self._descriptor, min(length - len(content), _PIECE_BYTES))
            if not piece:
                raise ConnectionResetError("the other end was closed")
            content += piece
        return content
