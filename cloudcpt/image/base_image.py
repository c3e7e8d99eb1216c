"""The image that ours stands on: brought to this machine, looked into for its Python, and named by its digest."""

import re
from collections.abc import Callable
from typing import Final

from cloudcpt.errors import SetupError, error
from cloudcpt.image.context import LEAST_TORCH, BasePython
from cloudcpt.image.refusals import refusal
from cloudcpt.image.registry import registry_of, sign_in
from cloudcpt.local.containers import Engine

PLATFORM: Final = "linux/amd64"
"""Of P5-class machines, and of the packages in the context, whatever machine builds."""

_HERE: Final = "localhost/"
"""What podman and buildah put before the name of an image that was made here; no registry is asked for those."""

_PYTHONS: Final = ("/opt/venv/bin/python", "python3", "python")
"""Where bases have theirs: AWS's newer images, then everybody else's."""

_LOOK: Final = """
import sys, importlib.metadata as m
print('%d.%d' % sys.version_info[:2], sys.executable, *(d.version for d in m.distributions(name='torch')))
"""


def fetch_base(engine: Engine, base: str, tell: Callable[[str], None]) -> None:
    """Pull a base image, after logging in where it is in a private registry of AWS.

    Args:
        engine: That builds.
        base: Its name.
        tell: Gets what the engine prints, line by line: the image for GPUs takes many minutes.

    Raises:
        SetupError: it is not to be had, or there are no AWS credentials to get it with.
        TransientError: its registry cannot be reached.
    """
    if base.startswith(_HERE):
        hint = "make it with `container/make-base` of the sources, or name another one with `--base`"
        raise SetupError(error("CPT794", f"there is no base image `{base}` on this machine", hint=hint))
    sign_in(engine, base)
    answer = engine.follow("pull", "--platform", PLATFORM, base, tell=tell)
    if answer.status != 0:
        message = f"the base image `{base}` could not be fetched"
        raise refusal(answer, message, code="CPT794", program=engine.program, registry=registry_of(base))


def look_into(engine: Engine, base: str) -> BasePython:
    """Find the Python of a base image by running it.

    Raises:
        SetupError: it is not on this machine, is for other machines, or has no Python that we know of.
    """
    said = engine.inspect(base)
    hint = "name a base with Python 3.11 or newer with `--base`"
    if (platform := f"{said.get('Os')}/{said.get('Architecture')}") != PLATFORM:
        raise SetupError(error("CPT794", f"the base image `{base}` is for {platform}, not for {PLATFORM}", hint=hint))
    complaint = ""
    for command in _PYTHONS:
        answer = engine.ask_inside(base, command, "-c", _LOOK)
        if answer.status == 0 and (found := re.match(r"(\d+\.\d+) (\S+)(?: (\S+))?", answer.out)):
            return _new_enough(BasePython(command=found[2], version=found[1], torch=found[3] or ""), base)
        complaint = answer.reason
    raise SetupError(error("CPT794", f"the base image `{base}` cannot be built upon: {complaint}", hint=hint))


def _new_enough(python: BasePython, base: str) -> BasePython:
    least = ".".join(map(str, LEAST_TORCH))
    if python.torch and tuple(int(part) for part in re.findall(r"\d+", python.torch)[:2]) < LEAST_TORCH:
        message = f"the base image `{base}` has torch {python.torch}, and cloudcpt needs {least} or newer"
        raise SetupError(error("CPT794", message, hint="name a newer one with `--base`, or leave the option out"))
    return python


def pinned(engine: Engine, base: str) -> str:
    """Name a base image by its digest, where its registry gave it one; an image made here has none."""
    digests = engine.inspect(base).get("RepoDigests") or []
    remote = [digest for digest in digests if not digest.startswith(_HERE)]
    return remote[0] if remote else base
