"""The image of the lanes: built twice to see that it comes out the same.

Its tags are the lanes' own, so that an image that somebody works with is not replaced under their hands.
"""

import json
import subprocess
import sys
from importlib import metadata
from typing import Any, Final

from cloudcpt.errors import ExitCode
from cloudcpt.local.answers import ask
from container.lanes.engines import BASE, BUILD
from container.lanes.ledger import Failed, NotRun

IMAGE: Final = "localhost/cloudcpt-lane:once"
_AGAIN: Final = "localhost/cloudcpt-lane:twice"

_PATIENCE_S: Final = 300.0


def build_twice(builder: str) -> str:
    """Build the CPU image, and where its builder can give the same digest twice, see that it does.

    Raises:
        NotRun: torch, or the index of packages, is not to be had.
        Failed: it could not be built, or the second image is another one.
    """
    require_cpu_torch(metadata.version("torch"))
    before = {image_id(builder, tag) for tag in (IMAGE, _AGAIN)}
    try:
        return _build_twice(builder)
    finally:
        # A tag that moves on leaves 2 GB without a name; to remove it is refused where somebody has given it another.
        for image in before - {"", *(image_id(builder, tag) for tag in (IMAGE, _AGAIN))}:
            remove(builder, image)


def _build_twice(builder: str) -> str:
    once = build(builder, IMAGE, "--base", BASE, "--bill", str(BUILD / "bom.json"))
    if builder == "docker":
        return f"{once['id']}; once only, as docker writes times into layers"
    twice = build(builder, _AGAIN, "--base", BASE)
    if once["digest"] != twice["digest"]:
        raise Failed(f"two builds of one commit differ: {once['digest']} and {twice['digest']}")
    remove(builder, _AGAIN)
    return f"{once['digest']} twice"


def require_cpu_torch(version: str) -> None:
    """Insist on the small torch: pip gives the image what it gave the environment that this runs in.

    Raises:
        NotRun: it is the one with CUDA, which would bring 3 GB of libraries along.
    """
    if "+cpu" not in version:
        raise NotRun(f"pip has torch {version} here, not the one for CPUs, which is 3 GB smaller")


def build(builder: str, tag: str, *options: str) -> dict[str, Any]:
    """Build with `cloudcpt image build`, and give what it says of the image.

    Raises:
        NotRun: the index of packages cannot be reached.
        Failed: it could not be built.
    """
    command = [sys.executable, "-m", "cloudcpt", "image", "build", "--engine", builder, "--tag", tag, *options]
    ended = subprocess.run([*command, "--output", "json"], stdout=subprocess.PIPE, text=True, check=False)
    return outcome_of(ended.returncode, ended.stdout)


def outcome_of(status: int, printed: str) -> dict[str, Any]:
    """Judge how `image build` ended.

    Raises:
        NotRun: it says that what it needs cannot be reached now.
        Failed: anything else was wrong.
    """
    try:
        said: dict[str, Any] = json.loads(printed)
    except ValueError as broken:
        raise Failed(f"`cloudcpt image build` ended with {status} and without an answer") from broken
    if status == 0:
        return said
    reason = "; ".join(f"{found['code']}: {found['message']}" for found in said["diagnostics"])
    if status == ExitCode.TRANSIENT and reason.startswith("CPT793"):
        raise NotRun(reason)
    raise Failed(reason)


def image_id(builder: str, tag: str) -> str:
    """Find an image; empty when there is none of that name."""
    form = "{{.FromImageID}}" if builder == "buildah" else "{{.Id}}"
    answer = ask((builder, "inspect", "--type", "image", "--format", form, tag), _PATIENCE_S)
    return answer.out.strip() if answer.status == 0 else ""


def remove(builder: str, image: str) -> None:
    """Remove an image; one that is not there, or that something stands on, is left alone."""
    ask((builder, "rmi", image), _PATIENCE_S)
