"""What target `container` needs before a job starts: an engine, an image, and plain words about what it proves."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from cloudcpt.cli import render
from cloudcpt.cli.image_options import own_image
from cloudcpt.local.containers import find_engine
from cloudcpt.local.dry_run import Limits
from cloudcpt.local.start import Trainer

if TYPE_CHECKING:
    from cloudcpt.plan.plan import Plan
    from cloudcpt.recipe.extras import Container

_NOT_PROVEN = "NCCL, EFA, and the memory of the GPUs of the cloud"


def container_trainer(wanted: "Container", plan: "Plan") -> Trainer:
    """Find the engine and the image, and give what runs the job with them.

    The image is named by its ID from here on: what was looked at is what runs, whatever becomes of its tag.

    Raises:
        SetupError: there is no engine that answers, or no such image.
    """
    engine = find_engine(wanted.engine)
    image = wanted.image or own_image("gpu" if plan.world.device == "cuda" else "cpu")
    limits = Limits(
        memory=_gigabytes(wanted.memory_gb),
        cpus=wanted.cpus,
        pids=wanted.pids,
        shm=_gigabytes(wanted.shm_gb),
        tmp=_gigabytes(wanted.tmp_gb),
    )
    command = [sys.executable, "-m", "cloudcpt.local.dry_run", "--program", engine.program]
    command += ["--image", engine.image_id(image), "--limits", json.dumps(asdict(limits))]
    render.err().print(
        f"dry run of `{image}` in {engine.program} {engine.version}, without network; not proven by it: {_NOT_PROVEN}"
    )
    return Trainer(command=tuple(command), packages=())


def _gigabytes(number: float) -> str:
    return f"{int(number * 10**9)}" if number else ""
