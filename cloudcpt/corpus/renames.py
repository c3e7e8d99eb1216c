"""Two renames that the standard library does not have: never onto something, and two things at once.

Linux has both (renameat2); where the system or the file system does not, the caller hears so and takes another way.
"""

import ctypes
import errno
import os
from pathlib import Path
from typing import Final

_NO_REPLACE: Final = 1
_EXCHANGE: Final = 2
_AT_CWD: Final = -100
_UNKNOWN: Final = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)
"""What a kernel, a file system or a sandbox answers when it has no such rename.

Source: renameat2(2); EPERM is what seccomp profiles of containers answer to calls that they do not know.
"""


def rename_onto_nothing(source: Path, target: Path) -> None:
    """Rename a file, but never onto another one.

    Raises:
        FileExistsError: something is there.
        OSError: the system refuses.
    """
    if _renameat2(source, target, _NO_REPLACE):
        return
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


def exchange(one: Path, other: Path) -> bool:
    """Give each of two things the name of the other, in one step; False where the system has no such thing.

    Raises:
        OSError: the system refuses.
    """
    return _renameat2(one, other, _EXCHANGE)


def _renameat2(source: Path, target: Path, flags: int) -> bool:
    """Call the system; False when it does not know the call, or not for this file system."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    if call(_AT_CWD, os.fsencode(source), _AT_CWD, os.fsencode(target), ctypes.c_uint(flags)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), str(source), None, str(target))
