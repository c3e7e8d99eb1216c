"""The build context: everything that goes into the image, so that the build itself needs no network.

    Dockerfile          as it is in `container/`
    wheels/             what `container/requirements.txt` locks, this cloudcpt, and torch where the base has none
    requirements.txt    every wheel of the folder with its hash

pip fetches, and refuses a file whose hash is not in the lock. torch comes with the base image of AWS; for a base
without it, it is the one package that is locked by version alone: its CPU build is another file at every source. An
index that has no CPU build has the one for CUDA, which cannot be imported without 2 GB of libraries; both will do.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloudcpt.errors import SetupError, TransientError, error
from cloudcpt.image.material import DOCKERFILE, REQUIREMENTS, container_files
from cloudcpt.image.own_wheel import write_own_wheel

TORCH: Final = "2.13.0"
"""For a base image that has none; the version that the tests run with."""

LEAST_TORCH: Final = (2, 11)
"""What a base image may bring; as in pyproject.toml."""

_PLATFORMS: Final = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "linux_x86_64")
"""glibc 2.28 or newer: Debian 12, Ubuntu 22.04 and Amazon Linux 2023 all are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BasePython:
    """The Python of a base image.

    Args:
        command: How it is called there.
        version: `3.12`.
        torch: Version of the torch that it has, `2.13.0`; empty for none.
    """

    command: str
    version: str
    torch: str


def make_context(folder: Path, python: BasePython) -> None:
    """Fill an empty folder.

    Raises:
        SetupError: pip is not there, or a package has no wheel for that Python.
        TransientError: the index cannot be reached.
    """
    wheels = folder / "wheels"
    wheels.mkdir()
    for name, content in container_files().items():
        (folder / name).write_bytes(content)
    _download(wheels, python, ["--no-deps", "--require-hashes", "--requirement", str(folder / REQUIREMENTS)])
    if not python.torch:
        fetch_torch(wheels, python, folder / REQUIREMENTS)
    write_own_wheel(wheels)
    (folder / REQUIREMENTS).write_text("".join(map(_pinned, sorted(wheels.iterdir()))), "utf-8")
    assert (folder / DOCKERFILE).is_file(), "it is part of the material"


def fetch_torch(wheels: Path, python: BasePython, lock: Path) -> None:
    """Fetch torch's CPU build where the index has it, else the one for CUDA with all that it needs.

    Args:
        wheels: Receives them.
        python: That they are for.
        lock: Versions of what torch has in common with other packages.

    Raises:
        SetupError: there is neither.
        TransientError: the index cannot be reached.
    """
    try:
        _download(wheels, python, ["--no-deps", f"torch=={TORCH}+cpu"])
    except SetupError as exc:
        if "Could not find a version" not in str(exc):
            raise
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:  # the lock's, but for its hashes
            constraints.writelines(f"{pin}\n" for pin in re.findall(r"^[A-Za-z0-9._-]+==\S+", lock.read_text(), re.M))
            constraints.flush()
            _download(wheels, python, ["--constraint", constraints.name, f"torch=={TORCH}"])


def _download(wheels: Path, python: BasePython, what: Sequence[str]) -> None:
    platforms = (word for platform in _PLATFORMS for word in ("--platform", platform))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:"]
    command += ["--dest", str(wheels), "--python-version", python.version, *platforms, *what]
    with tempfile.TemporaryDirectory(prefix="cloudcpt-pip-") as scratch:  # what an interrupted pip leaves goes with it
        settings = {**os.environ, "TMPDIR": scratch}
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", env=settings, check=False)
    if ended.returncode == 0:
        return
    complaints = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")] or [ended.stderr.strip()]
    if "No module named pip" in ended.stderr:
        raise SetupError(error("CPT793", "pip is not installed here, and it fetches what goes into the image"))
    if "No space left on device" in ended.stderr:
        hint = (
            f"it needs 1 GB below `{wheels.parent}`; `--context FOLDER` puts it elsewhere, and $TMPDIR what pip writes"
        )
        raise SetupError(error("CPT793", "the disk is full, so what goes into the image cannot be fetched", hint=hint))
    if re.search(r"connection|timed out|resolve|unreachable", ended.stderr, re.IGNORECASE):
        raise TransientError(error("CPT793", f"the package index cannot be reached: {complaints[0]}"))
    hint = f"the base image has Python {python.version}; every package needs a wheel for it"
    raise SetupError(error("CPT793", f"what goes into the image cannot be fetched: {complaints[0]}", hint=hint))


def _pinned(wheel: Path) -> str:
    name, version = wheel.name.split("-")[:2]
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
