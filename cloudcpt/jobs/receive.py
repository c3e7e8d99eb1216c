"""One file of a published model comes here: from where an earlier attempt ended, and believed by its hashes only.

The bytes on the disk are the only memory of an attempt. They are hashed again before more is asked for, so whatever
became of them since, in a power cut say, is found out; a file that is whole already costs a read and no request.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from cloudcpt.dataset.checksum import as_text, crc64nvme
from cloudcpt.errors import TransientError, error
from cloudcpt.jobs.published import Publication, PublishedFile, Publisher
from cloudcpt.plan.staged import StagedFile
from cloudcpt.wire import flush

_BLOCK_BYTES = 1 << 20


class Tell(Protocol):
    """Whoever wants to know how far a file is."""

    def __call__(self, size_bytes: int, *, is_new: bool) -> None:
        """Count bytes that are here: new ones, or ones that were. Negative when they were of no use."""
        ...


class CalledOff(Exception):
    """Nobody needs the file any more; what is here of it stays."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What is wanted: a file of a publication."""

    publisher: Publisher
    publication: Publication
    file: PublishedFile


def receive(order: Order, folder: Path, tell: Tell, is_called_off: Callable[[], bool]) -> StagedFile:
    """Bring one file, whole and verified.

    Args:
        order: Which.
        folder: Where to.
        tell: Told after every megabyte or so.
        is_called_off: Asked as often; when it says yes, the file is left as it is.

    Returns:
        What it was found to be.

    Raises:
        TransientError: what came is not what the place says it has; it is removed.
        CalledOff: as asked.
        CloudcptError: it cannot be had.
        OSError: it cannot be written.
    """
    file, path = order.file, folder / order.file.name
    while True:
        digests = Digests(file)
        with path.open("a+b") as target:
            resumed = _take_over(target, file, digests, tell)
            for piece in order.publisher.stream(order.publication, file, resumed, file.size_bytes):
                if is_called_off():
                    raise CalledOff
                target.write(piece)
                digests.update(piece)
                tell(len(piece), is_new=True)
        fault = digests.fault()
        if not fault:
            flush(path)
            return digests.result()
        path.unlink()
        tell(-file.size_bytes, is_new=False)
        if not resumed:
            hint = "the same command fetches it again; if that does not help, take another source or endpoint"
            message = f"`{file.name}` of `{order.publication.repo}` arrived damaged: {fault}"
            raise TransientError(error("CPT737", message, hint=hint))
        # Perhaps what was here before was damaged, so that one attempt from the first byte is due.


class Digests:
    """The hashes of one file, over the bytes in their order.

    Args:
        file: What its place says about it.
    """

    def __init__(self, file: PublishedFile) -> None:
        from blake3 import blake3

        self._file = file
        self._size = 0
        self._sha256 = hashlib.sha256()
        self._blake3 = blake3()
        # Not for security: it is how git, and so a hub, names the content of a small file.
        self._git = hashlib.sha1(b"blob %d\0" % file.size_bytes, usedforsecurity=False) if file.git_sha1 else None
        self._crc = 0

    def update(self, piece: bytes) -> None:
        """Go on with the next bytes."""
        self._size += len(piece)
        self._sha256.update(piece)
        self._blake3.update(piece)
        if self._git:
            self._git.update(piece)
        if self._file.crc64nvme:
            self._crc = crc64nvme(piece, self._crc)

    def fault(self) -> str:
        """Say how the bytes differ from what the place states; empty when they do not."""
        return next(self._faults(), "")

    def result(self) -> StagedFile:
        """Say what the file is."""
        name, size, sha256 = self._file.name, self._size, self._sha256.hexdigest()
        return StagedFile(name=name, size_bytes=size, sha256=sha256, blake3=self._blake3.hexdigest())

    def _faults(self) -> Iterator[str]:
        stated = self._file
        if self._size != stated.size_bytes:
            yield f"it has {self._size} bytes instead of {stated.size_bytes}"
        if stated.sha256 and self._sha256.hexdigest() != stated.sha256:
            yield f"its SHA-256 is `{self._sha256.hexdigest()}` and should be `{stated.sha256}`"
        if self._git and self._git.hexdigest() != stated.git_sha1:
            yield f"its git hash is `{self._git.hexdigest()}` and should be `{stated.git_sha1}`"
        if stated.crc64nvme and as_text(self._crc) != stated.crc64nvme:
            yield f"its CRC64NVME is `{as_text(self._crc)}` and should be `{stated.crc64nvme}`"


def _take_over(target: BinaryIO, file: PublishedFile, digests: Digests, tell: Tell) -> int:
    """Hash what is here already, and say how much that is; a file that is too long is of no use."""
    if target.seek(0, 2) > file.size_bytes:
        target.truncate(0)
    target.seek(0)
    taken = 0
    while block := target.read(_BLOCK_BYTES):
        digests.update(block)
        taken += len(block)
        tell(len(block), is_new=False)
    return taken
