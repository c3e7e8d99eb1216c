"""How the loop computes: compiled or not, in which precision, with the states divided over how many processes."""

from collections.abc import Iterator
from dataclasses import replace

from cloudcpt.errors import Diagnostic, error, note
from cloudcpt.plan.batching import arrange
from cloudcpt.plan.plan import Compute, Plan
from cloudcpt.plan.site import Site
from cloudcpt.plan.starting_model import StartingModel
from cloudcpt.recipe.load import LoadedRecipe

_FLOAT8_CHIPS = ("H100", "H200", "B200", "B300")

_MULTIPLE = 16
"""What their tensor cores ask of every side of a product, and the positions of a batch are one."""


def compute_faults(loaded: LoadedRecipe, site: Site, *, stand_in: bool) -> Iterator[Diagnostic]:
    """Say what the recipe asks for that these machines, or its other keys, make impossible.

    Args:
        loaded: The recipe.
        site: Where it runs; what a GPU at hand can do, only the trainer knows.
        stand_in: A rehearsal, in which `float8` is left out.
    """
    config, compiles = loaded.recipe.training_config, _compiles(loaded, site)
    if config.activation_checkpointing == "budget" and not compiles:
        yield error(
            "CPT591",
            "`activation_checkpointing: budget` leaves the choice to the compiler, and nothing is compiled",
            place=loaded.place("training_config", "activation_checkpointing"),
            hint="set `compile: on`, or choose `selective`",
        )
    if config.float8 == "none" or stand_in:
        return
    reason = ""
    if config.peft.method == "lora":
        reason = "trains whole matrices, and with `method: lora` they are frozen"
    elif site.world.device == "cpu":
        reason = "needs a GPU"
    elif site.instance is not None and site.instance.gpu not in _FLOAT8_CHIPS:
        reason = f"needs {', '.join(_FLOAT8_CHIPS[:-1])} or {_FLOAT8_CHIPS[-1]}, not {site.instance.gpu}"
    elif not compiles:
        reason = "gains nothing without compiled layers"
    elif config.max_length % _MULTIPLE:
        reason = f"needs a `max_length` that is a multiple of {_MULTIPLE}"
    if reason:
        place = loaded.place("training_config", "float8")
        yield error("CPT590", f"`float8: {config.float8}` {reason}", place=place, hint="leave `float8` out")


def choose_compute(loaded: LoadedRecipe, site: Site, model: StartingModel, global_batch_rows: int) -> Compute:
    """Read how to compute, and choose where the recipe leaves it open.

    Replicas on each machine save most of the traffic between machines; dividing over all of them saves memory. So
    there are replicas where each GPU can keep as many rows and activations with them as without.

    Args:
        loaded: The recipe.
        site: Where it runs.
        model: What to train.
        global_batch_rows: Rows of a step over all processes.
    """
    config, world = loaded.recipe.training_config, site.world
    over_all = Compute(
        compile=_compiles(loaded, site),
        float8="none" if model.spec.stand_in else config.float8,
        shard_processes=world.size,
    )
    within = replace(over_all, shard_processes=world.processes_per_node)
    if config.sharding == "hybrid":
        return within
    if config.sharding == "full" or world.nodes == 1 or world.device == "cpu" or model.sizes is None:
        return over_all
    best, same = (arrange(loaded, site, model, global_batch_rows, compute) for compute in (over_all, within))
    fits_as_well = same.fits and same.memory.activations == best.memory.activations
    return within if fits_as_well and same.micro_batch_rows == best.micro_batch_rows else over_all


def compute_advice(loaded: LoadedRecipe, plan: Plan) -> Iterator[Diagnostic]:
    """Say what was chosen, where there was a choice."""
    config, world, place = loaded.recipe.training_config, plan.world, loaded.place("training_config", "sharding")
    if plan.memory.capacity_bytes and world.nodes > 1 and config.sharding == "auto":
        if plan.compute.shard_processes < world.size:
            message = f"each machine holds a replica of the states, divided over its {world.processes_per_node} GPUs"
            reason = "they fit, and little travels between machines"
        else:
            message = f"the states are divided over all {world.size} GPUs"
            reason = "a replica on each machine would leave less memory for rows or activations"
        yield note("CPT592", f"{message}: {reason}", place=place)
    if plan.model.stand_in and config.float8 != "none":
        message = f"the rehearsal leaves `float8: {config.float8}` out, its model is too small for that"
        yield note("CPT593", message, place=loaded.place("training_config", "float8"))


def _compiles(loaded: LoadedRecipe, site: Site) -> bool:
    wanted = loaded.recipe.training_config.compile
    return site.world.device == "cuda" if wanted == "auto" else wanted == "on"
