"""The final model: gathered, written beside its place, sealed, and moved there only when it is whole.

    1 gather   every rank, tensor by tensor      whole on rank 0, cast to the dtype of the export
    2 write    rank 0, into scratch              weight file by weight file; config, tokenizer, card, provenance
    3 seal     wire.complete_model               manifest, then COMPLETE
    4 move     into the model folder             one rename, or file by file with COMPLETE last where it is a mount

The platform uploads whatever is in the model folder, also after a stop, so nothing is put there before step 4.
"""

import shutil
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion

from cloudcpt.plan.plan import Plan
from cloudcpt.train.gather import whole_adapter, whole_weights
from cloudcpt.train.lora import base_of_adapter
from cloudcpt.train.tensor_files import SHARD_BYTES, TensorFiles
from cloudcpt.wire import COMPLETE_FILE, METRICS_FILE, PLAN_FILE, PROVENANCE_DIR, MlFolder, complete_model

_FINISHED_DIR = "finished-model"
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
    folder = ml.scratch / _FINISHED_DIR
    write_model(
        folder,
        model,
        adapted,
        plan,
        ml,
        base=base,
        card=card,
        steps=plan.geometry.steps,
        tokens=tokens,
        is_main=is_main,
    )
    if is_main:
        put_in_place(folder, ml.model)


def write_model(
    folder: Path,
    model: PreTrainedModel,
    adapted: PeftModel | None,
    plan: Plan,
    ml: MlFolder,
    *,
    base: Path,
    card: str,
    steps: int,
    tokens: int,
    is_main: bool,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write a sealed model folder; every rank calls, rank 0 writes.

    Args:
        folder: Of the model; what is there already goes.
        model: Sharded.
        adapted: peft's view of it when it is trained with LoRA.
        plan: The executed plan.
        ml: Whose metrics.
        base: Folder of the base model.
        card: Text of README.md.
        steps: Optimizer steps trained.
        tokens: Tokens trained.
        is_main: Write, rather than only take part in the gathering.
        shard_bytes: Most bytes of one weight file.
    """
    if is_main:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    if adapted is None or (plan.lora and plan.lora.merge):
        _write_weights(folder, model, _dtype(plan), is_adapted=adapted is not None, keep=is_main, limit=shard_bytes)
    else:
        _write_adapter(folder, model, adapted, plan, keep=is_main)
    if is_main:
        _write_texts(folder, base, plan, ml, card)
        complete_model(folder, plan_hash=plan.hash, job_name=plan.job_name, steps=steps, tokens=tokens)


def _write_weights(
    folder: Path, model: PreTrainedModel, dtype: torch.dtype, *, is_adapted: bool, keep: bool, limit: int
) -> None:
    """Write config.json and safetensors as an empty model of the same class would.

    The trained one has shards, hooks and perhaps adapters; the empty one has nothing that could leak into the files.
    """
    empty = _empty_model(model, dtype)
    tied = empty.all_tied_weights_keys if empty.config.tie_word_embeddings else {}
    weights = whole_weights(model, dtype, left_out=tied, is_adapted=is_adapted, keep=keep)
    if not keep:
        for _ in weights:
            pass
        return
    empty.config.save_pretrained(folder)
    empty.generation_config.save_pretrained(folder)
    shapes = {name: shape for name, shape in empty.state_dict().items() if name not in tied}
    layout, stored_names = _stored(empty, shapes)
    files = TensorFiles(folder, layout, shard_bytes=limit)
    for name, tensor in weights:
        files.add(stored_names[name], tensor)
    files.finish()


def _stored(empty: PreTrainedModel, shapes: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Give the tensors of the files by their names there, and the name there of each name in memory.

    Some classes are stored under older names, GPT-NeoX for one. None of those that we train is stored in other tensors,
    which would have to be there together to be converted.
    """
    layout = revert_weight_conversion(empty, dict(shapes))
    names = {id(shape): name for name, shape in layout.items()}
    assert names.keys() == {id(one) for one in shapes.values()}, f"`{empty.config.model_type}` is stored converted"
    return layout, {name: names[id(shape)] for name, shape in shapes.items()}


def _empty_model(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """Make a model of the same class on the meta device, with the config that belongs into the files."""
    config = type(model.config).from_dict(model.config.to_dict())
    with torch.device("meta"):
        made = AutoModelForCausalLM.from_config(config, dtype=dtype)  # type: ignore[no-untyped-call]
    assert isinstance(made, PreTrainedModel), f"AutoModelForCausalLM made a {type(made).__name__}"
    made.config.dtype = str(dtype).removeprefix("torch.")
    made.config.architectures = [type(made).__name__]
    return made


def _write_adapter(folder: Path, model: PreTrainedModel, adapted: PeftModel, plan: Plan, *, keep: bool) -> None:
    weights = whole_adapter(model, adapted, keep=keep)
    if not keep:
        return
    config = adapted.peft_config["default"]
    config.base_model_name_or_path, config.revision = base_of_adapter(plan)
    config.inference_mode = True
    config.save_pretrained(str(folder))
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})


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
