"""Low-rank adapters: put into the model by peft, taken out again as an adapter or as merged weights.

peft changes the model in place: a target `q_proj` becomes `q_proj.base_layer` beside `q_proj.lora_A` and
`q_proj.lora_B`. Adapters are float32; the frozen base stays as it is stored, or is held in few bits
(`cloudcpt.train.quantise`).

With `embedding_lr` the input and the output embedding learn too, as whole float32 weights; where they are tied, they
are one weight. Their learning rate is at every step that of the schedule times embedding_lr / lr: the same shape, with
the peak at embedding_lr, and peak and floor as far apart as in the schedule. peft is not told of them: its own way
would hold a second copy of each and untie them. An adapter file names them as peft's `save_embedding_layers` does, so
that peft puts them into the base model when it loads the adapter.
"""

import warnings
from collections.abc import Mapping

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from cloudcpt.errors import Blame
from cloudcpt.plan.plan import Lora, Plan
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.quantise import QuantisedLinear
from cloudcpt.wire import Failure

_ADAPTER = "default"


def add_lora(model: PreTrainedModel, lora: Lora) -> PeftModel:
    """Freeze the model and put trainable adapters beside the target modules, in place.

    Returns:
        peft's view of the same model, for export.

    Raises:
        TrainingFailure: no module has a target's name, or one that has is not a linear map, or is an output embedding
            that learns as a whole or shares its weight with the input embedding.
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
            warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False")  # and peft then sets it to True
            adapted = get_peft_model(model, config)
    except ValueError as exc:
        raise _refusal(f"no module of the base model is called {_quoted(lora.target_modules)}") from exc
    for name, layer in _lora_layers(model):
        _refuse_target(model, name, layer, lora)
    if lora.embedding_lr:
        for parameter in _embeddings(model):
            parameter.requires_grad = True
    return adapted


def relative_rates(model: PreTrainedModel, plan: Plan) -> dict[nn.Parameter, float]:
    """Say which parameters do not learn at the rate of the schedule, and at what multiple of it they do."""
    if plan.lora is None or not plan.lora.embedding_lr:
        return {}
    return dict.fromkeys(_embeddings(model), plan.lora.embedding_lr / plan.schedule.lr)


def adapter_weights(adapted: PeftModel, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Pick out of the whole model's weights what learnt, under the names of an adapter file."""
    whole = {f"base_model.model.{name}": tensor for name, tensor in weights.items()}
    learnt = {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    adapters = get_peft_model_state_dict(adapted, state_dict=whole, save_embedding_layers=False)
    return {**adapters, **{name: whole[name] for name in learnt if ".lora_" not in name}}


def base_of_adapter(plan: Plan) -> tuple[str, str | None]:
    """Name the base model, and its commit where it has one, so that peft finds it by the adapter alone.

    Only what was staged from the Hugging Face hub has a name that peft can find; anything else is called what the
    recipe calls it.
    """
    origin = plan.model.origin
    if origin is None or origin.source != "hub":
        return plan.model.name_or_path, None
    return origin.repo, origin.revision or None


def merged_weights(
    model: PreTrainedModel, weights: Mapping[str, torch.Tensor], dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """Add each adapter to its base weight, in float32, and name the result as the base model does.

    Args:
        model: The model with adapters; gives names and scales, not weights.
        weights: Full tensors by the names of `model`; an adapted weight comes with its adapters.
        dtype: Of the result.
    """
    layers, modules = dict(_lora_layers(model)), dict(model.named_modules())
    merged = {}
    for name, stored in weights.items():
        if ".lora_" in name:
            continue
        module_name, _, leaf = name.rpartition(".")
        module, tensor = modules[module_name], stored
        if isinstance(module, QuantisedLinear) and leaf == "weight":
            tensor = module.whole(stored)
        owner = module_name.removesuffix(".base_layer")
        if owner in layers and leaf == "weight":
            up, down = (weights[f"{owner}.lora_{side}.{_ADAPTER}.weight"] for side in ("B", "A"))
            change = layers[owner].scaling[_ADAPTER] * (up.float() @ down.float())
            tensor = tensor.float() + (change.T if isinstance(module, Conv1D) else change)
        merged[name.replace(".base_layer.", ".")] = tensor.to(dtype)
    return merged


def _refuse_target(model: PreTrainedModel, name: str, layer: LoraLayer, lora: Lora) -> None:
    if not isinstance(layer.get_base_layer(), (nn.Linear, Conv1D)):
        raise _refusal(f"`{name}` is not a linear map and takes no adapter")
    if layer is not model.get_output_embeddings():  # type: ignore[no-untyped-call]
        return
    # A merged file holds a tied weight once, for both ends of the model: the adapter of one end has no place in it.
    if model.config.tie_word_embeddings:
        raise _refusal(f"`{name}` shares its weight with the input embedding and takes no adapter of its own")
    if lora.embedding_lr:
        raise _refusal(f"`{name}` learns as a whole, by `embedding_lr`, and takes no adapter beside")


def _embeddings(model: PreTrainedModel) -> list[nn.Parameter]:
    """Find the weights of the input and the output embedding, one where they are tied."""
    first, last = model.get_input_embeddings(), model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return list(dict.fromkeys((first.weight, last.weight)))


def _lora_layers(model: nn.Module) -> list[tuple[str, LoraLayer]]:
    return [(name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer)]


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _refusal(message: str) -> TrainingFailure:
    hint = "name linear modules of the base model in `peft.target_modules`, or use `all-linear`"
    return TrainingFailure(Failure(code="CPT607", blame=Blame.USER, message=message, hint=hint))
