"""Less than root, from the first moment: what a container gives its process and training does not need, given up.

SageMaker starts a container as root and mounts `/opt/ml` owned by root, so an image with a `USER` line could write
nothing there. The launcher of the bundled image hands the folders that a job writes over to a user without a name,
becomes that user, and gives up every capability and the way back. Inputs stay root's: a job cannot change them.

Where the platform does not allow it, the job goes on as what it is and the log says so.

Source: capabilities(7), prctl(2); aws/sagemaker-python-sdk issue 4764 (a `USER` line fails with EACCES).
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cloudcpt.wire import MlFolder

IMAGE_VARIABLE = "CLOUDCPT_IMAGE"
"""Set in the bundled image, where nothing but the job runs; nobody else's root is to be taken away."""

USER_VARIABLE = "CLOUDCPT_USER"
"""Whom a dry run wants the files to belong to, `1000:1000`; `0:0` where root in here is that user outside."""

USER_ID = 10001
"""Of the user and of the group elsewhere. No image has it, and no name is needed."""

_SET_NO_NEW_PRIVILEGES = 38
_DROP_FROM_BOUNDING_SET = 24
_LAST_CAPABILITY = Path("/proc/sys/kernel/cap_last_cap")


def give_up_root(ml: MlFolder) -> str:
    """Become an ordinary user who owns what this job writes; without effect on anybody who is not root.

    Returns:
        What happened, in words for the log; empty when there was nothing to give up.
    """
    user, group = _wanted()
    if os.geteuid() != 0 or user == 0:
        return ""
    if (hidden := _hidden_input(ml)) is not None:
        return f"the job runs as root: `{hidden}` can be read by nobody else"
    try:
        for path in _written(ml):
            os.chown(path, user, group, follow_symlinks=False)
        _drop_bounding_set()
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)  # of a user other than root, the kernel takes every capability
        _prctl(_SET_NO_NEW_PRIVILEGES, 1)
    except OSError as exc:
        return f"the job runs as user {os.geteuid()}: the platform does not let it give up root ({exc.strerror})"
    os.environ["HOME"] = "/tmp"  # noqa: S108  # of this container alone
    return f"the job runs as user {user} without capabilities"


def _wanted() -> tuple[int, int]:
    user, _, group = os.environ.get(USER_VARIABLE, "").partition(":")
    return (int(user), int(group)) if user and group else (USER_ID, USER_ID)


def _hidden_input(ml: MlFolder) -> Path | None:
    """Find an input that only its owner may read; inputs are the platform's, and often cannot be changed."""
    for parent, folders, files in os.walk(ml.root / "input"):
        for names, needed in ((folders, 0o005), (files, 0o004)):
            for path in (Path(parent, name) for name in names):
                if path.stat().st_mode & needed != needed:
                    return path
    return None


def _written(ml: MlFolder) -> Iterator[Path]:
    """Name every folder that a job writes, and what an earlier attempt left in it; make those that are missing."""
    for folder in (ml.model, ml.output, ml.checkpoints, ml.scratch):
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        for parent, folders, files in os.walk(folder):
            yield from (Path(parent, name) for name in (*folders, *files))


def _drop_bounding_set() -> None:
    last = 40
    with suppress(OSError, ValueError):
        last = int(_LAST_CAPABILITY.read_text("utf-8"))
    for capability in range(last + 1):
        _prctl(_DROP_FROM_BOUNDING_SET, capability)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
