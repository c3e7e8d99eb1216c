"""The three dropouts of the Nova recipe, placed into a model that mostly knows none of them.

    embedding, hidden  ->  stream + (attention with probabilities dropped by `attention`, hidden)
                                  + (up, activation, ffn, down, hidden)  -> ...

`hidden` sits where NeMo's `hidden_dropout` sits: on the embedding and on every branch before it joins the stream.
Forward hooks place them, because a hook changes no parameter name: what is saved is still the base model's layout.
Hooks go in after LoRA, so that an adapter on the down projection sees the dropped input too.
"""

from typing import Any

import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel

from cloudcpt.plan.plan import Dropouts
from cloudcpt.train.architectures import architecture_of, decoder_layers


def place_dropouts(model: PreTrainedModel, dropouts: Dropouts) -> None:
    """Give every dropout of the recipe its place; whatever the base model came with is off.

    All of them follow `module.training`, so evaluation runs without.
    """
    parts = architecture_of(model.config)
    _switch_off(model)
    if dropouts.hidden:
        model.base_model.get_submodule(parts.embedding).register_forward_hook(_on_output(dropouts.hidden))
    for layer in decoder_layers(model):
        _drop_probabilities(layer.get_submodule(parts.attention), parts.attention_dropout, dropouts.attention)
        if dropouts.hidden:
            for branch in parts.branches:
                layer.get_submodule(branch).register_forward_hook(_on_output(dropouts.hidden))
        if dropouts.ffn:
            layer.get_submodule(parts.down).register_forward_pre_hook(_on_input(dropouts.ffn))


def _switch_off(model: nn.Module) -> None:
    """Set every dropout of the base model to 0: modules, and numbers that a forward reads, as BLOOM's do."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout):
            if "lora_dropout" not in name:
                module.p = 0.0
            continue
        for key, value in vars(module).items():
            if key.endswith("dropout") and isinstance(value, int | float):
                setattr(module, key, 0.0)


def _drop_probabilities(attention: nn.Module, name: str, probability: float) -> None:
    """Set the dropout that the module hands to our attention in training, and in training only."""
    place = getattr(attention, name)
    if isinstance(place, nn.Dropout):
        place.p = probability
    else:
        setattr(attention, name, probability)


def _on_output(probability: float) -> Any:  # Any: torch types a forward hook by a union of callables
    def hook(module: nn.Module, _inputs: object, output: Any) -> Any:
        if isinstance(output, tuple):  # attention returns its output and its weights
            return F.dropout(output[0], probability, module.training), *output[1:]
        return F.dropout(output, probability, module.training)

    return hook


def _on_input(probability: float) -> Any:  # Any: see above
    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return F.dropout(inputs[0], probability, module.training), *inputs[1:]

    return hook
