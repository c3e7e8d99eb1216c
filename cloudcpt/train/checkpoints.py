"""Whole models of earlier steps, in the layout of the final one; none unless the recipe asks for them.

    checkpoints/step-00000500/     config, tokenizer, weights, card, provenance, manifest.json, COMPLETE

Each is written in scratch, sealed, and moved into place only then: a folder under its final name is whole, or a move
was cut off and it has no `COMPLETE`. What an interrupted attempt of the same plan has left stays until it is replaced.
"""

import json
import shutil
from pathlib import Path

from peft import PeftModel
from transformers import PreTrainedModel

from cloudcpt.plan.plan import Plan
from cloudcpt.train.card import checkpoint_card
from cloudcpt.train.export import put_in_place, write_model
from cloudcpt.train.progress import MetricsLog
from cloudcpt.train.world import World
from cloudcpt.wire import (
    CHECKPOINT_EVENT,
    MANIFEST_FILE,
    MlFolder,
    checkpoint_folder,
    checkpoint_steps,
    seal_faults,
    step_name,
)

_WRITTEN_DIR = "checkpoint"


def keep_checkpoint(
    model: PreTrainedModel,
    adapted: PeftModel | None,
    plan: Plan,
    ml: MlFolder,
    world: World,
    log: MetricsLog,
    *,
    base: Path,
    steps: int,
    tokens: int,
) -> None:
    """Write the model as it is now, unless this plan has written it before; every rank calls, rank 0 writes.

    Args:
        model: Sharded.
        adapted: peft's view of it when it is trained with LoRA.
        plan: The executed plan.
        ml: Whose checkpoint folder.
        world: All ranks.
        log: Says so.
        base: Folder of the base model.
        steps: Optimizer steps completed.
        tokens: Tokens trained.
    """
    target = checkpoint_folder(ml, steps)
    if world.any(world.is_main and _is_there(target, plan)):
        return
    folder = ml.scratch / _WRITTEN_DIR
    card = checkpoint_card(plan, base, steps=steps, tokens=tokens)
    write_model(
        folder, model, adapted, plan, ml, base=base, card=card, steps=steps, tokens=tokens, is_main=world.is_main
    )
    if world.is_main:
        shutil.rmtree(target, ignore_errors=True)  # of a move that was cut off
        put_in_place(folder, target)
        _forget_older(ml, steps, plan.checkpoints.keep_last)
    log.event(steps, CHECKPOINT_EVENT, f"{step_name(steps)} is kept")
    world.barrier()


def _is_there(folder: Path, plan: Plan) -> bool:
    if seal_faults(folder):
        return False
    made_by: str = json.loads((folder / MANIFEST_FILE).read_text("utf-8"))["plan_hash"]
    return made_by == plan.hash


def _forget_older(ml: MlFolder, steps: int, keep_last: int) -> None:
    """Keep so many of the models up to this step, all of them for 0."""
    reached = [step for step in checkpoint_steps(ml) if step <= steps]
    for step in reached[:-keep_last] if keep_last else ():
        shutil.rmtree(checkpoint_folder(ml, step), ignore_errors=True)
