"""What a job keeps beside its final model: how many checkpoints, how large, and whether the disk holds them.

    disk of one machine   inputs + 8 bytes per token of rows + final model twice + checkpoints + recovery states

A new checkpoint, and a new state, is complete before an old one goes, so there is one more of each for a moment. Where
the service copies the folder away, one state more stays as long as it may still be needed there.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cloudcpt.errors import Diagnostic, error, note, warning
from cloudcpt.plan.plan import Checkpoints, Plan
from cloudcpt.plan.sizes import Sizes

if TYPE_CHECKING:  # the trainer and the job commands count here too, and need no recipe
    from cloudcpt.recipe.load import LoadedRecipe

MOST_CHECKPOINTS = 5000
"""Of one job. Source: the service of the first source document, S0-12 in docs/features.md."""

STATE_BYTES = 12
"""Of each parameter that learns: its fp32 weight and two moments."""

_ROW_BYTES = 8
"""Of a token, while rows are made; half of it afterwards."""

_DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def keeps_anything(plan: Plan) -> bool:
    """Tell whether a job writes anything into its checkpoint folder."""
    return plan.checkpoints.every_steps > 0 or plan.checkpoints.recovery_every_steps > 0


def kept_checkpoints(wanted: Checkpoints, steps: int) -> int:
    """Count the checkpoints that are there in the end; the model of the last step is the final one."""
    written = len(range(wanted.every_steps, steps, wanted.every_steps)) if wanted.every_steps else 0
    return min(written, wanted.keep_last) if wanted.keep_last else written


def most_checkpoints(wanted: Checkpoints, steps: int) -> int:
    """Count the checkpoints that are on the disk at one time, at most."""
    kept, all_of_them = kept_checkpoints(wanted, steps), kept_checkpoints(_all(wanted), steps)
    return kept + 1 if kept < all_of_them else kept


def _all(wanted: Checkpoints) -> Checkpoints:
    return Checkpoints(every_steps=wanted.every_steps, keep_last=0, recovery_every_steps=0)


def most_states(plan: Plan) -> int:
    """Count the recovery states that are on the disk at one time, at most."""
    if not plan.checkpoints.recovery_every_steps:
        return 0
    return 2 if plan.launch is None else 3


def kept_findings(loaded: "LoadedRecipe", plan: Plan, sizes: Sizes | None) -> Iterator[Diagnostic]:
    """Say what checkpoints and recovery states take, and what about them cannot be.

    Args:
        loaded: The recipe.
        plan: Its plan.
        sizes: Of the model; None when only AWS knows them, who keeps nothing.
    """
    wanted, steps = plan.checkpoints, plan.geometry.steps
    if sizes is None or plan.model.stand_in:
        return
    yield from _never(loaded, wanted, steps)
    kept = kept_checkpoints(wanted, steps)
    if kept > MOST_CHECKPOINTS:
        message = f"{kept:,} checkpoints are more than the {MOST_CHECKPOINTS:,} that a job may keep"
        hint = f"set `every_steps` to {-(-steps // MOST_CHECKPOINTS)} or more, or `keep_last`"
        yield error("CPT578", message, place=loaded.place("checkpoint", "every_steps"), hint=hint)
    elif kept or wanted.recovery_every_steps < steps:
        yield from _amounts(loaded, plan, sizes, kept)


def _never(loaded: "LoadedRecipe", wanted: Checkpoints, steps: int) -> Iterator[Diagnostic]:
    for key in ("every_steps", "recovery_every_steps"):
        every: int = getattr(wanted, key)
        if every >= steps:
            message = f"`{key}: {every}` comes to nothing in a job of {steps} steps"
            place = loaded.place("checkpoint", key)
            yield warning("CPT576", message, place=place, hint=f"set it to less than {steps}, or leave it out")
    if wanted.keep_last and not wanted.every_steps:
        message = "`keep_last` has no effect without `every_steps`"
        yield warning("CPT576", message, place=loaded.place("checkpoint", "keep_last"))


def _amounts(loaded: "LoadedRecipe", plan: Plan, sizes: Sizes, kept: int) -> Iterator[Diagnostic]:
    model, state = _model_bytes(plan, sizes), _learning(plan, sizes) * STATE_BYTES
    is_resumable = 0 < plan.checkpoints.recovery_every_steps < plan.geometry.steps
    parts = [f"{kept:,} checkpoints of {_shown(model)}, {_shown(kept * model)} in all"] if kept else []
    parts += [f"a recovery state of {_shown(state)}"] if is_resumable else []
    if not parts:
        return
    place = loaded.place("checkpoint")
    yield note("CPT575", f"beside the final model the job keeps {' and '.join(parts)}", place=place)
    volume = plan.launch.volume_gb * 10**9 if plan.launch else 0
    states = most_states(plan) * state // plan.world.nodes if is_resumable else 0
    needed = _other_bytes(plan) + (2 + most_checkpoints(plan.checkpoints, plan.geometry.steps)) * model + states
    if 0 < volume < needed:
        message = f"the disk of each machine will have to hold about {_shown(needed)}, and has {_shown(volume)}"
        hint = f"set `launch.volume_gb: {-(-needed * 11 // (10 * 10**9))}`, or keep fewer checkpoints"
        yield warning("CPT577", message, place=place, hint=hint)


def _other_bytes(plan: Plan) -> int:
    files = [*plan.model.files, *(file for source in plan.sources for file in source.files)]
    return sum(file.size_bytes for file in files) + _ROW_BYTES * sum(source.tokens for source in plan.sources)


def _model_bytes(plan: Plan, sizes: Sizes) -> int:
    """Reckon the size of one exported model; an adapter alone is written in float32."""
    if plan.lora is not None and not plan.lora.merge:
        return 4 * _learning(plan, sizes)
    return sizes.parameters * _DTYPE_BYTES[plan.model.dtype]


def _learning(plan: Plan, sizes: Sizes) -> int:
    if plan.lora is None:
        return sizes.parameters
    embeddings = sizes.all_embedding_parameters if plan.lora.embedding_lr else 0
    return sizes.adapter_parameters(plan.lora.rank, plan.lora.target_modules) + embeddings


def _shown(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:,.3g} GB"
