"""The numbers that adapters start with, where they were made without storage: those that peft draws, in its order.

Every rank draws each adapter whole and keeps its rows, so the numbers do not depend on how many ranks there are.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import nn


def fresh_adapters(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Draw the adapters of a model, one after another.

    Args:
        model: With adapters in all their places; seed before.

    Yields:
        Name and numbers of each adapter's two matrices: A uniform as in `nn.Linear`, B zero.

    Source: `LoraLayer.update_layer` and `reset_lora_parameters` of peft 0.21: two linear layers draw their own numbers
    first, then A is drawn again and, like all of an adapter, rounded to the dtype of the base layer.
    """
    for place, module in model.named_modules():
        if not isinstance(module, LoraLayer):
            continue
        layer: Any = module  # Any: modules are not typed by their attributes
        for adapter, rank in layer.r.items():
            down = nn.Linear(layer.in_features, rank, bias=False).weight.detach()
            up = nn.Linear(rank, layer.out_features, bias=False).weight.detach()
            nn.init.kaiming_uniform_(down, a=math.sqrt(5))
            stored = layer.get_base_layer().weight.dtype
            # The codes of a quantised base layer are no numbers to round to.
            yield f"{place}.lora_A.{adapter}.weight", down.to(stored) if stored.is_floating_point else down
            yield f"{place}.lora_B.{adapter}.weight", up.zero_()
