"""What this machine allows: who we are, which namespaces, mounts and control groups there are, what is installed."""

import os
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CAP_SYS_ADMIN: Final = 21
"""Bit of the capability that mounting takes. Source: linux/capability.h."""

PROGRAMS: Final = ("podman", "buildah", "runc", "bwrap", "mmdebstrap", "docker", "dockerd")


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What was found.

    Args:
        system: As `uname` says.
        is_root: We are user 0.
        may_mount: We have CAP_SYS_ADMIN.
        has_overlay: An overlay could be mounted.
        has_user_namespaces: One could be made.
        cgroups: `v2`, `v1`, or `none`.
        has_systemd: It is process 1, so that engines can ask it for control groups.
        has_apt: `apt-get` is there.
        programs: Those of `PROGRAMS` that are installed.
    """

    system: str
    is_root: bool
    may_mount: bool
    has_overlay: bool
    has_user_namespaces: bool
    cgroups: str
    has_systemd: bool
    has_apt: bool
    programs: tuple[str, ...]

    @property
    def is_sandbox(self) -> bool:
        """Tell whether engines have to be told how to do without what a whole Linux has."""
        return self.system.startswith("Linux") and not self.has_systemd

    def lines(self) -> tuple[str, ...]:
        """Say what was found."""
        return (
            f"{self.system}; {'root' if self.is_root else 'not root'}, {_can(self.may_mount)} mount (CAP_SYS_ADMIN)",
            f"overlay mounts: {_yes(self.has_overlay)}; user namespaces: {_yes(self.has_user_namespaces)}; "
            f"cgroups: {self.cgroups}; systemd: {_yes(self.has_systemd)}",
            f"apt: {_yes(self.has_apt)}; installed: {', '.join(self.programs) or 'no engine'}",
        )


def look_around() -> Machine:
    """Look at this machine; leaves nothing behind."""
    may_mount = has_capability(_effective_capabilities(), CAP_SYS_ADMIN)
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        is_root=os.geteuid() == 0,
        may_mount=may_mount,
        has_overlay=may_mount and _mounts_overlay(),
        has_user_namespaces=_works("unshare", "--user", "true"),
        cgroups=_cgroups(Path("/sys/fs/cgroup")),
        has_systemd=Path("/run/systemd/system").is_dir(),
        has_apt=shutil.which("apt-get") is not None,
        programs=tuple(filter(shutil.which, PROGRAMS)),
    )


def has_capability(effective: str, bit: int) -> bool:
    """Tell whether a capability is in the hexadecimal mask that /proc shows."""
    return bool(int(effective or "0", 16) >> bit & 1)


def _effective_capabilities() -> str:
    try:
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    except FileNotFoundError:  # not Linux
        return ""
    return next((line.split()[1] for line in lines if line.startswith("CapEff:")), "")


def _cgroups(root: Path) -> str:
    if (root / "cgroup.controllers").is_file():
        return "v2"
    return "v1" if (root / "memory").is_dir() else "none"


def _mounts_overlay() -> bool:
    # In a mount namespace of its own, so that nothing can stay mounted. Not below /tmp, which may be in memory: engines
    # keep their images below /var.
    with tempfile.TemporaryDirectory(prefix="cloudcpt-overlay-", dir="/var/tmp") as folder:
        for name in ("lower", "upper", "work", "merged"):
            Path(folder, name).mkdir()
        options = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
        return _works("unshare", "--mount", "mount", "-t", "overlay", "-o", options, "overlay", f"{folder}/merged")


def _works(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _can(is_so: bool) -> str:
    return "may" if is_so else "may not"
