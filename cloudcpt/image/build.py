"""Building the image with whatever builds: docker, podman or buildah, from a context that holds everything.

Two builds of the same files on the same base give the same image: nothing in it has a time but the given one.
"""

import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cloudcpt
from cloudcpt.errors import Diagnostic, SetupError, error
from cloudcpt.image.base_image import PLATFORM
from cloudcpt.image.context import BasePython
from cloudcpt.image.material import DOCKERFILE
from cloudcpt.image.refusals import full_disk
from cloudcpt.local.answers import Answer
from cloudcpt.local.containers import Engine

AWS_BASE: Final = "public.ecr.aws/deep-learning-containers/pytorch:2.13-cu133-amzn2023-sagemaker"
"""AWS's own PyTorch image for SageMaker, from the gallery that takes no account; its torch is what the tests
run with. Source: AWS Deep Learning Containers, PyTorch 2.13 of 2026-07-20, patched until 2027-07-20."""

CPU_BASE: Final = "public.ecr.aws/docker/library/python:3.12-slim-bookworm"
"""Debian with Python and nothing else, from the same gallery; where no registry can be reached, `container/make-base`
of the sources makes one like it."""

RELEASED: Final = 1_767_225_600
"""Time of everything in an image that is not built from a checkout: 2026-01-01, the same for everybody."""


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


def build(
    engine: Engine,
    context: Path,
    *,
    base: str,
    python: BasePython,
    tag: str,
    source: Source,
    tell: Callable[[str], None],
) -> str:
    """Build the image and give its ID.

    Args:
        engine: That builds.
        context: What it is built from.
        base: What it stands on.
        python: Of the base.
        tag: What it is called.
        source: What is built.
        tell: Gets what the builder prints, line by line.

    Raises:
        SetupError: the build failed; `tell` got its last lines.
    """
    arguments = {
        "BASE": base,
        "PYTHON": python.command,
        "VERSION": cloudcpt.__version__,
        "REVISION": source.revision,
        "SOURCE_DATE_EPOCH": str(source.epoch_s),
    }
    words = ["build", "--file", str(context / DOCKERFILE), "--tag", tag, "--platform", PLATFORM]
    if engine.kind != "docker":
        words += ["--timestamp", str(source.epoch_s), "--layers=false"]
    if engine.kind == "docker" or os.environ.get("BUILDAH_ISOLATION") != "chroot":  # which has the host's or nothing
        words += ["--network", "none"]
    words += [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    with tempfile.TemporaryDirectory(prefix="cloudcpt-build-") as folder:
        noted = Path(folder, "id")  # the tag may be another build's by now
        answer = engine.follow(*words, "--iidfile", str(noted), str(context), tell=tell, settings=_settings())
        if answer.status != 0:
            raise SetupError(_failed(answer, engine))
        return noted.read_text("utf-8").strip().removeprefix("sha256:")


def _settings() -> dict[str, str]:
    """Ask docker for an image and no list of images: an attestation beside it is nothing that a job could run."""
    return {**os.environ, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}


def _failed(answer: Answer, engine: Engine) -> Diagnostic:
    if hint := full_disk(answer, program=engine.program):
        return error("CPT795", "the disk is full, so the image could not be built", hint=hint)
    hint = "the lines above are the builder's; in a sandbox, `BUILDAH_ISOLATION=chroot` often helps podman"
    return error("CPT795", f"`{engine.program} build` ended with {answer.status}: {answer.reason}", hint=hint)
