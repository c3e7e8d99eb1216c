"""How many processes are worth having on this machine."""

import os
from math import ceil
from pathlib import Path
from typing import Final

_LIMIT: Final = Path("/sys/fs/cgroup/cpu.max")
"""What a container may use: microseconds in every so many, or `max`. Source: Linux, cgroup v2."""


def usable_cores(limit: Path = _LIMIT) -> int:
    """Count the cores that this process may use: those it is pinned to, and no more than its container is given."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = limit.read_text("ascii").split()
        return max(1, min(cores, ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores
