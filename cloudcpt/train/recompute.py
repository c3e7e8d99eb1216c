"""Memory against time: a decoder layer keeps its input only and computes the rest again in the backward pass."""

from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


def recompute_activations(layer: nn.Module) -> None:
    """Keep only this layer's input between forward and backward pass, in place.

    Only `forward` is replaced, inside whatever hooks the layer has: sharding then gathers the layer's weights once for
    recomputing and backward together, and no parameter gets another name. Dropout draws the same numbers again,
    because `checkpoint` puts the random state back. transformers has a switch for this, under another name in every
    other release.
    """
    layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
