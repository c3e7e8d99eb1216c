"""What a job keeps beside its final model, by name: whole models of earlier steps, and a state to go on from.

    checkpoints/
      step-00000500/             a whole model: its files, manifest.json, COMPLETE last
      .recovery/step-00000520/   files of every rank, state.json with the hash of each, COMPLETE last

Digits are filled up so that names sort as steps do. `COMPLETE` holds the SHA-256 of the file that lists the others; a
folder without it was never finished, and counts as not there.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from cloudcpt.wire.layout import COMPLETE_FILE, MlFolder

CHECKPOINTS_DIR = "checkpoints"
"""Below what a job in the cloud writes: where the service keeps a copy of the checkpoint folder."""

CHECKPOINT_EVENT = "checkpoint"
"""Name of the event of `metrics.jsonl` that tells of a kept model."""

RECOVERY_DIR = ".recovery"
STATE_FILE = "state.json"

_STEP = re.compile(r"step-(\d{8,})")


def step_name(step: int) -> str:
    """Name what is kept of a step, counted in completed optimizer steps."""
    return f"step-{step:08d}"


def step_of(name: str) -> int | None:
    """Read the step out of a name; None when it is another name."""
    match = _STEP.fullmatch(name)
    return int(match[1]) if match and step_name(int(match[1])) == name else None


def checkpoint_folder(ml: MlFolder, step: int) -> Path:
    """Give the folder of a whole model of a step, whether or not there is one."""
    return ml.checkpoints / step_name(step)


def recovery_folder(ml: MlFolder, step: int) -> Path:
    """Give the folder of the state after a step, whether or not there is one."""
    return ml.checkpoints / RECOVERY_DIR / step_name(step)


def checkpoint_steps(ml: MlFolder) -> tuple[int, ...]:
    """List the steps of which there is a whole model, first to last."""
    return _finished(ml.checkpoints)


def recovery_steps(ml: MlFolder) -> tuple[int, ...]:
    """List the steps after which the job can go on, first to last."""
    return _finished(ml.checkpoints / RECOVERY_DIR)


def finished_steps(names: Iterable[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Do the same with the names of all files of a checkpoint folder, where the folder itself is out of reach.

    Args:
        names: Relative to the folder, with `/`.

    Returns:
        What `checkpoint_steps` and `recovery_steps` would give.
    """
    kept, states = set[int](), set[int]()
    for name in names:
        above, _, last = name.rpartition("/")
        found = states if above.startswith(f"{RECOVERY_DIR}/") else kept
        if last == COMPLETE_FILE and (step := step_of(above.removeprefix(f"{RECOVERY_DIR}/"))) is not None:
            found.add(step)
    return tuple(sorted(kept)), tuple(sorted(states))


def _finished(folder: Path) -> tuple[int, ...]:
    steps = (step_of(path.parent.name) for path in folder.glob(f"*/{COMPLETE_FILE}"))
    return tuple(sorted(step for step in steps if step is not None))
