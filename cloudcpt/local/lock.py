"""Who owns a job folder: a `flock` that dies with its holder, so that a dead owner is never mistaken for a live one.

The lock belongs to an open file, not to a process. Whoever makes a job folder takes the lock before the folder is
visible, and hands the open file on to the supervisor, which keeps it for as long as anything watches over the job. The
kernel drops it at the last holder's end, whether that was an exit, `kill -9` or a power cut; a process id in a file
would survive all three and could belong to somebody else by then.
"""

import fcntl
import os
import time
from pathlib import Path

PATIENCE_S = 2.0
"""How long a claim waits for others, who look at the lock for microseconds or are about to exit."""


def claim(path: Path, *, patience_s: float = PATIENCE_S) -> int | None:
    """Take the lock and give the open file that holds it; None when somebody else has it or has removed the folder.

    The file is closed, and the lock dropped, by `os.close`; child processes get it only when told to.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(0.02)
        else:
            break
    # Whoever had the lock may have moved the folder away, and then ours is the lock of a thing that is gone.
    if _is_same_file(descriptor, path):
        return descriptor
    os.close(descriptor)
    return None


def is_claimed(path: Path) -> bool:
    """Tell whether somebody holds the lock at this moment."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that many may look at once.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
