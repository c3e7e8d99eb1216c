"""What the lanes need of Debian, fetched with apt where we are root; elsewhere what is there has to do."""

import os
import shutil
from collections.abc import Mapping
from typing import Final

from cloudcpt.local.answers import ask
from container.lanes.ledger import NotRun
from container.lanes.machine import Machine
from container.lanes.steps import say

PODMAN: Final = {
    "podman": ("podman", "netavark", "aardvark-dns", "iptables", "uidmap"),
    "runc": ("runc",),
    "buildah": ("buildah",),
    "bwrap": ("bubblewrap",),
    "mmdebstrap": ("mmdebstrap",),
}
DOCKER: Final = {"dockerd": ("docker.io",)}
"""By program: the packages that bring it and what it cannot do without."""

_PATIENCE_S: Final = 600.0


def install(machine: Machine, wanted: Mapping[str, tuple[str, ...]]) -> str:
    """Fetch what is missing.

    Returns:
        Why something is missing all the same; empty when nothing is.
    """
    missing = [program for program in wanted if shutil.which(program) is None]
    if not missing:
        return ""
    there_is_no = f"there is no {', '.join(missing)}"
    if not machine.has_apt:
        return f"{there_is_no}, and no apt to get it with"
    packages = [package for program in missing for package in wanted[program]]
    if not machine.is_root:
        return f"{there_is_no}; `sudo apt-get install {' '.join(packages)}` brings it, or run this as root"
    say(f"installing {' '.join(packages)}")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    for command in (("update", "-qq"), ("install", "-y", "-qq", "--no-install-recommends", *packages)):
        ended = ask(("apt-get", *command), _PATIENCE_S)
        if ended.status != 0:
            return f"{there_is_no}, and `apt-get {command[0]}` could not help: {ended.reason}"
    return ""


def require(program: str, reason: str) -> None:
    """Insist on a program.

    Raises:
        NotRun: it is missing, for the reason that `install` gave.
    """
    if shutil.which(program) is None:
        raise NotRun(reason or f"{program} is not installed")
