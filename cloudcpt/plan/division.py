"""Whether a global batch can be shared by the processes, and what it costs when it does not divide evenly.

Every process runs the same number of forward passes, because each of them takes part in every exchange of weights and
gradients. Where the rows of a step do not divide, some processes have one row less and compute a row of padding in its
place: the result is the same, a part of the time is not used. The replicas of the largest models (6, 12, 24 machines of
8 GPUs) never divide 32 to 256 rows.
"""

from collections.abc import Iterator
from typing import NamedTuple

from cloudcpt.errors import Diagnostic, error, warning
from cloudcpt.plan.batching import fits
from cloudcpt.plan.geometry import padding_share
from cloudcpt.plan.plan import Compute
from cloudcpt.plan.site import Site
from cloudcpt.plan.starting_model import StartingModel
from cloudcpt.recipe.load import LoadedRecipe


def batch_faults(loaded: LoadedRecipe, site: Site, allowed_replicas: tuple[int, ...]) -> Iterator[Diagnostic]:
    """Say that the number of machines is not allowed, or that there are more processes than rows in a step.

    Args:
        loaded: The recipe.
        site: Where it runs.
        allowed_replicas: Numbers of machines that the model may use; for `hf` they are known only now.
    """
    rows, world = loaded.recipe.training_config.global_batch_size, site.world
    if not site.is_here and world.nodes not in allowed_replicas:
        allowed = ", ".join(f"`{count}`" for count in allowed_replicas)
        message = f"a model of this size runs on {allowed} replicas, not on `{world.nodes}`"
        yield error("CPT514", message, place=loaded.place("run", "replicas"))
    elif rows < world.size:
        place = loaded.place("training_config", "global_batch_size")
        shown = f"{world.nodes} x {world.processes_per_node} = {world.size} processes"
        message = f"a global batch of {rows} rows is less than one row for each of {shown}"
        knob = _knob(site, rows, allowed_replicas)
        fewer = f", or `{knob.key}` of at most `{max(knob.values)}`" if knob.values else ""
        yield error("CPT506", message, place=place, hint=f"`global_batch_size` of at least {world.size}{fewer}")


def division_advice(loaded: LoadedRecipe, site: Site, model: StartingModel, compute: Compute) -> Iterator[Diagnostic]:
    """Say how much of the computing is padding, and which numbers of machines or processes have less of it.

    Args:
        loaded: The recipe.
        site: Where it runs.
        model: What it trains; its size decides on how many machines it may run, and on how few it fits.
        compute: How it computes.
    """
    rows, size = loaded.recipe.training_config.global_batch_size, site.world.size
    share = padding_share(rows, size)
    if share:
        knob = _knob(site, rows, model.allowed_replicas)
        values = [value for value in knob.values if fits(loaded, site, model, compute, value * knob.processes_each)]
        yield warning(
            "CPT518",
            f"{rows} rows over {size} processes: {float(share):.0%} of the forward passes are padding",
            place=loaded.place("training_config", "global_batch_size"),
            hint=_less_padding(knob._replace(values=tuple(values)), rows),
        )


class _Knob(NamedTuple):
    """The key of the recipe that sets the number of processes, and what it could be instead."""

    key: str
    now: int
    processes_each: int
    values: tuple[int, ...]


def _knob(site: Site, rows: int, allowed_replicas: tuple[int, ...]) -> _Knob:
    """Find the values that leave a row for each process."""
    each = site.world.processes_per_node
    if not site.is_here:
        values = tuple(nodes for nodes in allowed_replicas if nodes * each <= rows)
        return _Knob("run.replicas", site.world.nodes, each, values)
    # A GPU takes one process, and all that is known about the GPUs here is that there are at least so many.
    most = rows if site.world.device == "cpu" else min(rows, each)
    return _Knob("launch.processes_per_node", each, 1, tuple(range(1, most + 1)))


def _less_padding(knob: _Knob, rows: int) -> str:
    """Name the two nearest values without padding, and the nearest with less of it where that is none of them."""
    shares = {value: padding_share(rows, value * knob.processes_each) for value in {*knob.values, knob.now}}
    nearest = sorted(knob.values, key=lambda value: (abs(value - knob.now), value))
    even = sorted([value for value in nearest if not shares[value]][:2])
    better = [value for value in nearest if shares[value] < shares[knob.now]][:1]
    said = [f"`{knob.key}` of {' or '.join(f'`{value}`' for value in even)} divides evenly"] if even else []
    said += [f"`{knob.key}` of `{value}` pads {float(shares[value]):.0%}" for value in better if value not in even]
    return "; ".join(said) or f"no `{knob.key}` that this model may use and fits on has less"
