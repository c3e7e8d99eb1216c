"""The folder in which a model is gathered until it is whole, beside the one that it will be.

    models/.qwen3-0.6b.3f2a91bc.partial/   gathering; named after what is gathered, so that a later run goes on with it
    models/qwen3-0.6b/                     whole, or not there

The lock belongs to the open folder and dies with its holder, whatever that one died of.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cloudcpt.errors import Diagnostic, SetupError, TransientError, UsageProblem, error
from cloudcpt.wire import flush

SPARE_BYTES = 64 << 20
"""Left free on the disk, so that the last byte of a model is not the last of the disk."""


@contextmanager
def gathering(destination: Path, identity: str) -> Iterator[Path]:
    """Give the folder to gather in; it stays when the block fails, for the next attempt.

    Args:
        destination: What it will be.
        identity: Of what is gathered, in hex.

    Raises:
        TransientError: somebody else is gathering the same.
    """
    work = destination.with_name(f".{destination.name}.{identity[:8]}.partial")
    work.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever had the lock may have finished and renamed the folder: then ours is the lock of the finished model.
        if not work.is_dir() or not os.path.samestat(os.fstat(descriptor), work.stat()):
            raise BlockingIOError
        yield work
    except BlockingIOError as exc:
        message = f"another process is staging the same model to `{destination}`"
        raise TransientError(error("CPT740", message, hint="wait for it, then run the command again")) from exc
    finally:
        os.close(descriptor)


def require_space(work: Path, wanted: Iterable[tuple[str, int]]) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        work: Where it is gathered; what is there already needs no more space.
        wanted: Name and size of every file.

    Raises:
        SetupError: with what is missing.
    """
    sizes = {path.name: path.stat().st_size for path in work.iterdir()}
    missing = sum(max(0, size - sizes.get(name, 0)) for name, size in wanted)
    free = shutil.disk_usage(work).free
    if missing + SPARE_BYTES > free:
        message = f"`{work.parent}` has {free / 2**30:,.1f} GiB free, and {missing / 2**30:,.1f} GiB are still to come"
        raise SetupError(error("CPT738", message, hint="make room, or stage to another disk with `--to`"))


def put_in_place(work: Path, destination: Path) -> None:
    """Give a gathered model its name.

    Raises:
        UsageProblem: something has come to be there meanwhile.
    """
    flush(work)
    try:
        work.rename(destination)  # takes the place of an empty folder, and of nothing else
    except OSError as exc:
        if exc.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise UsageProblem(occupied(destination, "something that came there meanwhile")) from exc
        raise
    flush(destination.parent)


def occupied(destination: Path, holds: str) -> Diagnostic:
    """Say that a folder is in the way.

    Args:
        destination: The folder.
        holds: What is in it, in words.
    """
    hint = "name another folder with `--to`; nothing is ever replaced"
    return error("CPT739", f"`{destination}` holds {holds}", hint=hint)
