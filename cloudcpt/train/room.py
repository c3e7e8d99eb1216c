"""Is there room for what the job will write? Asked before the first step, because the last one is too late.

The final model is written in scratch and moved; checkpoints and recovery states lie in a folder that may be on another
disk. What an interrupted attempt has left there is replaced or counted, so its room is not asked for again.
"""

import shutil
from pathlib import Path

import torch
from transformers import PreTrainedModel

from cloudcpt.errors import Blame
from cloudcpt.plan.kept import STATE_BYTES, most_checkpoints, most_states
from cloudcpt.plan.plan import Plan
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.quantise import count_parameters
from cloudcpt.wire import Failure, MlFolder

_TEXTS_BYTES = 64 * 2**20
"""Room for tokenizer, card and metrics beside the weights."""


def refuse_bad_target(plan: Plan, ml: MlFolder, parameters: int) -> None:
    """Check, before anything is trained, that the model can be put where it belongs.

    Args:
        plan: Names the dtype of the export.
        ml: Whose model folder.
        parameters: Of the whole model.

    Raises:
        TrainingFailure: something is in the model folder already, or the disk has no room.
    """
    # Files, not folders: a fresh volume has `lost+found`.
    if stale := next((path for path in ml.model.rglob("*") if path.is_file()), None):
        raise _failure("CPT610", f"`{stale}` is in the model folder already", "start the job in a fresh folder")
    needed = _model_bytes(plan, parameters)
    ml.scratch.mkdir(parents=True, exist_ok=True)
    if (free := shutil.disk_usage(ml.scratch).free) < needed:
        message = f"the final model needs {needed / 1e9:.1f} GB, `{ml.scratch}` has {free / 1e9:.1f} GB"
        raise _failure("CPT611", message, "give the job a larger volume")


def refuse_no_room(plan: Plan, ml: MlFolder, model: PreTrainedModel) -> None:
    """Check the same for all checkpoints and recovery states of this node, and the final model beside them.

    Args:
        plan: Says how many.
        ml: Whose checkpoint folder.
        model: With its adapters.

    Raises:
        TrainingFailure: the disk has no room.
    """
    parameters, learning = count_parameters(model)
    is_adapter = plan.lora is not None and not plan.lora.merge
    each = 4 * learning + _TEXTS_BYTES if is_adapter else _model_bytes(plan, parameters)
    on_this_node = min(plan.world.processes_per_node, plan.world.size)
    state = STATE_BYTES * learning * on_this_node // plan.compute.shard_processes
    models, states = most_checkpoints(plan.checkpoints, plan.geometry.steps), most_states(plan)
    if not (models or states):
        return
    ml.checkpoints.mkdir(parents=True, exist_ok=True)
    needed = models * each + states * state
    needed += each if ml.checkpoints.stat().st_dev == ml.scratch.stat().st_dev else 0
    room = shutil.disk_usage(ml.checkpoints).free + _size_of(ml.checkpoints)
    if room < needed:
        message = (
            f"{models} checkpoints and {states} recovery states need {needed / 1e9:.1f} GB with the final model, "
            f"`{ml.checkpoints}` has room for {room / 1e9:.1f} GB"
        )
        raise _failure("CPT664", message, "give the job a larger volume, or keep fewer checkpoints")


def _model_bytes(plan: Plan, parameters: int) -> int:
    dtype = getattr(torch, plan.model.dtype)
    assert isinstance(dtype, torch.dtype), f"`{plan.model.dtype}` is not a dtype"
    return parameters * dtype.itemsize + _TEXTS_BYTES


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _failure(code: str, message: str, hint: str) -> TrainingFailure:
    return TrainingFailure(Failure(code=code, blame=Blame.USER, message=message, hint=hint))
