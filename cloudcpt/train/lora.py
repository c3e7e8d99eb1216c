"""Low-rank adapters: put into the model by peft, taken out again as an adapter or as merged weights.

peft changes the model in place: a target `q_proj` becomes `q_proj.base_layer` beside `q_proj.lora_A` and
`q_proj.lora_B`. Adapters are float32, the frozen base stays as it is stored.
"""

import warnings
from collections.abc import Mapping

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import PreTrainedModel

from cloudcpt.errors import Blame
from cloudcpt.plan.plan import Lora
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.wire import Failure

_ADAPTER = "default"


def add_lora(model: PreTrainedModel, lora: Lora) -> PeftModel:
    """Freeze the model and put trainable adapters beside the target modules, in place.

    Returns:
        peft's view of the same model, for export.

    Raises:
        TrainingFailure: no module has a target's name, or one that has is not a linear map, or is one that shares its
            weight with the input embedding.
    """
    everything = lora.target_modules == ("all-linear",)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # peft declares int and computes alpha / r
        lora_dropout=lora.dropout,
        target_modules="all-linear" if everything else list(lora.target_modules),
        use_rslora=lora.rslora,
        bias="none",
    )
    try:
        with warnings.catch_warnings():
            # peft 0.21 asks transformers 5.23 by a name that is on its way out; nothing a user could do about it.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
            warnings.filterwarnings("ignore", message=".*a tied layer is part of the adapter")  # refused below
            adapted = get_peft_model(model, config)
    except ValueError as exc:
        raise _refusal(f"no module of the base model is called {_quoted(lora.target_modules)}") from exc
    for name, layer in _lora_layers(model):
        if not isinstance(layer.get_base_layer(), nn.Linear):
            raise _refusal(f"`{name}` is not a linear map and takes no adapter")
        # A merged file holds a tied weight once, for both ends of the model: the adapter of one end has no place in it.
        if model.config.tie_word_embeddings and layer is model.get_output_embeddings():  # type: ignore[no-untyped-call]
            raise _refusal(f"`{name}` shares its weight with the input embedding and takes no adapter of its own")
    return adapted


def adapter_weights(adapted: PeftModel, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Pick the adapter out of the whole model's weights, under the names of an adapter file."""
    whole = {f"base_model.model.{name}": tensor for name, tensor in weights.items()}
    return dict(get_peft_model_state_dict(adapted, state_dict=whole, save_embedding_layers=False))


def merged_weights(
    model: PreTrainedModel, weights: Mapping[str, torch.Tensor], dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """Add each adapter to its base weight, in float32, and name the result as the base model does.

    Args:
        model: The model with adapters; gives names and scales, not weights.
        weights: Full tensors by the names of `model`.
        dtype: Of the result.
    """
    scales = {name: layer.scaling[_ADAPTER] for name, layer in _lora_layers(model)}
    merged = {}
    for name, tensor in weights.items():
        if ".lora_" in name:
            continue
        owner, _, leaf = name.rpartition(".base_layer.")
        if owner and leaf == "weight":
            up, down = (weights[f"{owner}.lora_{side}.{_ADAPTER}.weight"] for side in ("B", "A"))
            tensor = tensor.float() + scales[owner] * (up.float() @ down.float())
        merged[name.replace(".base_layer.", ".")] = tensor.to(dtype)
    return merged


def _lora_layers(model: nn.Module) -> list[tuple[str, LoraLayer]]:
    return [(name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer)]


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _refusal(message: str) -> TrainingFailure:
    hint = "name linear modules of the base model in `peft.target_modules`, or use `all-linear`"
    return TrainingFailure(Failure(code="CPT607", blame=Blame.USER, message=message, hint=hint))
