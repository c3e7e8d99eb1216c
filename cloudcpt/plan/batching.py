"""How a global batch is divided: rows at a time on one process, passes until the step, and whether that fits."""

from collections.abc import Sequence
from dataclasses import dataclass

from cloudcpt.errors import PlanError
from cloudcpt.plan.activations import Activations, activation_choices
from cloudcpt.plan.alternatives import does_not_fit
from cloudcpt.plan.geometry import largest_part, micro_batches
from cloudcpt.plan.memory import BUSY_POSITIONS, ROOMY_POSITIONS, Load, Placement, place
from cloudcpt.plan.plan import Compute, MemoryFit
from cloudcpt.plan.settings import dropouts_of, lora_of
from cloudcpt.plan.site import Site
from cloudcpt.plan.starting_model import StartingModel
from cloudcpt.recipe.load import LoadedRecipe


@dataclass(frozen=True, kw_only=True, slots=True)
class Batching:
    """The division of a global batch; both counts are 0 where the service decides.

    Args:
        micro_batch_rows: Rows of one forward pass of one process.
        accumulation: Forward passes of one process per optimizer step, the same number on every process.
        computed_rows: Rows of one step over all processes, those of nothing but padding included.
        memory: What one GPU then holds.
    """

    micro_batch_rows: int
    accumulation: int
    computed_rows: int
    memory: MemoryFit


def choose_batching(
    loaded: LoadedRecipe, site: Site, model: StartingModel, global_batch_rows: int, compute: Compute
) -> Batching:
    """Choose the micro-batch; on GPUs so that it fits.

    It always divides the largest part of a step, so that there is no padding beyond what uneven parts ask for.

    Args:
        loaded: The recipe; its `micro_batch_size` is an upper bound.
        site: Whose processes divide the global batch.
        model: What to train.
        global_batch_rows: Rows of a step over all processes, at least one each.
        compute: How to compute.

    Raises:
        PlanError: nothing fits; with every term and the cheapest way out.
    """
    wanted = loaded.recipe.training_config.activation_checkpointing
    unknown = MemoryFit(terms=(), total_bytes=0, capacity_bytes=0, activations="none" if wanted == "auto" else wanted)
    if model.sizes is None:
        return Batching(micro_batch_rows=0, accumulation=0, computed_rows=global_batch_rows, memory=unknown)
    per_process = largest_part(global_batch_rows, site.world.size)
    if site.world.device == "cuda":
        chosen = arrange(loaded, site, model, global_batch_rows, compute)
        if not chosen.fits:
            load = load_of(loaded, model, compute)
            raise PlanError(does_not_fit(loaded, site, load, chosen.memory, model.allowed_replicas))
        rows, memory = chosen.micro_batch_rows, chosen.memory
    else:
        rows, memory = _micro_batches(loaded, site, global_batch_rows)[0], unknown
    return Batching(
        micro_batch_rows=rows,
        accumulation=per_process // rows,
        computed_rows=per_process * site.world.size,
        memory=memory,
    )


def arrange(
    loaded: LoadedRecipe, site: Site, model: StartingModel, global_batch_rows: int, compute: Compute
) -> Placement:
    """Place the model on GPUs as well as it goes, whether or not it fits; see `choose_batching`."""
    return place(
        load_of(loaded, model, compute),
        shard_processes=compute.shard_processes,
        capacity_bytes=site.gpu_memory_bytes,
        micro_batches=_micro_batches(loaded, site, global_batch_rows),
        choices=_choices(loaded, compute),
    )


def fits(loaded: LoadedRecipe, site: Site, model: StartingModel, compute: Compute, world_size: int) -> bool:
    """Tell whether the model would fit on another number of the same processes, one row at a time."""
    if site.world.device == "cpu":
        return True
    within = loaded.recipe.training_config.sharding == "hybrid"
    return place(
        load_of(loaded, model, compute),
        shard_processes=min(world_size, site.world.processes_per_node) if within else world_size,
        capacity_bytes=site.gpu_memory_bytes,
        micro_batches=(1,),
        choices=_choices(loaded, compute),
    ).fits


def load_of(loaded: LoadedRecipe, model: StartingModel, compute: Compute) -> Load:
    """Say what training this model asks of memory."""
    assert model.sizes is not None, "only models of known size are placed in memory"
    return Load(
        sizes=model.sizes,
        lora=lora_of(loaded.recipe),
        dropouts=dropouts_of(loaded.recipe),
        seq_len=loaded.recipe.training_config.max_length,
        stored_bytes=model.stored_bytes,
        compiled=compute.compile,
    )


def _choices(loaded: LoadedRecipe, compute: Compute) -> tuple[Activations, ...]:
    return activation_choices(loaded.recipe.training_config.activation_checkpointing, compiled=compute.compile)


def _micro_batches(loaded: LoadedRecipe, site: Site, global_batch_rows: int) -> Sequence[int]:
    config = loaded.recipe.training_config
    comfortable = ROOMY_POSITIONS if site.world.device == "cuda" else BUSY_POSITIONS
    cap = config.micro_batch_size or max(1, comfortable // config.max_length)
    return micro_batches(largest_part(global_batch_rows, site.world.size), cap)
