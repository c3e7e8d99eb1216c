"""What this machine has for running jobs: Python, packages, extras, containers, GPUs, room."""

import importlib.metadata
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path

from cloudcpt.errors import SetupError
from cloudcpt.jobs.checks import Check, passed
from cloudcpt.local.containers import find_engine
from cloudcpt.plan.instances import Machine

PACKAGES = ("boto3", "botocore", "awscrt", "blake3", "click", "jsonschema", "pydantic", "rich", "ruamel.yaml")

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "train": ("torch", "transformers", "peft", "safetensors", "tensorboard", "tokenizers"),
    "sagemaker": ("sagemaker",),
    "fake": ("moto",),
}
"""By extra of `pip install 'cloudcpt[...]'`: the packages that it brings."""


def check_equipment(machine: Machine, state: Path) -> tuple[Check, ...]:
    """Look at this machine; nothing that is missing here stops a job elsewhere, so nothing fails.

    Args:
        machine: Its processors.
        state: Folder of the local jobs, which may not be there yet.
    """
    return (
        passed("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        passed("packages", ", ".join(f"{name} {version_of(name) or 'missing'}" for name in PACKAGES)),
        *(_extra(name, packages) for name, packages in EXTRAS.items()),
        _engines(),
        _gpus(machine),
        _room(state),
    )


def version_of(package: str) -> str:
    """Give the version of an installed package without importing it; empty when it is not there."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _extra(name: str, packages: tuple[str, ...]) -> Check:
    versions = {package: version_of(package) for package in packages}
    absent = [package for package, version in versions.items() if not version]
    if absent:
        words = f"not installed: {', '.join(absent)}; `pip install 'cloudcpt[{name}]'`"
    else:
        words = ", ".join(f"{package} {version}" for package, version in versions.items())
    return passed(f"extra [{name}]", words)


def _engines() -> Check:
    try:
        engine = find_engine()
    except SetupError as exc:
        return passed("containers", f"{exc.diagnostics[0].message}; only target `container` needs one")
    return passed("containers", f"{engine.program} {engine.version}{', rootless' if engine.is_rootless else ''}")


def _gpus(machine: Machine) -> Check:
    if not machine.gpus:
        return passed("GPUs", f"none here; jobs on this machine train on {machine.cpus} CPU cores")
    memory = f"{machine.gpu_memory_bytes / 2**30:.0f} GiB"
    return passed("GPUs", f"{machine.gpus} x {machine.gpu_name}, {memory} each, {machine.cpus} CPU cores")


def _room(state: Path) -> Check:
    there = next(folder for folder in (state, *state.parents) if folder.exists())
    return passed("state folder", f"{state}, {shutil.disk_usage(there).free / 2**30:,.1f} GiB free")
