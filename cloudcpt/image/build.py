"""Building the image with whatever builds: `docker build` or `podman build`, from a context that holds everything.

Two builds of the same files on the same base give the same image: nothing in it has a time but the given one.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cloudcpt
from cloudcpt.errors import SetupError, error
from cloudcpt.image.context import BasePython
from cloudcpt.image.material import DOCKERFILE
from cloudcpt.local.containers import Engine

AWS_BASE: Final = (
    "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-training:2.10.0-gpu-py313-cu130-ubuntu22.04-sagemaker"
)
"""AWS's own PyTorch image for SageMaker. Source: AWS Deep Learning Containers, general availability 2026-01-21."""

CPU_BASE: Final = "localhost/cloudcpt-base:bookworm"
"""Debian with Python and nothing else, as `container/make-base` makes it."""

RELEASED: Final = 1_767_225_600
"""Time of everything in an image that is not built from a checkout: 2026-01-01, the same for everybody."""

_PYTHONS: Final = ("/opt/venv/bin/python", "python3", "python")
"""Where bases have theirs: AWS's newer images, then everybody else's."""

_LOOK: Final = (
    "import sys, importlib.util as u; print('%d.%d' % sys.version_info[:2], bool(u.find_spec('torch')), sys.executable)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What is built.

    Args:
        revision: Commit of a checkout, with `-dirty` when files differ from it; empty for an installation.
        epoch_s: Time that everything gets, in seconds of the epoch.
    """

    revision: str
    epoch_s: int


def find_source() -> Source:
    """Ask git about the checkout that this cloudcpt runs from, if it is one."""
    folder = Path(cloudcpt.__file__).parents[1]
    if not (folder / ".git").exists():
        return Source(revision="", epoch_s=RELEASED)
    commit = _git(folder, "show", "--no-patch", "--format=%H %ct", "HEAD").split()
    if len(commit) != 2:
        return Source(revision="", epoch_s=RELEASED)
    dirty = "-dirty" if _git(folder, "status", "--porcelain", "--", "cloudcpt", "container") else ""
    return Source(revision=commit[0] + dirty, epoch_s=int(commit[1]))


def _git(folder: Path, *words: str) -> str:
    try:
        ended = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return ended.stdout.strip()


def look_into(engine: Engine, base: str) -> BasePython:
    """Find the Python of a base image by running it.

    Raises:
        SetupError: the image is not to be had, or it has no Python that we know of.
    """
    said = ""
    for command in _PYTHONS:
        answer = engine.ask_inside(base, command, "-c", _LOOK)
        if answer.status == 0 and (found := re.match(r"(\d+\.\d+) (True|False) (\S+)", answer.out)):
            return BasePython(command=found[3], version=found[1], has_torch=found[2] == "True")
        said = answer.reason
    hint = "name a base with Python 3.11 or newer with `--base`"
    raise SetupError(error("CPT794", f"the base image `{base}` cannot be built upon: {said}", hint=hint))


def pinned(engine: Engine, base: str) -> str:
    """Name a base image by its digest, where its registry gave it one; an image made here has none."""
    digests = engine.inspect(base).get("RepoDigests") or []
    remote = [digest for digest in digests if not digest.startswith("localhost/")]
    return remote[0] if remote else base


def build(engine: Engine, context: Path, *, base: str, python: BasePython, tag: str, source: Source) -> str:
    """Build the image and give its ID. What the builder prints goes to stderr.

    Raises:
        SetupError: the build failed; its last lines are above.
    """
    arguments = {
        "BASE": base,
        "PYTHON": python.command,
        "VERSION": cloudcpt.__version__,
        "REVISION": source.revision,
        "SOURCE_DATE_EPOCH": str(source.epoch_s),
    }
    command = [engine.program, "build", "--file", str(context / DOCKERFILE), "--tag", tag]
    if "podman" in Path(engine.program).name:
        command += ["--timestamp", str(source.epoch_s), "--layers=false"]
    command += [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    ended = subprocess.run([*command, str(context)], stdout=2, env=os.environ, check=False)
    if ended.returncode != 0:
        hint = "the lines above are the builder's; in a sandbox, `BUILDAH_ISOLATION=chroot` often helps podman"
        raise SetupError(error("CPT795", f"`{engine.program} build` ended with {ended.returncode}", hint=hint))
    return engine.image_id(tag)
