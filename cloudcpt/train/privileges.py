"""Less than root, from the first moment: what a container gives its process and training does not need, given up.

SageMaker starts a container as root and mounts `/opt/ml` owned by root, so an image with a `USER` line could write
nothing there. The launcher of the bundled image hands the folders that a job writes over to a user without a name,
becomes that user, and gives up every capability and the way back. Inputs stay root's: a job cannot change them.

Where the platform does not allow it, or the job would lose what it needs as an ordinary user (an input, a GPU, the
memory that EFA locks), it goes on as what it is and the log says so.

Source: capabilities(7), prctl(2); aws/sagemaker-python-sdk issue 4764 (a `USER` line fails with EACCES).
"""

import ctypes
import os
import resource
import stat
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
_LOCK_MEMORY = 14
"""Number of CAP_IPC_LOCK."""

_LAST_CAPABILITY = Path("/proc/sys/kernel/cap_last_cap")
_DEVICES = ("infiniband/uverbs*", "nvidia[0-9]*", "nvidiactl", "nvidia-uvm", "gdrdrv")
"""What a training process opens below /dev, where it is there."""


def give_up_root(ml: MlFolder, wanted: str = "", *, devices: Path = Path("/dev")) -> str:
    """Become an ordinary user who owns what this job writes; without effect on anybody who is not root.

    Args:
        ml: Of this job.
        wanted: User and group to become, `1000:1000`; `0:0` to stay root; empty for one without a name.
        devices: Holds the devices of this host.

    Returns:
        What happened, in words for the log; empty when there was nothing to give up.
    """
    user, group = _numbers(wanted)
    if os.geteuid() != 0 or user == 0:
        return ""
    _raise_locked_memory()
    if (lost := _lost(ml, devices)) is not None:
        return f"the job runs as root: {lost}"
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
    # There is no line for this user in /etc/passwd, where both would be looked for.
    os.environ |= {"HOME": "/tmp", "USER": "cloudcpt"}  # noqa: S108  # of this container alone
    return f"the job runs as user {user} without capabilities"


def _numbers(wanted: str) -> tuple[int, int]:
    user, _, group = wanted.partition(":")
    return (int(user), int(group)) if user.isdecimal() and group.isdecimal() else (USER_ID, USER_ID)


def _raise_locked_memory() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (most, most))


def _lost(ml: MlFolder, devices: Path) -> str | None:
    """Say what an ordinary user would miss; what the platform made for root alone often cannot be changed."""
    for path in (ml.root, *_inputs(ml)):
        with suppress(OSError):  # what is not there is said by who reads it
            mode = path.stat().st_mode
            needed = 0o005 if stat.S_ISDIR(mode) else 0o004
            if mode & needed != needed:
                return f"`{path}` can be read by nobody else"
    for path in (path for pattern in _DEVICES for path in sorted(devices.glob(pattern))):
        if path.stat().st_mode & 0o006 != 0o006:
            return f"`{path}` can be used by nobody else"
    _, most = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if most != resource.RLIM_INFINITY and any(devices.glob(_DEVICES[0])) and _may_lock_memory():
        return f"EFA locks memory, and others may lock {most // 2**20} MiB"
    return None


def _inputs(ml: MlFolder) -> Iterator[Path]:
    folder = ml.root / "input"
    yield folder
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *files))


def _may_lock_memory() -> bool:
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    held = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
    return bool(held >> _LOCK_MEMORY & 1)


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
