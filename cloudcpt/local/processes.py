"""Processes that must not outlive their purpose: Linux's own means to find and end all of a family.

torchrun puts each worker into a session of its own, so a process group does not hold a job together. Parenthood does:
an orphan passes to the nearest ancestor that asked for orphans (`adopt_orphans`), and is still a descendant there.

Source: prctl(2), PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER; proc(5), /proc/pid/stat.
"""

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

SHARED = frozenset({"aardvark-dns", "dnsmasq", "catatonit"})
"""Daemons that podman starts with the first container that needs them, and that serve those of everybody after that:
names on its networks, and the user namespace of an engine without root. Source: podman-network(1), podman 4 and 5."""

_SET_PARENT_DEATH_SIGNAL = 1
_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent(number: signal.Signals) -> None:
    """Have this process get a signal when its parent ends, however it ends."""
    _prctl(_SET_PARENT_DEATH_SIGNAL, number)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    if _LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}, {value}): {os.strerror(number)}")


def descendants(ancestor: int) -> set[int]:
    """Find every living process below an ancestor; those that have ended and wait to be reaped do not count."""
    children: dict[int, set[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _living_parent(entry)) is not None:
            children.setdefault(parent, set()).add(int(entry.name))
    found: set[int] = set()
    ahead = {ancestor}
    while ahead:
        ahead = set().union(*(children.get(pid, set()) for pid in ahead)) - found
        found |= ahead
    return found


def _living_parent(entry: Path) -> int | None:
    try:
        # The name in parentheses may hold anything, parentheses and spaces too; the fields after it do not.
        state, parent, *_ = entry.joinpath("stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None  # it ended while we looked
    return None if state in "ZX" else int(parent)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""  # it ended while we looked


def end_descendants(grace_s: float) -> None:
    """Wait for every descendant of this process to end, and kill those that have not by the end of the grace.

    Not those that others may need by now, whoever started them.
    """
    deadline = time.monotonic() + grace_s
    while alive := {pid for pid in descendants(os.getpid()) if _name(pid) not in SHARED}:
        if time.monotonic() >= deadline:
            for pid in alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
