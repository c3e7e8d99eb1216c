"""Which engine the lanes run containers with, and which builds where none can: the first that passes a trial.

    podman     in a sandbox with settings of its own, elsewhere as its owner set it up; rootless too
    docker     an engine that answers already
    dockerd    started here for the time of the run, as root
    buildah    builds without control groups, overlay or an engine, and runs nothing

A trial is `true` in the small Debian of `container/make-base`: nothing in it is ours, so that whatever goes wrong there
is the machine's doing.
"""

import os
import resource
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloudcpt.local.answers import Answer, ask
from container.lanes.dockers_engine import docker_daemon
from container.lanes.ledger import NotRun
from container.lanes.machine import Machine
from container.lanes.packages import DOCKER, install
from container.lanes.steps import attempt

BASE: Final = "localhost/cloudcpt-base:bookworm"
"""What `container/make-base` makes."""

BUILD: Final = Path("build/container").absolute()
"""Everything that the lanes keep between runs and that is no image."""

_PATIENCE_S: Final = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What the lanes work with.

    Args:
        runner: Runs containers, and builds: `podman` or `docker`; empty where none does.
        builder: Builds: the runner, or `buildah`; empty where nothing does.
        reason: Why there is no runner, or no builder either.
    """

    runner: str
    builder: str
    reason: str = ""


def choose(wanted: str, machine: Machine, missing: str, left: ExitStack) -> Choice:
    """Try one engine after the other.

    Args:
        wanted: `podman`, `docker`, or `none` for a builder alone; empty for the first that works.
        machine: What it allows.
        missing: Why a program is not there.
        left: Ends an engine that was started here.
    """
    set_up(machine)
    reasons: list[str] = []
    for name, trial in (("podman", _try_podman), ("docker", _try_docker)):
        if wanted not in ("", name):
            reasons.append(f"{name}: another engine was asked for")
            continue
        try:
            trial(machine, missing, left)
            return Choice(runner=name, builder=name)
        except NotRun as reason:
            reasons.append(f"{name}: {reason}")
    try:
        _have_base("buildah", missing)
    except NotRun as reason:
        return Choice(runner="", builder="", reason="; ".join([*reasons, f"buildah: {reason}"]))
    return Choice(runner="", builder="buildah", reason="; ".join(reasons))


def set_up(machine: Machine) -> None:
    """Tell podman and buildah how to do without systemd, without raising limits, and without overlays.

    Only in a sandbox: who has set up an engine knows better what it needs.
    """
    if not machine.is_sandbox:
        return
    open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    BUILD.mkdir(parents=True, exist_ok=True)
    settings = BUILD / "containers.conf"
    settings.write_text(
        "[containers]\n"
        f'default_ulimits = ["nofile={open_files}:{open_files}", "nproc=32768:32768"]\n'
        '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n',
        "utf-8",
    )
    os.environ |= {"CONTAINERS_CONF": str(settings), "BUILDAH_ISOLATION": "chroot"}
    if machine.is_root and not machine.has_overlay:  # who is not root mounts in another way, and podman knows which
        os.environ["STORAGE_DRIVER"] = "vfs"


def _try_podman(_machine: Machine, missing: str, _left: ExitStack) -> None:
    _answers("podman", missing)
    _have_base("podman", missing)
    _runs("podman")


def _try_docker(machine: Machine, missing: str, left: ExitStack) -> None:
    try:
        _answers("docker", "docker is not installed")
    except NotRun:
        if not machine.is_root or not machine.may_mount:
            raise
        missing = install(machine, DOCKER) or missing
        left.enter_context(docker_daemon(BUILD / "docker"))
    _have_base("docker", missing)
    _runs("docker")


def _answers(program: str, missing: str) -> None:
    if shutil.which(program) is None:
        raise NotRun(missing)
    _succeeded(ask((program, "info"), _PATIENCE_S), "it does not answer")


def _have_base(program: str, missing: str) -> None:
    if shutil.which(program) is None:
        raise NotRun(missing)
    if ask((program, "inspect", "--type", "image", BASE), _PATIENCE_S).status == 0:
        return
    if shutil.which("mmdebstrap") is None and not (BUILD / "base.tar").is_file():
        raise NotRun(f"there is no base image: {missing or 'mmdebstrap is not installed'}")
    _succeeded(attempt("container/make-base", program), "the base image could not be made")


def _runs(program: str) -> None:
    words = ("run", "--rm", "--network", "none", "--pull", "never", BASE, "true")
    _succeeded(ask((program, *words), _PATIENCE_S), "it cannot run a container here")


def _succeeded(answer: Answer, otherwise: str) -> None:
    if answer.status != 0:
        raise NotRun(f"{otherwise}: {answer.reason}")
