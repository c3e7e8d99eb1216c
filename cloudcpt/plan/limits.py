"""What must hold between the numbers of a plan: a schedule that can run, a budget and a runtime that are enough."""

import math
from collections.abc import Iterator

from cloudcpt.errors import Diagnostic, Place, error, note, warning
from cloudcpt.plan.cost import dollars
from cloudcpt.plan.plan import Estimate, Schedule
from cloudcpt.plan.site import Site
from cloudcpt.recipe.load import LoadedRecipe


def schedule_findings(loaded: LoadedRecipe, schedule: Schedule) -> Iterator[Diagnostic]:
    """Check that warm-up and tail leave room for what the schedule is named after."""
    warmup, constant, steps = schedule.warmup_steps, schedule.constant_steps, schedule.steps
    if constant and schedule.name == "constant":
        message = f"`constant_steps: {constant}` means nothing with a constant schedule"
        yield error("CPT510", message, place=_sched(loaded, "constant_steps"), hint="leave it out")
    elif constant and warmup + constant >= steps:
        yield error(
            "CPT507",
            f"{warmup} warm-up steps and {constant} constant steps leave no step of {steps} to decay in",
            place=_sched(loaded, "constant_steps"),
            hint=f"`constant_steps` of less than {max(steps - warmup, 1)}, or more training steps",
        )
    elif warmup >= steps and loaded.recipe.training_config.trainer.max_steps is None:
        # With `max_steps`, the recipe itself shows it and was warned when it was read.
        yield warning(
            "CPT508",
            f"the warm-up of {warmup} steps is longer than the {steps} steps of the job; `lr` is never reached",
            place=_sched(loaded, "warmup_steps"),
            hint=f"a warm-up of 1 to 2 % of the steps is usual, here {max(1, steps // 50)}",
        )
    elif constant and schedule.name == "cosine":
        message = "the first step has learning rate 0: that is how NeMo warms up when `constant_steps` is not 0"
        yield note("CPT509", message, place=_sched(loaded, "constant_steps"))


def _sched(loaded: LoadedRecipe, key: str) -> Place | None:
    inside = ("training_config", "model", "optim", "sched", key)
    beside = ("training_config", "optim", "sched", key)
    return loaded.place(*(beside if loaded.recipe.training_config.optim is not None else inside))


def estimate_findings(loaded: LoadedRecipe, estimate: Estimate, site: Site) -> Iterator[Diagnostic]:
    """Compare time and cost with what the recipe allows."""
    yield from _runtime(loaded, estimate)
    if site.instance is not None:
        yield from _budget(loaded, estimate, site.instance.name, site.world.nodes)


def _runtime(loaded: LoadedRecipe, estimate: Estimate) -> Iterator[Diagnostic]:
    limit = loaded.recipe.launch.max_runtime_hours
    if not limit or estimate.hours_high <= limit:
        return
    span = f"{estimate.hours_low:.2g} to {estimate.hours_high:.2g} hours"
    place = loaded.place("launch", "max_runtime_hours")
    if estimate.hours_low > limit:
        hint = f"allow {_hours_enough(estimate.hours_high):g} hours, or train on fewer tokens"
        message = f"the job takes {span}, `max_runtime_hours: {limit:g}` stops it before its only checkpoint"
        yield error("CPT553", message, place=place, hint=hint)
    else:
        hint = "a job that is stopped leaves no model; only the final checkpoint is saved"
        yield warning(
            "CPT554", f"the job takes {span}, it may reach `max_runtime_hours: {limit:g}`", place=place, hint=hint
        )


def _hours_enough(hours: float) -> float:
    """Round up, to a tenth of an hour for short jobs: what is advised must be accepted."""
    return math.ceil(hours) if hours > 10 else math.ceil(hours * 10) / 10


def _budget(loaded: LoadedRecipe, estimate: Estimate, instance_name: str, nodes: int) -> Iterator[Diagnostic]:
    budget, place = loaded.recipe.launch.budget_usd, loaded.place("launch", "budget_usd")
    if not estimate.usd_per_instance_hour:
        message = f"the price of `{instance_name}` is not public, so the cost is unknown"
        if budget:
            hint = "choose an instance type with a public price, or remove `budget_usd`"
            yield error("CPT552", f"{message} and `budget_usd: {budget:g}` cannot be kept", place=place, hint=hint)
        else:
            yield warning("CPT552", message, place=loaded.place("launch", "instance_type"))
        return
    kept = loaded.recipe.launch.keep_alive_minutes / 60 * nodes * estimate.usd_per_instance_hour
    span = f"{dollars(estimate.usd)} USD ({dollars(estimate.usd_low)} to {dollars(estimate.usd_high)})"
    span += f" and {dollars(kept)} USD for `keep_alive_minutes`" if kept else ""
    if budget and estimate.usd + kept > budget:
        hint = "raise the budget, train on fewer tokens, or take machines that cost less per step: `cloudcpt instances`"
        message = f"the job costs about {span}, more than `budget_usd: {budget:g}`"
        yield error("CPT550", message, place=place, hint=hint)
    elif budget and estimate.usd_high + kept > budget:
        message = f"the job costs about {span} and may exceed `budget_usd: {budget:g}`"
        hint = "it is stopped before it does, and a job that is stopped leaves no model"
        yield warning("CPT551", message, place=place, hint=hint)
