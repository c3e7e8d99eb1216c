"""The final model: gathered, written beside its place, sealed, and moved there only when it is whole.

    1 gather   every rank, tensor by tensor      full weights on rank 0, cast to the dtype of the export
    2 write    rank 0, into scratch              weights, config, tokenizer, model card, provenance
    3 seal     wire.complete_model               manifest, then COMPLETE
    4 move     into the model folder             one rename, or file by file with COMPLETE last where it is a mount

The platform uploads whatever is in the model folder, also after a stop, so nothing is put there before step 4.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from cloudcpt.errors import Blame
from cloudcpt.plan.plan import Plan
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.lora import adapter_weights, merged_weights
from cloudcpt.wire import COMPLETE_FILE, METRICS_FILE, PLAN_FILE, PROVENANCE_DIR, Failure, MlFolder, complete_model

_FINISHED_DIR = "finished-model"
_SHARD_SIZE = "5GB"
_TEXTS_BYTES = 64 * 2**20
"""Room for tokenizer, card and metrics beside the weights."""

_COPIED = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "*.model",
    "chat_template*",
    "generation_config.json",
    "LICENSE*",
    "NOTICE*",
    "USE_POLICY*",
)
"""Files of the base model that belong to the new one unchanged."""


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
    needed = parameters * _dtype(plan).itemsize + _TEXTS_BYTES
    ml.scratch.mkdir(parents=True, exist_ok=True)
    if (free := shutil.disk_usage(ml.scratch).free) < needed:
        message = f"the final model needs {needed / 1e9:.1f} GB, `{ml.scratch}` has {free / 1e9:.1f} GB"
        raise _failure("CPT611", message, "give the job a larger volume")


def gather_weights(model: PreTrainedModel, dtype: torch.dtype | None, *, keep: bool) -> dict[str, torch.Tensor]:
    """Make every sharded tensor whole, one at a time; all ranks must take part.

    Args:
        model: Sharded.
        dtype: To cast to; None keeps each tensor's own.
        keep: Collect the tensors, on the CPU; false on the ranks that do not write.

    Returns:
        Full tensors by name; empty without `keep`.
    """
    weights = {}
    for name, tensor in model.state_dict().items():
        whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if keep:
            weights[name] = whole.to("cpu", dtype or whole.dtype)
    return weights


def export_model(
    model: PreTrainedModel,
    adapted: PeftModel | None,
    plan: Plan,
    ml: MlFolder,
    *,
    base: Path,
    card: str,
    tokens: int,
    is_main: bool,
) -> None:
    """Write the final model and put it in its place; every rank calls, rank 0 writes.

    Args:
        model: Sharded.
        adapted: peft's view of it when it was trained with LoRA.
        plan: The executed plan.
        ml: Whose model folder.
        base: Folder of the base model.
        card: Text of README.md.
        tokens: Tokens trained.
        is_main: Write, rather than only take part in the gathering.
    """
    dtype = _dtype(plan)
    weights = gather_weights(model, None if adapted else dtype, keep=is_main)
    if not is_main:
        return
    folder = ml.scratch / _FINISHED_DIR
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if adapted is None or (plan.lora and plan.lora.merge):
        whole = merged_weights(model, weights, dtype) if adapted else weights
        _write_model(folder, model, whole, dtype)
    else:
        _write_adapter(folder, adapted, weights, plan)
    _write_texts(folder, base, plan, ml, card)
    complete_model(folder, plan_hash=plan.hash, job_name=plan.job_name, steps=plan.geometry.steps, tokens=tokens)
    put_in_place(folder, ml.model)


def _write_model(folder: Path, model: PreTrainedModel, weights: Mapping[str, torch.Tensor], dtype: torch.dtype) -> None:
    """Write config.json and safetensors through an empty model of the same class.

    The trained one has shards, hooks and perhaps adapters; the empty one has nothing that could leak into the files.
    """
    config = type(model.config).from_dict(model.config.to_dict())
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(config, dtype=dtype)  # type: ignore[no-untyped-call]
    tied = empty.all_tied_weights_keys if config.tie_word_embeddings else {}
    kept = {name: tensor for name, tensor in weights.items() if name not in tied}
    empty.save_pretrained(folder, state_dict=kept, max_shard_size=_SHARD_SIZE)


def _write_adapter(folder: Path, adapted: PeftModel, weights: Mapping[str, torch.Tensor], plan: Plan) -> None:
    config = adapted.peft_config["default"]
    config.base_model_name_or_path = plan.model.name_or_path
    config.inference_mode = True
    config.save_pretrained(str(folder))
    save_file(adapter_weights(adapted, weights), folder / "adapter_model.safetensors", metadata={"format": "pt"})


def _write_texts(folder: Path, base: Path, plan: Plan, ml: MlFolder, card: str) -> None:
    for pattern in _COPIED:
        for path in base.glob(pattern):
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
    (folder / "README.md").write_text(card, "utf-8")
    provenance = folder / PROVENANCE_DIR
    provenance.mkdir()
    (provenance / PLAN_FILE).write_text(plan.to_json(), "utf-8")
    (provenance / "recipe.yaml").write_text(plan.recipe_text, "utf-8")
    shutil.copyfile(ml.metrics, provenance / METRICS_FILE)


def put_in_place(folder: Path, target: Path) -> None:
    """Move a sealed model folder to where it belongs.

    Args:
        folder: Complete; gone afterwards.
        target: Missing or empty; may be a mount, which can be filled but not replaced.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.rename(target)
    except OSError:
        target.mkdir(exist_ok=True)
        paths = [path for path in folder.iterdir() if path.name != COMPLETE_FILE]
        for path in (*paths, folder / COMPLETE_FILE):
            shutil.move(path, target / path.name)
        folder.rmdir()


def _dtype(plan: Plan) -> torch.dtype:
    dtype = getattr(torch, plan.model.dtype)
    assert isinstance(dtype, torch.dtype), f"`{plan.model.dtype}` is not a dtype"
    return dtype


def _failure(code: str, message: str, hint: str) -> TrainingFailure:
    return TrainingFailure(Failure(code=code, blame=Blame.USER, message=message, hint=hint))
