"""Compiled decoder layers: norms, rotations, gates and residuals become a few fused kernels.

Each layer is compiled by itself, whole or not at all (`fullgraph`), in place: its parameters keep their names, and
sharding can still gather and drop them around it. All layers of a kind share what was compiled for one of them. From
batch to batch nothing in a layer's inputs changes but numbers inside tensors, so training compiles once for the forward
and once for the backward pass, evaluation once more; `cloudcpt.train.attention` says how.
"""

import torch
from transformers import PreTrainedModel

from cloudcpt.train.architectures import decoder_layers
from cloudcpt.train.loss import CausalLoss


def compile_layers(model: PreTrainedModel) -> None:
    """Have every decoder layer compiled when it is first used.

    Call it after everything that changes what a layer computes (adapters, dropouts, recomputing), and before sharding.
    """
    for layer in decoder_layers(model):
        layer.compile(fullgraph=True)


def compile_losses(loss: CausalLoss) -> None:
    """Have what follows the logits compiled too, on a GPU: there its dozen passes over them become two.

    On a CPU they go over slices that stay in the cache, and there is nothing to win.
    """
    loss.judge = torch.compile(loss.judge, fullgraph=True)
