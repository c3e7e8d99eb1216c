"""The base model: found, opened, refused when it is anything less than what the plan names.

Opening makes a model whose parameters have no storage, and says where their numbers lie: each rank reads its own part
once the model is cut (`cloudcpt.train.weights`, `cloudcpt.train.shard`). What only transformers can read is read whole.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from cloudcpt.errors import Blame
from cloudcpt.plan.plan import Plan
from cloudcpt.plan.weight_formats import named_format
from cloudcpt.train.architectures import architecture_of
from cloudcpt.train.attention import IMPLEMENTATION
from cloudcpt.train.bloom import keep_documents_apart
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.rows import Rows, SourceRows
from cloudcpt.train.weights import StoredTensor, matched_weights, stored_tensors
from cloudcpt.wire import MODEL_CHANNEL, Failure, MlFolder

_STAND_IN_DIR = "stand-in"
_GATHERED_DIR = "base"

_UNREADABLE = (OSError, ValueError, TypeError, RuntimeError, LookupError, SafetensorError, StrictDataclassError)
"""What transformers raises for a folder that is not a model; the last one for a config.json that makes no sense."""


def model_folder(plan: Plan, ml: MlFolder) -> Path:
    """Say where the base model and its tokenizer are: the channel, or scratch for a stand-in and for gathered files."""
    if plan.model.stand_in:
        return ml.scratch / _STAND_IN_DIR
    return ml.scratch / _GATHERED_DIR if _is_scattered(plan) else ml.channel(MODEL_CHANNEL)


def gather_model(plan: Plan, ml: MlFolder) -> None:
    """Make one folder of a base model whose files lie under their hashes, by links; nothing to do for any other.

    For one process of each node, before the others look into `model_folder`. What an earlier attempt left is replaced.
    """
    if plan.model.stand_in or not _is_scattered(plan):
        return
    folder, channel = model_folder(plan, ml), ml.channel(MODEL_CHANNEL).absolute()
    shutil.rmtree(folder, ignore_errors=True)
    for file in plan.model.files:
        link = folder / file.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(channel / file.placed)


def _is_scattered(plan: Plan) -> bool:
    return any(file.placed != file.name for file in plan.model.files)


@dataclass(frozen=True, kw_only=True)
class OpenedModel:
    """A base model before it is cut into shards.

    Args:
        model: With attention that keeps documents apart.
        weights: Where the numbers of its parameters lie, by name; None when the model already has them.
    """

    model: PreTrainedModel
    weights: dict[str, StoredTensor] | None


def open_model(folder: Path) -> OpenedModel:
    """Make the model of a folder, without its numbers where they can be read in parts.

    Raises:
        TrainingFailure: not readable, not of a supported class, or with weights missing or left over.
    """
    _refuse_foreign(folder)
    try:
        config, stored = _config(folder), stored_tensors(folder)
        # Buffers follow the dtype of the model, as they do when transformers loads it.
        dtype = Counter(tensor.dtype for tensor in stored.values()).most_common(1)[0][0]
        with parameters_without_storage():
            model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=IMPLEMENTATION)  # type: ignore[no-untyped-call]
    except _UNREADABLE as exc:
        raise _unreadable(f"the base model cannot be read: {exc}") from exc
    weights = matched_weights(model, stored)
    if weights is None:  # an old layout, or a fault: transformers knows the one and names the other
        return OpenedModel(model=load_model(folder), weights=None)
    for name, parameter in model.named_parameters():
        parameter.data = parameter.data.to(weights[name].dtype)
    return OpenedModel(model=_made_ours(model), weights=weights)


def _refuse_foreign(folder: Path) -> None:
    """Refuse code and weights in other formats: who starts a job around the client has not been refused before."""
    if _has_code(folder / "config.json"):
        raise _unreadable("the base model needs code of its own (`auto_map` in config.json), which is never run")
    if any(folder.glob("*.safetensors")):
        return
    if (found := named_format(path.name for path in folder.iterdir())) is not None:
        raise _unreadable(f"the base model has its weights only {found.words}, which is not opened")


def _has_code(path: Path) -> bool:
    with suppress(OSError, ValueError):  # what is wrong with it will be said by who needs the rest
        config = json.loads(path.read_text("utf-8"))
        return isinstance(config, dict) and bool(config.get("auto_map"))
    return False


@contextmanager
def parameters_without_storage() -> Iterator[None]:
    """Make every parameter that a module registers a shape without numbers; buffers are computed as always.

    On the meta device buffers would have no numbers either, and tables such as those of the rotary embedding are in no
    file. No random number is drawn for a parameter made here.
    """

    def drop(_module: nn.Module, _name: str, parameter: nn.Parameter | None) -> nn.Parameter | None:
        if parameter is None or parameter.is_meta:
            return None  # nothing to replace
        return nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)

    handle = register_module_parameter_registration_hook(drop)  # type: ignore[arg-type]  # it may return a parameter
    try:
        yield
    finally:
        handle.remove()


def load_model(folder: Path) -> PreTrainedModel:
    """Read a causal language model whole, through transformers, in the dtype in which it is stored.

    Raises:
        TrainingFailure: not readable, not of a supported class, or with weights missing or left over.
    """
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(  # Any: declared as a model, a pair with this argument
            folder,
            config=_config(folder),
            dtype="auto",
            attn_implementation=IMPLEMENTATION,
            use_safetensors=True,
            output_loading_info=True,
            local_files_only=True,
            trust_remote_code=False,
        )
    except _UNREADABLE as exc:
        raise _unreadable(f"the base model cannot be read: {exc}") from exc
    model, report = loaded
    # transformers fills what is missing with random numbers, drops what it has no place for, and only logs both.
    if missing := sorted(report["missing_keys"]):
        raise _unreadable(f"the base model lacks {len(missing)} of its weights, such as `{missing[0]}`")
    if foreign := sorted(report["unexpected_keys"]):
        raise _unreadable(f"config.json has no place for {len(foreign)} of the weights, such as `{foreign[0]}`")
    assert isinstance(model, PreTrainedModel), f"AutoModelForCausalLM made a {type(model).__name__}"
    return _made_ours(model)


def _config(folder: Path) -> PreTrainedConfig:
    config: PreTrainedConfig = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    architecture_of(config)
    # `auto` believes this field before it looks at the weights, and float32 weights would lose half their digits.
    config.dtype = None
    return config


def _made_ours(model: PreTrainedModel) -> PreTrainedModel:
    keep_documents_apart(model)
    # Two different embeddings stay two whatever config.json says, and the export goes by what it says.
    first, last = model.get_input_embeddings(), model.get_output_embeddings()  # type: ignore[no-untyped-call]
    model.config.tie_word_embeddings = last.weight is first.weight
    return model


def refuse_unknown_tokens(model: PreTrainedModel, rows: Mapping[str, SourceRows]) -> None:
    """Check that every token of the data has a row in the embedding; a GPU would only say "device-side assert".

    A tokenizer may name more tokens than the model has, as long as no text turns into one. Rows that are still in the
    making are checked when they are opened.

    Raises:
        TrainingFailure: tokenizer and weights do not belong together.
    """
    embedding: Any = model.get_input_embeddings()  # Any: modules are not typed by their attributes
    known: int = embedding.num_embeddings
    for source in rows.values():
        source.inspect(partial(_refuse_above, known))


def _refuse_above(known: int, rows: Rows) -> None:
    highest = int(rows.tokens.max(initial=0))
    if highest >= known:
        message = f"the tokenizer makes token {highest} of the data, the model knows tokens 0 to {known - 1}"
        hint = "take tokenizer and weights from the same model"
        raise TrainingFailure(Failure(code="CPT603", blame=Blame.USER, message=message, hint=hint))


def _unreadable(message: str) -> TrainingFailure:
    hint = "the folder needs config.json, tokenizer.json and complete *.safetensors of one causal language model"
    return TrainingFailure(Failure(code="CPT600", blame=Blame.USER, message=message, hint=hint))
