"""Who writes an output: a `flock` on a file in its `.partial` folder, which ends with the process that holds it.

A claim belongs to the process, not to the object that made it: a second one by the same process succeeds. So a command
that failed and is given again in one Python process finds its own claim, not a stranger's.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

LOCK: Final = "lock"

_held: Final[dict[tuple[int, int], int]] = {}
"""Open files of this process by device and inode: closing one would give the claim up."""


def claim(folder: Path) -> bool:
    """Make a folder, if need be, and claim it for this process; False when another process has it.

    Raises:
        OSError: the folder cannot be made, or is something else.
    """
    while True:
        folder.mkdir(exist_ok=True)
        try:
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            continue  # another process has just finished and removed the folder
        if _is_ours(descriptor):
            os.close(descriptor)
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        if _is_at(descriptor, folder / LOCK):
            _held[_identity(descriptor)] = descriptor
            return True
        os.close(descriptor)


def give_up(folder: Path) -> None:
    """Remove a claimed folder, which holds nothing else any more, and let others claim its name."""
    lock = folder / LOCK
    descriptor = _held.pop(_identity_at(lock))
    lock.unlink()
    with contextlib.suppress(OSError):  # another process has claimed the folder since
        folder.rmdir()
    os.close(descriptor)


def _is_ours(descriptor: int) -> bool:
    return _identity(descriptor) in _held


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _identity_at(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _is_at(descriptor: int, path: Path) -> bool:
    """Tell whether a locked file is still the one at a path: its holder may have removed it in between."""
    try:
        return _identity(descriptor) == _identity_at(path)
    except FileNotFoundError:
        return False
