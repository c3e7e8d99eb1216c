"""What would fit when a model does not: the cheapest instances, adapters instead of all weights, or fewer bits."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from cloudcpt.errors import Diagnostic, error
from cloudcpt.plan.activations import IN_WORDS, activation_choices
from cloudcpt.plan.instances import Instance, instances
from cloudcpt.plan.memory import Load, place
from cloudcpt.plan.plan import Lora, MemoryFit
from cloudcpt.plan.site import Site
from cloudcpt.recipe.load import LoadedRecipe
from cloudcpt.recipe.training import TrainingConfig

_TRIED_LORA = Lora(
    rank=16, alpha=32.0, dropout=0.0, target_modules=("all-linear",), rslora=False, merge=True, bits=0, embedding_lr=0.0
)


def does_not_fit(
    loaded: LoadedRecipe, site: Site, load: Load, memory: MemoryFit, allowed_replicas: tuple[int, ...]
) -> Diagnostic:
    """Say what does not fit, term by term, and the cheapest change that makes it fit.

    Args:
        loaded: The recipe.
        site: Where it was to run.
        load: What was to be trained.
        memory: Of the smallest arrangement, which is still too large.
        allowed_replicas: Numbers of machines that the model may use.
    """
    terms = ", ".join(
        f"{term.name} {_gigabytes(term.size_bytes)}" for term in sorted(memory.terms, key=lambda term: -term.size_bytes)
    )
    return error(
        "CPT540",
        f"one GPU would hold {_gigabytes(memory.total_bytes)} of {_gigabytes(memory.capacity_bytes)}, with one row at "
        f"a time and activations {IN_WORDS[memory.activations]}: {terms}",
        place=loaded.place("run", "replicas"),
        hint="; or ".join(_ways_out(loaded, site, load, allowed_replicas))
        or "shorten `max_length`, or take a smaller model",
    )


def _ways_out(loaded: LoadedRecipe, site: Site, load: Load, allowed_replicas: tuple[int, ...]) -> Iterator[str]:
    config = loaded.recipe.training_config
    here = _Room(site.gpu_memory_bytes, site.world.size, site.world.processes_per_node)
    for key in ("activation_checkpointing", "sharding"):
        if getattr(config, key) != "auto" and _fits(load, config.model_copy(update={key: "auto"}), here):
            yield f"it fits without `{key}: {getattr(config, key)}`"
    fitting = [
        (instance.price_usd_per_hour * nodes, nodes, instance)
        for instance in instances().values()
        for nodes in allowed_replicas
        if instance.gpus
        and instance.price_usd_per_hour
        and _fits(load, config, _Room(instance.gpu_memory_bytes, nodes * instance.gpus, instance.gpus))
    ]
    if fitting:
        price, nodes, instance = min(fitting, key=lambda choice: choice[:2])
        yield f"the cheapest that fits is {_shown(nodes, instance)} at {price:,.2f} USD per hour"
    adapters = load.lora or _TRIED_LORA
    for lora, written in ((adapters, "method: lora"), (replace(adapters, bits=4), "method: lora, bits: 4")):
        if lora != load.lora and _fits(replace(load, lora=lora), config, here):
            yield f"`peft: {{{written}}}` fits where it is"
            return


class _Room(NamedTuple):
    """GPUs to try: the memory of one, how many there are, and how many of them in one machine."""

    capacity_bytes: int
    gpus: int
    gpus_per_machine: int


def _fits(load: Load, config: TrainingConfig, room: _Room) -> bool:
    """Tell whether one row at a time would fit; with `sharding: auto`, over all machines if need be."""
    if room.gpus > config.global_batch_size:
        return False
    within = config.sharding == "hybrid"
    return place(
        load,
        shard_processes=min(room.gpus, room.gpus_per_machine) if within else room.gpus,
        capacity_bytes=room.capacity_bytes,
        micro_batches=(1,),
        choices=activation_choices(config.activation_checkpointing, compiled=load.compiled),
    ).fits


def _shown(nodes: int, instance: Instance) -> str:
    return f"`replicas: {nodes}` of `{instance.name}`"


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 10**9:.1f} GB"
