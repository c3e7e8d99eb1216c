"""How a global batch is divided: rows at a time on one process, passes until the step, and whether that fits."""

from dataclasses import dataclass

from cloudcpt.errors import PlanError
from cloudcpt.plan.alternatives import does_not_fit
from cloudcpt.plan.geometry import largest_part, micro_batches
from cloudcpt.plan.memory import BUSY_POSITIONS, ROOMY_POSITIONS, Load, place
from cloudcpt.plan.plan import MemoryFit
from cloudcpt.plan.settings import lora_of
from cloudcpt.plan.site import Site
from cloudcpt.plan.starting_model import StartingModel
from cloudcpt.recipe.load import LoadedRecipe

_NO_ESTIMATE = MemoryFit(terms=(), total_bytes=0, capacity_bytes=0, activations="all")


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


def choose_batching(loaded: LoadedRecipe, site: Site, model: StartingModel, global_batch_rows: int) -> Batching:
    """Choose the micro-batch; on GPUs so that it fits.

    It always divides the largest part of a step, so that there is no padding beyond what uneven parts ask for.

    Args:
        loaded: The recipe; its `micro_batch_size` is an upper bound.
        site: Whose processes divide the global batch.
        model: What to train.
        global_batch_rows: Rows of a step over all processes, at least one each.

    Raises:
        PlanError: nothing fits; with every term and the cheapest way out.
    """
    if model.sizes is None:
        return Batching(micro_batch_rows=0, accumulation=0, computed_rows=global_batch_rows, memory=_NO_ESTIMATE)
    config = loaded.recipe.training_config
    per_process = largest_part(global_batch_rows, site.world.size)
    comfortable = ROOMY_POSITIONS if site.world.device == "cuda" else BUSY_POSITIONS
    cap = config.micro_batch_size or max(1, comfortable // config.max_length)
    choices = micro_batches(per_process, cap)
    rows, memory = choices[0], _NO_ESTIMATE
    if site.world.device == "cuda":
        load = _load(loaded, model)
        chosen = place(load, world_size=site.world.size, capacity_bytes=site.gpu_memory_bytes, micro_batches=choices)
        if not chosen.fits:
            raise PlanError(does_not_fit(loaded, site, load, chosen.memory, model.allowed_replicas))
        rows, memory = chosen.micro_batch_rows, chosen.memory
    return Batching(
        micro_batch_rows=rows,
        accumulation=per_process // rows,
        computed_rows=per_process * site.world.size,
        memory=memory,
    )


def fits(loaded: LoadedRecipe, site: Site, model: StartingModel, world_size: int) -> bool:
    """Tell whether the model would fit on another number of the same processes, one row at a time."""
    if site.world.device == "cpu":
        return True
    load = _load(loaded, model)
    return place(load, world_size=world_size, capacity_bytes=site.gpu_memory_bytes, micro_batches=(1,)).fits


def _load(loaded: LoadedRecipe, model: StartingModel) -> Load:
    assert model.sizes is not None, "only models of known size are placed in memory"
    return Load(
        sizes=model.sizes,
        lora=lora_of(loaded.recipe),
        seq_len=loaded.recipe.training_config.max_length,
        stored_bytes=model.stored_bytes,
    )
