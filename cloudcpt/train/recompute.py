"""Memory against time: what a decoder layer keeps for the backward pass, and what it computes again.

    none        everything is kept
    budget      the compiler keeps half of what it would, and chooses which half is cheapest to compute again
    selective   the results of attention and of every other matrix product are kept, the rest is computed again
    full        the layer's input is kept, everything is computed again

The results are the same to the bit; only `budget` changes them, as any other compilation would. Dropout draws the same
numbers again, because `checkpoint` puts the random state back.
"""

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn
from torch._functorch import config as partitioner
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from cloudcpt.plan.activations import BUDGET, Activations

PRODUCTS = frozenset({"aten.mm", "aten.addmm", "aten._scaled_mm", "cloudcpt.multiply"})
"""Every operation that a linear map may be."""

ATTENTION = frozenset(
    {
        "aten._scaled_dot_product_cudnn_attention",
        "aten._scaled_dot_product_efficient_attention",
        "aten._scaled_dot_product_flash_attention",
        "aten._scaled_dot_product_flash_attention_for_cpu",
        "cloudcpt.attend",
        "torch_attn._varlen_attn",
    }
)
"""Every operation that the loop's attention may be."""


def keep_activations(layers: Iterable[nn.Module], activations: Activations) -> None:
    """Arrange what the layers keep between forward and backward pass, in place, before they are compiled.

    Only `forward` is replaced, inside whatever hooks a layer has: sharding then gathers the layer's weights once for
    recomputing and backward together, and no parameter gets another name. transformers has a switch for `full`, under
    another name in every other release.
    """
    partitioner.activation_memory_budget = BUDGET if activations == "budget" else 1.0
    for layer in layers:
        if activations == "full":
            layer.forward = _recomputed(layer.forward)
        elif activations == "selective":
            layer.forward = _recomputed(layer.forward, context_fn=_selective_contexts)


def _recomputed(forward: Callable[..., Any], **how: Any) -> Callable[..., Any]:
    def checkpointed(*args: Any, **kwargs: Any) -> Any:  # a function of its own: the compiler sees through no partial
        return checkpoint(forward, *args, use_reentrant=False, **how, **kwargs)

    return checkpointed


def _selective_contexts() -> Any:  # Any: torch leaves the pair of context managers untyped
    seen = {False: 0, True: 0}  # products so far, in the forward pass and when computing again

    def choose(context: Any, operation: Any, *_args: object, **_kwargs: object) -> CheckpointPolicy:
        name = str(operation.overloadpacket)
        if name in PRODUCTS:
            seen[context.is_recompute] += 1
            kept = seen[context.is_recompute] % 2 == 1
        else:
            kept = name in ATTENTION
        return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE

    return create_selective_checkpoint_contexts(choose)  # type: ignore[no-untyped-call]
