"""The base model: found, read whole, refused when it is anything less than what the plan names.

Weights are read on the CPU in the dtype in which they are stored, on every rank; `cloudcpt.train.shard` then keeps this
rank's part and makes the float32 masters.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from cloudcpt.errors import Blame
from cloudcpt.plan.plan import Plan
from cloudcpt.train.architectures import architecture_of
from cloudcpt.train.attention import IMPLEMENTATION
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.rows import Rows
from cloudcpt.wire import MODEL_CHANNEL, Failure, MlFolder

_STAND_IN_DIR = "stand-in"
_GATHERED_DIR = "base"

_UNREADABLE = (OSError, ValueError, TypeError, RuntimeError, KeyError, SafetensorError, StrictDataclassError)
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


def load_model(folder: Path) -> PreTrainedModel:
    """Read a causal language model from safetensors, with attention that keeps documents apart.

    Raises:
        TrainingFailure: not readable, not of a supported class, or with weights missing or left over.
    """
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        architecture_of(config)
        # `auto` believes this field before it looks at the weights, and float32 weights would lose half their digits.
        config.dtype = None
        loaded: Any = AutoModelForCausalLM.from_pretrained(  # Any: declared as a model, a pair with this argument
            folder,
            config=config,
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
    # Two different embeddings stay two whatever config.json says, and the export goes by what it says.
    first, last = model.get_input_embeddings(), model.get_output_embeddings()  # type: ignore[no-untyped-call]
    model.config.tie_word_embeddings = last.weight is first.weight
    return model


def refuse_unknown_tokens(model: PreTrainedModel, rows: Mapping[str, Rows]) -> None:
    """Check that every token of the data has a row in the embedding; a GPU would only say "device-side assert".

    A tokenizer may name more tokens than the model has, as long as no text turns into one.

    Raises:
        TrainingFailure: tokenizer and weights do not belong together.
    """
    embedding: Any = model.get_input_embeddings()  # Any: modules are not typed by their attributes
    known: int = embedding.num_embeddings
    highest = max((int(source.tokens.max(initial=0)) for source in rows.values()), default=0)
    if highest >= known:
        message = f"the tokenizer makes token {highest} of the data, the model knows tokens 0 to {known - 1}"
        hint = "take tokenizer and weights from the same model"
        raise TrainingFailure(Failure(code="CPT603", blame=Blame.USER, message=message, hint=hint))


def _unreadable(message: str) -> TrainingFailure:
    hint = "the folder needs config.json, tokenizer.json and complete *.safetensors of one causal language model"
    return TrainingFailure(Failure(code="CPT600", blame=Blame.USER, message=message, hint=hint))
