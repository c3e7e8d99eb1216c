"""The trained weights as a model has them that was never sharded: made whole one tensor at a time.

Every rank goes through the same tensors in the same order, because making one whole takes all ranks; only those that
write get to see it. A frozen weight and the adapters beside it come together, since they are exported as one tensor.
So a node never needs room for a second model, on the host or on a GPU.
"""

import re
from collections.abc import Container, Iterator
from itertools import groupby

import torch
from peft import PeftModel
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from cloudcpt.train.lora import adapter_weights, merged_weights

_INSIDE_ADAPTED = re.compile(r"\.(?:base_layer|lora_\w+)\..*")
"""What follows the name of a module that has adapters, in the names of its tensors."""


def whole_weights(
    model: PreTrainedModel, dtype: torch.dtype, *, left_out: Container[str], is_adapted: bool, keep: bool
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield every tensor of the model under its name in the base model, adapters merged in, on the CPU.

    All ranks must take all of it.

    Args:
        model: Sharded.
        dtype: Of the result.
        left_out: Names that no file has: those of tied weights, but for one each.
        is_adapted: There are adapters in it.
        keep: Yield the tensors; without, nothing is yielded, and this rank only takes part.
    """
    shards = {name: tensor for name, tensor in model.state_dict().items() if name not in left_out}
    for _, names in groupby(shards, key=lambda name: _INSIDE_ADAPTED.sub("", name)):
        # A plain tensor is cast before it travels: that halves the way, and gives the same bits.
        whole = {name: _whole(shards[name] if is_adapted else shards[name].to(dtype)) for name in names}
        if keep:
            merged = merged_weights(model, whole, dtype) if is_adapted else whole
            yield from ((name, tensor.cpu()) for name, tensor in merged.items())


def whole_adapter(model: PreTrainedModel, adapted: PeftModel, *, keep: bool) -> dict[str, torch.Tensor]:
    """Give the tensors of an adapter file, on the CPU; all ranks must take part.

    Args:
        model: Sharded.
        adapted: peft's view of it.
        keep: Collect the tensors; the others get an empty dict.
    """
    learnt = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    whole = {name: _whole(tensor) for name, tensor in model.state_dict().items() if name in learnt}
    return {name: tensor.cpu() for name, tensor in adapter_weights(adapted, whole).items()} if keep else {}


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
