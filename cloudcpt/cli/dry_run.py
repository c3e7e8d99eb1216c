"""What target `container` needs before a job starts: an engine, an image, and plain words about what it proves."""

import json
import sys
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from cloudcpt.cli.image_options import own_image
from cloudcpt.local.containers import find_engine
from cloudcpt.local.dry_run import Limits
from cloudcpt.local.start import Trainer

if TYPE_CHECKING:
    from cloudcpt.plan.plan import Plan
    from cloudcpt.recipe.extras import Container

_NOT_PROVEN = "not proven by it: NCCL, EFA, and the memory of the GPUs of the cloud"


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """A plan with the image that its containers run, and what runs them.

    Args:
        plan: Another image makes another plan, and so another job: what was rehearsed with one says nothing of another.
        trainer: In the place of the bundled one.
        shown: What it is and does not prove, for people.
    """

    plan: "Plan"
    trainer: Trainer
    shown: str


def rehearsal_of(plan: "Plan", wanted: "Container") -> Rehearsal:
    """Find the engine and the image of a plan for target `container`.

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
    image_id = engine.image_id(image)
    command += ["--image", image_id, "--limits", json.dumps(asdict(limits))]
    return Rehearsal(
        plan=replace(plan, world=replace(plan.world, image=image_id)),
        trainer=Trainer(command=tuple(command), packages=()),
        shown=f"dry run of `{image}` in {engine.program} {engine.version}, without network; {_NOT_PROVEN}",
    )


def _gigabytes(number: float) -> str:
    return f"{int(number * 10**9)}" if number else ""
