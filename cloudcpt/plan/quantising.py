"""Frozen weights in 4 or 8 bits: where they may be.

`cloudcpt.train.quantise` holds them. It does so on CPUs as well, which is how a rehearsal runs a recipe for GPUs.
"""

from collections.abc import Iterator

from cloudcpt.errors import Diagnostic, error
from cloudcpt.plan.site import Site
from cloudcpt.plan.starting_model import StartingModel
from cloudcpt.recipe.load import LoadedRecipe

_TRANSPOSED = frozenset({"gpt2"})
"""Types of model whose maps are no `nn.Linear`."""


def quantising_faults(loaded: LoadedRecipe, site: Site, model: StartingModel) -> Iterator[Diagnostic]:
    """Refuse `bits` where it cannot be or has no use; a stand-in may have it anywhere."""
    bits = loaded.recipe.training_config.peft.bits
    if bits is None or model.spec.stand_in:
        return
    place = loaded.place("training_config", "peft", "bits")
    hint = "leave `bits` out; the frozen weights are then held as they are stored"
    if site.world.device == "cpu":
        yield error("CPT517", f"`bits: {bits}` is for GPUs, and this job computes on the CPU", place=place, hint=hint)
    elif model.spec.architecture in _TRANSPOSED:
        message = f"`bits: {bits}` cannot hold the weights of a model of type `{model.spec.architecture}`"
        yield error("CPT517", message, place=place, hint=hint)
