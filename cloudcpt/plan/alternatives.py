"""What would fit when a model does not: the cheapest instances, or adapters instead of all weights."""

from collections.abc import Iterator
from dataclasses import replace

from cloudcpt.errors import Diagnostic, error
from cloudcpt.plan.instances import Instance, instances
from cloudcpt.plan.memory import Load, place
from cloudcpt.plan.plan import Lora, MemoryFit
from cloudcpt.plan.site import Site
from cloudcpt.recipe.load import LoadedRecipe

_TRIED_LORA = Lora(rank=16, alpha=32.0, dropout=0.0, target_modules=("all-linear",), rslora=False, merge=True)


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
        f"a time and activations recomputed: {terms}",
        place=loaded.place("run", "replicas"),
        hint="; or ".join(_ways_out(loaded, site, load, allowed_replicas))
        or "shorten `max_length`, or take a smaller model",
    )


def _ways_out(loaded: LoadedRecipe, site: Site, load: Load, allowed_replicas: tuple[int, ...]) -> Iterator[str]:
    rows = loaded.recipe.training_config.global_batch_size
    fitting = [
        (instance.price_usd_per_hour * nodes, nodes, instance)
        for instance in instances().values()
        for nodes in allowed_replicas
        if instance.gpus
        and instance.price_usd_per_hour
        and _fits(load, rows, instance.gpu_memory_bytes, nodes * instance.gpus)
    ]
    if fitting:
        price, nodes, instance = min(fitting, key=lambda choice: choice[:2])
        yield f"the cheapest that fits is {_shown(nodes, instance)} at {price:,.2f} USD per hour"
    adapters = replace(load, lora=_TRIED_LORA)
    if load.lora is None and _fits(adapters, rows, site.gpu_memory_bytes, site.world.size):
        yield "`peft: {method: lora}` fits where it is"


def _fits(load: Load, global_batch_rows: int, capacity_bytes: int, world_size: int) -> bool:
    if world_size > global_batch_rows:
        return False
    return place(load, world_size=world_size, capacity_bytes=capacity_bytes, micro_batches=(1,)).fits


def _shown(nodes: int, instance: Instance) -> str:
    return f"`replicas: {nodes}` of `{instance.name}`"


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 10**9:.1f} GB"
