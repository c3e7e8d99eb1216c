"""Lane 1: the content of the image without an engine, in bubblewrap on a read-only root and without network.

What an engine would hide is seen here: a missing file, a wrong owner, something written where nothing may be written.
`cloudcpt image check` does the looking, with `without_engine.py` for an engine.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cloudcpt.local.answers import Answer, ask
from cloudcpt.local.containers import find_builder
from container.lanes.image import IMAGE
from container.lanes.ledger import Failed, NotRun
from container.lanes.machine import Machine
from container.lanes.packages import require
from container.lanes.steps import attempt, cloudcpt
from container.lanes.without_engine import bubblewrap

_SHIM: Final = Path(__file__).with_name("without_engine.py")
_CONTAINER: Final = "cloudcpt-lane-root"
_PATIENCE_S: Final = 300.0


def check_content(builder: str, machine: Machine, missing: str) -> str:
    """Check the image with nothing but bubblewrap.

    Args:
        builder: Built it, and so has its files.
        machine: What it allows.
        missing: Why a program is not there.

    Raises:
        NotRun: bubblewrap does not work here, or the files cannot be had.
        Failed: the image does not keep the contract.
    """
    require("bwrap", missing)
    if not (machine.is_root and machine.may_mount):
        raise NotRun("laying the image open takes root and CAP_SYS_ADMIN")
    _require_bubblewrap()
    said = find_builder(builder).inspect(IMAGE)
    with TemporaryDirectory(prefix="cloudcpt-lane-") as scratch, _laid_open(builder, Path(scratch, "root")) as root:
        described = Path(scratch, "image.json")
        described.write_text(json.dumps([said]), "utf-8")
        settings = {"CLOUDCPT_LANE_ROOT": str(root), "CLOUDCPT_LANE_IMAGE": str(described)}
        cloudcpt("image", "check", IMAGE, "--engine", str(_SHIM), settings=settings)
    return "in bubblewrap"


def _require_bubblewrap() -> None:
    """Try it on the root of this machine, where nothing is ours."""
    words = ("--hostname", "algo-1", "--cap-drop", "ALL", "--cap-add", "SETUID", "image", "true")
    command = bubblewrap(words, "/", {"Entrypoint": [], "Env": [f"PATH={os.environ['PATH']}"]})
    _succeeded(ask(command, _PATIENCE_S), "bubblewrap does not work here")


@contextmanager
def _laid_open(builder: str, folder: Path) -> Iterator[Path]:
    """Give the folder with the files of the image: buildah shows its own, docker's have to be unpacked."""
    if builder == "docker":
        yield _unpacked(folder)
        return
    ask(("buildah", "rm", _CONTAINER), _PATIENCE_S)  # of a run that was killed
    try:
        _succeeded(ask(("buildah", "from", "--pull-never", "--name", _CONTAINER, IMAGE), _PATIENCE_S), "buildah")
        mounted = ask(("buildah", "mount", _CONTAINER), _PATIENCE_S)
        _succeeded(mounted, "the image cannot be mounted")
        yield Path(mounted.out.strip())
    finally:
        ask(("buildah", "rm", _CONTAINER), _PATIENCE_S)


def _unpacked(folder: Path) -> Path:
    folder.mkdir()
    ask(("docker", "rm", _CONTAINER), _PATIENCE_S)  # of a run that was killed
    _succeeded(ask(("docker", "create", "--name", _CONTAINER, IMAGE), _PATIENCE_S), "docker")
    try:
        unpack = attempt("sh", "-c", f'docker export {_CONTAINER} | tar --extract --directory "$0"', str(folder))
        if unpack.status != 0:
            raise Failed(f"the image cannot be unpacked: {unpack.reason}")
    finally:
        ask(("docker", "rm", _CONTAINER), _PATIENCE_S)
    return folder


def _succeeded(answer: Answer, otherwise: str) -> None:
    if answer.status != 0:
        raise NotRun(f"{otherwise}: {answer.reason}")
