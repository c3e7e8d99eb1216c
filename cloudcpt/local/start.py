"""What runs a local job, whether this machine can run it, and how its supervisor is started."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cloudcpt
from cloudcpt.errors import SetupError, error
from cloudcpt.local.folder import JobFolder


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """What runs a job.

    Args:
        command: Called with `--root` and the job's `ml` folder.
        packages: Top-level modules that it imports; looked for before a job is started.
    """

    command: tuple[str, ...]
    packages: tuple[str, ...]


BUNDLED_TRAINER = Trainer(
    command=(sys.executable, "-m", "cloudcpt.train"),
    packages=("torch", "transformers", "peft", "safetensors", "tensorboard", "tokenizers"),
)
"""The project's own loop; its packages are those of the extra `[train]`."""


def is_installed(package: str) -> bool:
    """Tell whether a top-level module can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def refuse_missing_packages(trainer: Trainer, is_installed: Callable[[str], bool]) -> None:
    """Refuse to start what would end with an ImportError a moment later.

    Raises:
        SetupError: with every package that is missing.
    """
    missing = [package for package in trainer.packages if not is_installed(package)]
    if missing:
        message = f"this machine cannot train: {', '.join(f'`{package}`' for package in missing)} not installed"
        raise SetupError(error("CPT473", message, hint="`pip install 'cloudcpt[train]'`"))


def start_supervisor(folder: JobFolder, lock: int, grace_s: float) -> None:
    """Start the supervisor of a job and hand the claimed lock on to it.

    Args:
        folder: The job's.
        lock: Open file that holds the folder's lock; closed here, whatever happens.
        grace_s: Seconds from a stop to a kill.

    Raises:
        SetupError: the supervisor does not start.
    """
    try:
        with folder.log.open("ab") as log:
            # A session of its own: closing the terminal, or Ctrl-C in it, must not reach the job.
            started = subprocess.run(
                [sys.executable, "-m", "cloudcpt.local.supervise", str(folder.root), str(grace_s)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder.root,
                env=_environment(os.environ),
                start_new_session=True,
                pass_fds=(lock,),
                check=False,
            )
    finally:
        os.close(lock)
    if started.returncode != 0:
        message = f"the supervisor of job `{folder.root.name}` did not start"
        raise SetupError(error("CPT458", message, hint=f"its log says more: `{folder.log}`"))


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Let the supervisor and the trainer import the same cloudcpt as this process, and print lines at once."""
    package = str(Path(cloudcpt.__file__).resolve().parents[1])
    paths = [package, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    return {**environment, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "PYTHONUNBUFFERED": "1"}
