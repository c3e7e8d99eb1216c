"""What the backward pass needs from the forward pass, and how little of it a GPU can keep.

Between "everything is kept" and "each layer keeps its input" lie two compromises, in order of speed; the layer whose
backward pass runs is whole again in each of them. `cloudcpt.train.recompute` does what is counted here.
"""

from typing import Literal

from cloudcpt.plan.plan import Dropouts
from cloudcpt.plan.sizes import Sizes

Activations = Literal["none", "budget", "selective", "full"]

BY_SPEED: tuple[Activations, ...] = ("none", "budget", "selective", "full")
"""From the fastest to the leanest."""

IN_WORDS: dict[Activations, str] = {
    "none": "all kept",
    "budget": "half kept, as the compiler chooses",
    "selective": "attention and every other product kept",
    "full": "recomputed",
}

BUDGET = 0.5
"""Share of the activations that the compiler keeps; 1 is all, 0 the inputs alone. Source: torchtitan, OLMo-core."""


def activation_choices(wanted: Literal["auto"] | Activations, *, compiled: bool) -> tuple[Activations, ...]:
    """List what may be kept, fastest first; only a compiler can choose for itself.

    Args:
        wanted: `training_config.activation_checkpointing` of the recipe.
        compiled: Layers are compiled.
    """
    if wanted != "auto":
        return (wanted,)
    return tuple(activations for activations in BY_SPEED if compiled or activations != "budget")


def activation_bytes(
    sizes: Sizes, dropouts: Dropouts, activations: Activations, *, positions: int, compiled: bool
) -> int:
    """Count the activations of all layers, in bf16.

    Args:
        sizes: Of the model.
        dropouts: Each keeps a mask of one byte for each number.
        activations: What is kept.
        positions: Of a micro-batch.
        compiled: Layers are compiled, and keep less.

    Source: for `none` see `cloudcpt.plan.architectures`; the others follow from what `cloudcpt.train.recompute` keeps,
    and a test compares them with what real layers hold.
    """
    whole = sizes.saved_bytes_per_position(compiled=compiled) + _mask_bytes(sizes, dropouts)
    inputs = 2 * sizes.hidden_size
    kept: dict[Activations, float] = {
        "none": whole,
        "budget": BUDGET * whole + (1 - BUDGET) * inputs,
        "selective": inputs + 2 * sizes.query_size + 2 * sum(sizes.product_widths[::2]),
        "full": inputs,
    }
    at_work = 0 if activations == "none" else whole
    return positions * round(sizes.layers * kept[activations] + at_work)


def _mask_bytes(sizes: Sizes, dropouts: Dropouts) -> int:
    """Count the masks of one layer and position: on both branches, and inside the feed-forward block.

    Attention dropout keeps the state of the random numbers instead.
    """
    return 2 * sizes.hidden_size * bool(dropouts.hidden) + sizes.intermediate_size * bool(dropouts.ffn)
